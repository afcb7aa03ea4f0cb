//! One file per subcommand, run through the real binary.

mod ci;
mod completions;
mod config;
mod doctor;
mod env;
mod exec;
mod failure;
mod hooks;
pub mod install;
mod lint;
mod lock;
mod migrate;
mod missing;
mod problem;
mod proto;
mod schema;
