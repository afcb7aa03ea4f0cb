//! The project's Postgres: when it is ready, what it must hold, its prepared data directory, its migrations.
//!
//! The only place that speaks Postgres' protocol and knows refinery. Starts no server: it gets an address and, for the prepared
//! data directory, the bytes that the runtime fetched. Must not print, and must not show a password in any error.

mod connect;
mod copy;
mod failure;
mod history;
mod lint;
mod migrate;
mod name;
pub mod native;
pub mod pgdata;
mod provision;
mod ready;
mod scan;
mod session;
mod sql;
mod status;
#[cfg(test)]
mod testing;

pub use connect::Target;
pub use copy::{CopyError, Tool, dump, end, relations, restore};
pub use failure::{MigrateError, SqlFailure};
pub use history::HistoryError;
pub use lint::{Rules, lint};
pub use migrate::{Applied, Options, apply};
pub use name::{NameError, new_file_name};
pub use provision::{
    Bootstrap, ProvisionError, Provisioned, Rescue, Wanted, provision, provisioned, rescue,
    rescue_at,
};
pub use ready::{NotReady, Reason, ready};
pub use scan::{Migration, Problem, ScanError, scan};
pub use status::{Finding, Row, State, Status, seconds, status};
