//! `devenv completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, context::Context};
use crate::event::Fault;

/// Print a completion script: `source <(devenv completions bash)`.
#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    // Into memory: it panics when a pipe is closed early.
    clap_complete::generate(args.shell, &mut command, "devenv", &mut script);
    cx.print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}
