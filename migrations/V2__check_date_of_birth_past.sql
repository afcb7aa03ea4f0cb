-- The app compares with the day in UTC; this is the last line of defence, with a day to spare for differing clocks.
-- Not valid: new rows are checked at once, old ones by the next migration, so that no scan holds this lock.
set local lock_timeout = '5s';

alter table users
    add constraint users_date_of_birth_past
    check (date_of_birth <= (updated_at at time zone 'UTC')::date) not valid;
