//! `devenv config`: the file as devenv reads it.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::context::Context;
use crate::event::Fault;

/// Check devenv.toml and show it with all defaults and environment variables filled in
///
/// What is printed is a devenv.toml again, but for passwords: each is shown as `${not shown}`, for which the value has to be put in.
/// Secrets stay references.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(cx: &Context, _: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?.resolved();
    cx.answer(&config, || text(&config));
    Ok(ExitCode::SUCCESS)
}

fn text(config: &Json) -> String {
    toml::to_string_pretty(config).expect("what was read from TOML can be written as TOML")
}
