//! `devenv completions`: a completion script for a shell, and the answers that the script asks for at each press of the key.

use std::{env, process::ExitCode};

use clap::CommandFactory;
use clap_complete::{CompleteEnv, Shell, env::Shells};

use super::{Cli, context::Context};
use crate::event::Fault;

/// Names the shell that asks. Not clap's own `COMPLETE`, which may stand for something else.
const ASKED_BY: &str = "DEVENV_COMPLETE";

/// Print a completion script: `source <(devenv completions bash)`. It offers the steps of the project, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&shell)
        .ok_or_else(|| Fault::new(format!("there is no script for {shell}")))?;
    let mut script = Vec::new();
    let written = shell.write_registration(ASKED_BY, "devenv", "devenv", "devenv", &mut script);
    written.map_err(|error| Fault::new("cannot write the script").note(error.to_string()))?;
    cx.print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

/// Answers a shell; `None` when none asks. Says nothing else: somebody is typing just there.
pub fn answer() -> Option<ExitCode> {
    env::var_os(ASKED_BY).filter(|shell| !shell.is_empty())?;
    let complete = CompleteEnv::with_factory(Cli::command).var(ASKED_BY);
    let _ = complete.try_complete(env::args_os(), env::current_dir().ok().as_deref());
    Some(ExitCode::SUCCESS)
}
