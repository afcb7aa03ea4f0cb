//! `devenv exec`: run a command with the project's tools on the host, or inside a running step.

use std::{io::IsTerminal, os::unix::process::CommandExt, process::ExitCode};

use super::{candidates, context::Context, ending, env::warn, exit, names};
use crate::{
    config::StepId,
    event::{Explain, Fault, FaultClass},
    runtime::{Exec, RuntimeError, RuntimeKind},
    store::{Begun, Inside},
    sys::{process::Spawn, random, terminal::Stdio},
};

/// Run a command with the project's tools first on PATH, or inside a running step. Its exit code is passed through.
///
/// A command inside a step ends with devenv: Ctrl-C, SIGTERM and SIGHUP are passed on, SIGKILL follows after 5 s or a second one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The running step to run it in, by name (`hello`) or id (`app.hello`); on the host when absent.
    #[arg(add = candidates::running())]
    step: Option<String>,
    /// Run as this user inside the step.
    #[arg(long, short, requires = "step")]
    user: Option<String>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What a shell ends with when there is no such command.
const NOT_FOUND: u8 = 127;

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    match args.step {
        Some(step) => {
            let exec = Exec {
                argv: args.command,
                user: args.user,
                ..Exec::default()
            };
            cx.needs_no_lock()?;
            let step = names::running(cx, &step).await?;
            inside(cx, &step, exec).await
        }
        None => on_host(cx, args.command).await,
    }
}

/// Runs it inside a running step, with this process' streams, and its terminal when there is one.
pub async fn inside(cx: &Context, step: &StepId, mut exec: Exec) -> Result<ExitCode, Fault> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let runtime = cx.runtime()?;
    let stdio = match runtime.kind() {
        RuntimeKind::Process if terminal => Ok(Stdio::of_terminal()),
        RuntimeKind::Process | RuntimeKind::Docker => Stdio::of_process(terminal, true),
    };
    let stdio = stdio.map_err(|error| {
        Fault::new("cannot use this terminal")
            .class(FaultClass::Environment)
            .note(error.to_string())
    })?;
    let _begun = marked(cx, step, &mut exec);
    match ending::at_signals(&runtime, step, exec, stdio).await? {
        Ok(code) => Ok(exit::of_child(code)),
        Err(error @ RuntimeError::NoCommand { .. }) => {
            let fault = error.explain();
            cx.show(&fault);
            cx.print_failure_with_code(&fault, NOT_FOUND);
            Ok(ExitCode::from(NOT_FOUND))
        }
        Err(error) => Err(error.explain()),
    }
}

/// Gives it a mark to be found again by, in this process or, when that is killed, in the next. What is returned lasts as long as it.
fn marked(cx: &Context, step: &StepId, exec: &mut Exec) -> Option<Begun> {
    let mark = hex::encode(&random::key().ok()?[..16]);
    exec.mark = Some(mark.clone());
    let inside = Inside {
        runtime: cx.kind().as_str().to_owned(),
        step: step.clone(),
        command: exec.argv.join(" "),
        user: exec.user.clone(),
        mark,
    };
    // It also runs where nothing can be written.
    cx.store().ok()?.begin_inside("exec", inside).ok()
}

/// Becomes the command: signals, terminal and exit code are its own. Returns only when it cannot be run.
async fn on_host(cx: &Context, command: Vec<String>) -> Result<ExitCode, Fault> {
    let toolchain = cx.own_tools()?;
    let missing = warn(&toolchain).await;
    let mut spawn = Spawn::new(command);
    spawn.env = toolchain.env();
    let error = spawn.to_std().exec();
    let name = spawn.argv.first().map(String::as_str).unwrap_or_default();
    let fault = Fault::new(format!("cannot run `{name}`"))
        .class(FaultClass::Environment)
        .note(error.to_string());
    Err(fault.help(match missing.get(name) {
        Some(help) => format!("it is one of the project's tools, and not installed yet: {help}"),
        None if missing.is_empty() => "it is neither one of the project's tools nor on PATH".into(),
        None => {
            "it is not on PATH; when one of the project's tools brings it, run `devenv install`"
                .into()
        }
    }))
}
