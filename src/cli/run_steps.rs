//! What `up`, `run`, `restart` and `migrate` have in common: one run of steps, alone in its worktree.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc};

use super::{
    context::Context,
    exit, interrupt, names, notices, orphans, other_side, preview,
    run_lock::{self, Alone},
    session::{Logs, Seen, Session, exit_code, failure, timings},
};
use crate::{
    config::{StepId, StepKind},
    engine::{Heeds, Options, Policy, RunResult},
    event::{Explain, Fault, Outcome, Record},
    git::Since,
    plan::{Outputs, Plan},
    steps::{Mode, Steps},
};

/// What to run and how to show it.
pub struct Run<'a> {
    /// As the user knows it: `up`.
    pub command: &'a str,
    /// The steps to run, with all they need; what `up` is for when there is none.
    pub steps: Vec<StepId>,
    pub force: Force,
    pub mode: Mode,
    pub orphans: Orphans,
    pub logs: Logs,
    pub timings: bool,
    /// What a failure does to steps that do not need the failed one.
    pub policy: Policy,
    /// Whose signals end it.
    pub heeds: Heeds,
    /// What is new to a lint.
    pub since: Since,
    /// What is done is more than this run, and has the right to do it already.
    pub part_of: Option<&'a Alone>,
}

/// Whether the named steps are done although nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Named,
    Nothing,
}

/// What happens to what the file no longer mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    Remove,
    Keep,
}

/// How a run ended. Its failures have been shown.
pub struct Ended {
    pub outputs: Outputs,
    pub code: ExitCode,
    pub succeeded: bool,
    pub seen: Seen,
}

impl Ended {
    /// Shows what went wrong after the steps. What failed before decides the exit code.
    pub fn fail(&mut self, cx: &Context, fault: &Fault) {
        cx.show(fault);
        if self.succeeded {
            cx.print_failure(fault);
            self.code = exit::code(fault.class);
            self.succeeded = false;
        }
    }
}

impl<'a> Run<'a> {
    pub fn new(command: &'a str, steps: Vec<StepId>) -> Self {
        Self {
            command,
            steps,
            force: Force::Nothing,
            mode: Mode::Apply,
            orphans: Orphans::Keep,
            logs: Logs::Hidden,
            timings: false,
            policy: Policy::default(),
            heeds: Heeds::All,
            since: Since::default(),
            part_of: None,
        }
    }

    /// Runs the goals with all they need, as the only run of this worktree.
    pub async fn execute(self, cx: &Context) -> Result<Ended, Fault> {
        // A wrong name is told before anything is waited for.
        goals(&*cx.plan()?, &self.steps)?;
        let logs = if cx.verbose { Logs::Shown } else { self.logs };
        let session = Session::open(cx, self.command, logs)?;
        let result = self.locked(cx, &session).await;
        let seen = session.close(cx).await;
        let result = result?;
        if let Some(fault) = failure(&result).filter(|_| cx.json()) {
            // Otherwise it was shown as it happened.
            cx.show(&fault);
            cx.print_failure(&fault);
        }
        if self.timings && !cx.json() {
            self.show_timings(&seen.records, &*cx.plan()?);
        }
        Ok(Ended {
            code: exit_code(&result),
            succeeded: result.class().is_none(),
            outputs: result.outputs,
            seen,
        })
    }

    async fn locked(&self, cx: &Context, session: &Session) -> Result<RunResult, Fault> {
        if self.part_of.is_some() {
            return self.alone(cx, session).await;
        }
        let alone = run_lock::acquire(cx, self.command, Some(session.events())).await?;
        match alone.waited {
            true => self.alone(&cx.fresh(), session).await,
            false => self.alone(cx, session).await,
        }
    }

    async fn alone(&self, cx: &Context, session: &Session) -> Result<RunResult, Fault> {
        let goals = goals(&*cx.plan()?, &self.steps)?;
        // Before anything is made under this name. What was made under another one is stopped first.
        if cx.left_identity()?.is_none() {
            remember_identity(cx)?;
        }
        if let Some(message) = cx.choice()?.notice() {
            session.events().notice(message);
        }
        let mut steps = cx.steps(session.events().clone())?;
        if self.force == Force::Named {
            steps.forced = goals.clone();
        }
        steps.mode = self.mode;
        steps.since = self.since.clone();
        let steps = Arc::new(steps);
        interrupt::ending(preview::missing(&steps, &goals)).await?;
        if self.orphans == Orphans::Remove {
            interrupt::ending(remove_orphans(&steps, &goals)).await?;
            for other in other_side::find(cx, &steps).await? {
                interrupt::ending(other.stop(&steps)).await?;
                other.tell_data(&steps, &goals).await?;
                if other.is_of_other_name() {
                    remember_identity(cx)?;
                }
            }
        }
        let options = Options {
            policy: self.policy,
            ..session.options()
        };
        let result = session
            .run(&steps.plan, &goals, steps.clone(), options, self.heeds)
            .await?;
        let notice = |message: String| session.events().notice(message);
        if let Err(error) = steps.files.save() {
            // The next run reads the files again, no more.
            notice(format!("{}", error.explain()));
        }
        if self.command == "up" {
            let short = steps.too_short_secrets();
            short
                .iter()
                .map(|name| notices::not_masked(name))
                .for_each(notice);
        }
        // What was acted upon is not as it was seen before.
        let is_as_seen = |id: &&StepId| match result.outcomes.get(*id) {
            Some(Outcome::Skipped) => true,
            _ => id.kind == StepKind::Proto,
        };
        let kept = result.outputs.keys().filter(is_as_seen).cloned();
        // They are an extra: what cannot be looked at now is for the next time.
        for message in notices::find(&steps, &kept.collect())
            .await
            .into_iter()
            .flatten()
        {
            notice(message);
        }
        Ok(result)
    }

    fn show_timings(&self, records: &[Record], plan: &Plan) {
        anstream::eprint!("{}", timings(records, plan));
    }
}

fn remember_identity(cx: &Context) -> Result<(), Fault> {
    let remembered = cx.store()?.save_identity(&cx.identity()?.id);
    remembered.map_err(|error| error.explain())
}

async fn remove_orphans(steps: &Steps, goals: &BTreeSet<StepId>) -> Result<(), Fault> {
    orphans::remove_generated(steps).await?;
    match steps.listing().await {
        Ok(listing) => orphans::remove(steps, &listing).await,
        Err(fault) => {
            let wanted = steps.plan.graph().closure(goals.iter().cloned());
            // Steps that need no engine run without one.
            match wanted.iter().any(|id| id.kind.needs_engine()) {
                true => Err(fault),
                false => Ok(()),
            }
        }
    }
}

/// The steps named on the command line, checked; what `up` is for when none is named.
pub fn goals(plan: &Plan, named: &[StepId]) -> Result<BTreeSet<StepId>, Fault> {
    if named.is_empty() {
        return Ok(plan.up_goals());
    }
    for id in named {
        if !plan.steps.contains_key(id) {
            return Err(names::unknown(plan, &id.to_string(), &[]));
        }
    }
    Ok(named.iter().cloned().collect())
}
