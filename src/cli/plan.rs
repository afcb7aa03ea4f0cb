//! `devenv plan`: what `up` would do and why, and what it would fail at. Changes nothing, and works with the engine off.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    candidates, context::Context, exit, names, notices, orphans, other_side, preview::Preview,
    run_steps,
};
use crate::{
    config::StepId,
    event::Fault,
    plan::{Action, Decision, Digest, Reason},
    report,
    steps::Steps,
};

/// Show what `up` would do, and why; change nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps to plan, with all they need, by name (`hello`) or id (`app.hello`); everything but tasks when absent.
    #[arg(add = candidates::steps())]
    steps: Vec<String>,
    /// Exit with 4 when there is something to do.
    #[arg(long)]
    detailed_exit_code: bool,
    /// Print only the plan's hash.
    #[arg(long)]
    hash: bool,
}

/// The answer, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    plan: &'a Digest,
    steps: Vec<Row>,
    /// What a person has to settle, and no step will do.
    notices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    step: StepId,
    #[serde(flatten)]
    decision: Decision,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let plan = cx.plan()?;
    if args.hash {
        cx.answer(&plan.hash, || format!("{}\n", plan.hash));
        return Ok(ExitCode::SUCCESS);
    }
    let named = names::steps(&plan, &args.steps, names::RUNNING)?;
    let goals = run_steps::goals(&plan, &named)?;
    let steps = cx.steps(cx.silent_events())?;
    let mut rows = orphan_rows(&steps).await?;
    for other in other_side::find(cx, &steps).await? {
        rows.extend(other.rows());
    }
    let preview = Preview::of(&steps, &goals).await;
    let kept = preview
        .rows
        .iter()
        .filter(|(_, d)| d.action == Action::Skip);
    let kept = kept.map(|(id, _)| id.clone()).collect();
    let notices = notices::find(&steps, &kept).await?;
    rows.extend(preview.rows);
    let changes = rows.iter().any(|(_, d)| d.action != Action::Skip);
    let text = || report::plan(&rows, &plan.hash);
    let answer = Answer {
        plan: &plan.hash,
        steps: rows
            .iter()
            .map(|(step, decision)| Row {
                step: step.clone(),
                decision: decision.clone(),
            })
            .collect(),
        notices,
    };
    for notice in answer.notices.iter().filter(|_| !cx.json()) {
        anstream::eprintln!("{}", report::note(notice));
    }
    if let Some(fault) = Fault::all(preview.faults) {
        cx.answer_of_failure(&answer, text);
        return Err(fault);
    }
    cx.answer(&answer, text);
    Ok(match changes && args.detailed_exit_code {
        true => ExitCode::from(exit::CHANGES),
        false => ExitCode::SUCCESS,
    })
}

/// What `up` would remove. Without an engine there is nothing to say about containers.
async fn orphan_rows(steps: &Steps) -> Result<Vec<(StepId, Decision)>, Fault> {
    let generated = orphans::generated(steps).await?.into_iter();
    let mut rows: Vec<_> = generated.map(|(id, decision, _)| (id, decision)).collect();
    if let Ok(listing) = steps.listing().await {
        let orphans = orphans::find(&listing, &steps.plan);
        let remove = || Decision::of(Action::Remove, vec![Reason::Orphan]);
        rows.extend(orphans.into_iter().map(|id| (id, remove())));
    }
    Ok(rows)
}
