create table users (
    username text primary key,
    date_of_birth date not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_username_letters check (username ~ '^[A-Za-z]{1,64}$')
);
