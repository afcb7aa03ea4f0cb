//! `devenv restart`: stops and starts steps, with what changed in between.

use std::process::ExitCode;

use super::{
    candidates,
    context::Context,
    names,
    run_steps::{Force, Run},
};
use crate::{
    config::StepId,
    event::{Fault, FaultClass},
};

/// Restart what runs; changes to devenv.toml are taken up too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps to restart, by name (`hello`) or id (`app.hello`); all that run when absent.
    #[arg(add = candidates::running())]
    steps: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let plan = cx.plan()?;
    let running = plan.steps.keys().filter(|id| id.kind.is_running_service());
    let steps: Vec<StepId> = match args.steps.is_empty() {
        false => names::steps(&plan, &args.steps, names::RUNNING)?,
        true => running.cloned().collect(),
    };
    if steps.is_empty() {
        return Err(Fault::new("devenv.toml has no postgres, service or app")
            .class(FaultClass::Usage)
            .help("nothing runs, so nothing can be restarted"));
    }
    if let Some(other) = steps.iter().find(|id| !id.kind.is_running_service()) {
        return Err(names::runs_not(other));
    }
    let run = Run {
        force: Force::Named,
        ..Run::new("restart", steps)
    };
    Ok(run.execute(cx).await?.code)
}
