//! devenv: one `devenv.toml` describes a project; this crate turns it into a plan and carries the plan out.
//!
//! The flow is `config` (file → checked data) → `plan` (data → steps, keys, reasons) → `engine` (steps → events),
//! with `steps` as the glue to the parts that touch the world: `toolchain`, `proto`, `image`, `database`, `runtime`.
//! ARCHITECTURE.md names who may import whom; `tests/architecture.rs` checks it.

pub mod cli;
pub mod config;
pub mod database;
pub mod engine;
pub mod event;
pub mod git;
pub mod image;
pub mod lockfile;
pub mod mirror;
pub mod plan;
pub mod proto;
pub mod report;
pub mod runtime;
pub mod steps;
pub mod store;
pub mod sys;
pub mod toolchain;
