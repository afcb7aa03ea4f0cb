//! The whole flow, as CI runs it: with an identity, ports and data of its own, from nothing, and gone at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use super::{reports::Reports, system};
use crate::{
    cli::{
        apart, committed,
        context::Context,
        run_lock::Alone,
        run_steps::{Ended, Run},
        session::{Logs, timings},
    },
    config::{Config, StepId, StepKind},
    engine::Policy,
    event::{Explain, Fault, FaultClass, Severity},
    git::{Repository, Since, Snapshot},
    plan::Plan,
    report::{self, Timings},
    steps::Mode,
    sys::git::folder_of,
};

#[derive(Debug, clap::Args)]
pub struct Flow {
    /// Show where the time went, and the critical path.
    #[arg(long)]
    timings: bool,
    /// Lint what is new since this commit, branch or tag; since what the CI system says, or the remote's default branch, when absent.
    #[arg(long, value_name = "REF")]
    since: Option<String>,
    #[command(flatten)]
    reports: Reports,
}

pub async fn run(cx: &Context, args: Flow) -> Result<ExitCode, Fault> {
    args.reports.claim()?;
    let ended = alone(cx, &args).await;
    if let Err(fault) = &ended {
        // Nothing came of it, so this is all that there is to report.
        let run = report::Run::not_begun("ci", cx.located(fault));
        let none = Timings::of(&[], &BTreeMap::new());
        if let Err(unwritten) = args.reports.write(cx, &run, &none) {
            cx.show(&unwritten);
        }
    }
    ended
}

async fn alone(cx: &Context, args: &Flow) -> Result<ExitCode, Fault> {
    // What is wrong with the file is told before anything is waited for.
    if goals(&*cx.config()?, &*cx.plan()?).is_empty() {
        return Err(nothing());
    }
    let ended = apart::run(cx, "ci", async |own, alone| flow(own, args, alone).await);
    Ok(ended.await?.code)
}

async fn flow(cx: &Context, args: &Flow, alone: &Alone) -> Result<Ended, Fault> {
    let plan = cx.plan()?;
    let goals = goals(&*cx.config()?, &plan);
    let since = match &args.since {
        Some(since) => Since::Ref(since.clone()),
        None => system::since(&cx.root()?).await,
    };
    let run = Run {
        policy: Policy::KeepGoing,
        mode: Mode::Check,
        since,
        logs: Logs::Shown,
        timings: args.timings,
        part_of: Some(alone),
        ..Run::new("ci", goals.into_iter().collect())
    };
    let before = Before::look(cx).await;
    let mut ended = run.execute(cx).await?;
    if let Some(fault) = before.changed(cx).await {
        ended.seen.run.fail(fault.clone());
        ended.fail(cx, &fault);
    }
    let timings = timings(&ended.seen.records, &plan);
    if let Err(fault) = args.reports.write(cx, &ended.seen.run, &timings) {
        ended.fail(cx, &fault);
    }
    Ok(ended)
}

/// Green without a look at anything would be believed.
fn nothing() -> Fault {
    Fault::new("devenv.toml has nothing that `devenv ci` would run or check")
        .class(FaultClass::Usage)
        .help("name tasks for it: `run = [\"task.test\"]` in `[ci]`")
}

/// What git tracks, as it was before the steps: with what is not committed yet, as that is the user's.
struct Before(Option<(Repository, Snapshot)>);

impl Before {
    async fn look(cx: &Context) -> Self {
        let taken = async {
            let repository = Repository::at(&cx.root()?).filter(|found| found.top.is_some());
            let Some(repository) = repository else {
                return Ok(None);
            };
            let folder = cx.store()?.dir().join("before");
            let snapshot = repository.snapshot(folder).await;
            let snapshot = snapshot.map_err(|error| error.explain())?;
            Ok(Some((repository, snapshot)))
        };
        Self(taken.await.unwrap_or_else(|fault| {
            tell_unknown(cx, fault);
            None
        }))
    }

    /// That the steps changed some of it.
    async fn changed(self, cx: &Context) -> Option<Fault> {
        let (repository, snapshot) = self.0?;
        match repository.diff(Some(&snapshot)).await {
            Ok(diff) => committed::changed(&diff, &folder_of(&cx.root().ok()?)),
            Err(error) => {
                tell_unknown(cx, error.explain());
                None
            }
        }
    }
}

/// A repository of another user, or a machine without git, is no reason to fail.
fn tell_unknown(cx: &Context, why: Fault) {
    let fault = Fault::new("whether the steps change files that git tracks is not looked at");
    let notes = [why.message].into_iter().chain(why.notes);
    cx.show(&notes.fold(fault.severity(Severity::Warning), Fault::note));
}

/// All that `up` brings up, all that only looks, and what `[ci] run` names. A task may do anything, deploy for instance: those
/// that are for CI are named.
fn goals(config: &Config, plan: &Plan) -> BTreeSet<StepId> {
    let mut goals = plan.up_goals();
    let looks = |id: &&StepId| !id.kind.is_brought_up() && id.kind != StepKind::Task;
    goals.extend(plan.steps.keys().filter(looks).cloned());
    goals.extend(config.ci.iter().flat_map(|ci| &ci.run).cloned());
    goals
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{self, FILE},
        plan::{Locked, Sources},
    };

    #[test]
    fn ci_runs_what_up_does_what_only_looks_and_the_tasks_that_are_named() {
        let text = r#"
[project]
name = "x"
[postgres.db]
version = "15"
[migrate.db]
postgres = "postgres.db"
[task.test]
run = "x"
[task.ship]
run = "x"
in = "shipper:1"
[smoke.db]
url = "http://${postgres.db.host}"
requests = [{}]
[ci]
run = ["task.test"]
[ci.github]
"#;
        let config = config::parse(Path::new(FILE), text, &|_| None).expect("a good file");
        let plan = Plan::build(&config, &Locked::new(), &Sources::default());
        let goals = goals(&config, &plan);
        let goals: Vec<_> = goals.iter().map(ToString::to_string).collect();
        assert_eq!(
            goals,
            [
                "image.postgres:15",
                "postgres.db",
                "migrate.db",
                "lint.db",
                "task.test",
                "smoke.db",
                "ci.github"
            ]
        );
    }
}
