//! `devenv run`: runs tasks, or any steps, with all they need.

use std::process::ExitCode;

use super::{
    candidates,
    context::Context,
    names,
    run_steps::{Force, Run},
    session::Logs,
};
use crate::{config::StepKind, event::Fault};

/// Run tasks with all they need; each is skipped while nothing it reads has changed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tasks by name (`lint`), or steps by id (`task.lint`, `build.hello`).
    #[arg(required = true, add = candidates::runnable())]
    steps: Vec<String>,
    /// Run them although nothing changed.
    #[arg(long, short)]
    force: bool,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let named = names::steps(&*cx.plan()?, &args.steps, &[StepKind::Task])?;
    let run = Run {
        force: match args.force {
            true => Force::Named,
            false => Force::Nothing,
        },
        logs: Logs::Shown,
        ..Run::new("run", named)
    };
    Ok(run.execute(cx).await?.code)
}
