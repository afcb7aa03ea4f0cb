//! `devenv plan`: what `up` would do and why. Changes nothing, and works with the engine off.

use std::process::ExitCode;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{context::Context, names, orphans, run_steps};
use crate::{
    config::StepId,
    event::{Fault, FaultClass},
    plan::{Action, Decision, Digest, Outputs, Plan, Reason, Verdict},
    report,
    steps::Steps,
};

/// Show what `up` would do, and why; change nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps to plan, with all they need, by name (`hello`) or id (`app.hello`); everything but tasks when absent.
    steps: Vec<String>,
    /// Exit with 4 when there is something to do.
    #[arg(long)]
    detailed_exit_code: bool,
    /// Print only the plan's hash.
    #[arg(long)]
    hash: bool,
}

/// `plan --detailed-exit-code` with something to do.
const CHANGES: u8 = 4;

/// The answer, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    plan: &'a Digest,
    steps: Vec<Row>,
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
    let mut rows = orphan_rows(&steps).await;
    rows.extend(preview(&steps, &plan, &goals).await?);
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
    };
    cx.answer(&answer, text);
    Ok(match changes && args.detailed_exit_code {
        true => ExitCode::from(CHANGES),
        false => ExitCode::SUCCESS,
    })
}

/// Each step's decision, in the order they would run. A step that would run gives no output to those after it.
async fn preview(
    steps: &Steps,
    plan: &Plan,
    goals: &std::collections::BTreeSet<StepId>,
) -> Result<Vec<(StepId, Decision)>, Fault> {
    let graph = plan.graph();
    let wanted = graph.closure(goals.iter().cloned());
    let order = graph
        .order()
        .expect("checked when the file was read: needs are acyclic");
    // Ctrl-C ends the process: there is nothing to undo.
    let never = CancellationToken::new();
    let mut outputs = Outputs::new();
    let mut rows = Vec::new();
    for id in order.into_iter().filter(|id| wanted.contains(id)) {
        let decision = match steps.decide(&id, &outputs, &never).await {
            Ok(Verdict::Keep(output)) => {
                outputs.insert(id.clone(), output);
                Decision::skip()
            }
            Ok(Verdict::Act(decision)) => decision,
            // What cannot be observed is said, not guessed.
            Err(fault) if fault.class == FaultClass::Environment => Decision::of(
                steps.usual_action(&id),
                vec![Reason::Unknown { what: said(fault) }],
            ),
            Err(fault) => return Err(fault),
        };
        rows.push((id, decision));
    }
    Ok(rows)
}

/// The failure in one line, with its first cause.
fn said(fault: Fault) -> String {
    let cause = fault.notes.first().and_then(|note| note.lines().next());
    match cause {
        Some(cause) => format!("{}: {cause}", fault.message),
        None => fault.message,
    }
}

/// Without an engine there is nothing to say about orphans.
async fn orphan_rows(steps: &Steps) -> Vec<(StepId, Decision)> {
    let Ok(listing) = steps.listing().await else {
        return Vec::new();
    };
    let orphans = orphans::find(&listing, &steps.plan);
    let remove = || Decision::of(Action::Remove, vec![Reason::Orphan]);
    orphans.into_iter().map(|id| (id, remove())).collect()
}
