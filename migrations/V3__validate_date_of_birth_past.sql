set local lock_timeout = '5s';

alter table users validate constraint users_date_of_birth_past;
