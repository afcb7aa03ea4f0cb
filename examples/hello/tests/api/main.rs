//! The app as a process, over real sockets, on a real Postgres.

mod app;
mod cluster;

mod config;
mod grpc;
mod http;
mod lifecycle;
