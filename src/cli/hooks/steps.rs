//! The steps of one hook, checked in one folder: what `devenv hooks run` starts as a process of its own, so that nothing that git
//! put into its environment reaches what the steps run.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::facts::Needed;
use crate::{
    cli::{
        apart,
        context::Context,
        run_steps::{Force, Run},
        session::Logs,
    },
    config::{StepId, StepKind},
    engine::{Heeds, Policy},
    event::{Fault, FaultClass},
    plan::Plan,
    steps::Mode,
    sys::process::end_with_input,
};

/// Check the steps of a hook in this folder.
#[derive(Debug, clap::Args)]
pub struct Args {
    hook: String,
    /// Check although nothing changed.
    #[arg(long)]
    force: bool,
    /// The folder is the user's: what the steps start is not what is up there, and goes with them.
    #[arg(long)]
    apart: bool,
}

/// What is written to standard output when the steps have run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checked {
    /// `None` when the file has no such hook.
    pub steps: Option<usize>,
    /// None when all is well.
    pub failed: Vec<StepId>,
    pub needed: Needed,
}

/// What a hook checks where it names a step. Here is where a step that changes something becomes one that only looks at it.
fn checked(named: &StepId) -> StepId {
    match named.kind {
        // A hook applies no migrations: their files are valid, and what is new in them is linted.
        StepKind::Migrate => StepId::new(StepKind::Lint, &named.name),
        StepKind::Toolchain
        | StepKind::Proto
        | StepKind::Image
        | StepKind::Build
        | StepKind::Postgres
        | StepKind::Service
        | StepKind::App
        | StepKind::Task
        | StepKind::Smoke
        | StepKind::Lint
        | StepKind::Ci => named.clone(),
    }
}

/// The steps that this folder's devenv.toml has for the hook; `None` when it has no such hook.
pub fn of_hook(cx: &Context, hook: &str) -> Result<Option<Vec<StepId>>, Fault> {
    let config = cx.config()?;
    let hook = config.hook.get(hook);
    Ok(hook.map(|hook| hook.run.iter().map(checked).collect()))
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    end_with_input();
    let steps = of_hook(cx, &args.hook)?;
    let mut answer = Checked {
        steps: steps.as_ref().map(Vec::len),
        failed: Vec::new(),
        needed: Needed::of(&*cx.config()?),
    };
    let mut code = ExitCode::SUCCESS;
    let command = format!("hooks run {}", args.hook);
    if let Some(steps) = steps {
        let run = Run {
            mode: Mode::Check,
            logs: Logs::Failures,
            heeds: Heeds::Starter,
            // All that is wrong is told at once, as with the tools that hooks are known from.
            policy: Policy::KeepGoing,
            force: match args.force {
                true => Force::Named,
                false => Force::Nothing,
            },
            ..Run::new(&command, steps)
        };
        let ended = match args.apart && starts_something(&*cx.plan()?, &run.steps) {
            true => {
                apart::run(cx, &command, async |own, alone| {
                    let part_of = Some(alone);
                    Run { part_of, ..run }.execute(own).await
                })
                .await?
            }
            false => run.execute(cx).await?,
        };
        let failed = ended.seen.run.failures();
        answer.failed = failed.map(|(step, _)| step.clone()).collect();
        code = ended.code;
    }
    let line = serde_json::to_string(&answer).map_err(|error| {
        Fault::new(format!("cannot write what was checked: {error}")).class(FaultClass::Bug)
    })?;
    cx.print(&format!("{line}\n"));
    Ok(code)
}

/// Whether anything of what is checked needs what keeps running.
fn starts_something(plan: &Plan, steps: &[StepId]) -> bool {
    let all = plan.graph().closure(steps.iter().cloned());
    all.iter().any(|id| id.kind.is_running_service())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_applies_no_migrations() {
        let checked = |id: &str| checked(&id.parse().expect("a step id")).to_string();
        assert_eq!(checked("task.lint"), "task.lint");
        assert_eq!(checked("migrate.db"), "lint.db");
    }
}
