//! One file per table of `devenv.toml`: the data a table holds once it is read and checked, and how the file writes it.

mod app;
mod build;
mod command;
mod image;
mod migrate;
mod mount;
mod port;
mod postgres;
mod program;
mod project;
mod proto;
mod ready;
mod secret;
mod service;
mod smoke;
mod task;
mod toolchain;

pub use app::App;
pub use build::{Build, Dockerfile, HostBuild};
pub use command::Command;
pub use image::{Debian, Image};
pub use migrate::Migrate;
pub use mount::Mount;
pub use port::Port;
pub use postgres::Postgres;
pub use program::Program;
pub use project::{PortRange, Project, RuntimeChoice};
pub use proto::{Plugin, Proto, RustOut};
pub use ready::{Probe, Ready};
pub use secret::{Secret, SecretSource};
pub use service::{Restart, Service};
pub use smoke::{Request, Smoke};
pub use task::Task;
pub use toolchain::{Tool, ToolSource};
