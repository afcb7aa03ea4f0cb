//! `devenv schema`: for editors that complete and check devenv.toml.

use std::process::ExitCode;

use super::context::Context;
use crate::{config, event::Fault};

/// Print the JSON Schema of devenv.toml
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_: &Context, _: Args) -> Result<ExitCode, Fault> {
    let schema = serde_json::to_string_pretty(&config::schema()).expect("a schema is plain data");
    anstream::println!("{schema}");
    Ok(ExitCode::SUCCESS)
}
