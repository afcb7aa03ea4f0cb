//! `devenv plan`: what `up` would do and why. Changes nothing, and works with the engine off.

use std::{collections::BTreeSet, process::ExitCode};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    context::{Context, Faults},
    orphans, run_steps,
};
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
    /// Steps to plan, with all they need; everything but tasks when absent.
    steps: Vec<StepId>,
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
    let goals = run_steps::goals(&plan, &args.steps)?;
    let steps = cx.steps(cx.silent_events())?;
    let mut rows = orphan_rows(&steps).await?;
    let (previewed, faults) = preview(&steps, &plan, &goals).await;
    rows.extend(previewed);
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
    if !faults.is_empty() {
        return Err(cx.show_all(Faults(faults)));
    }
    Ok(match changes && args.detailed_exit_code {
        true => ExitCode::from(CHANGES),
        false => ExitCode::SUCCESS,
    })
}

/// Each step's decision, in the order they would run, and what would fail. A step that would run gives no output to those after it.
async fn preview(
    steps: &Steps,
    plan: &Plan,
    goals: &BTreeSet<StepId>,
) -> (Vec<(StepId, Decision)>, Vec<Fault>) {
    let graph = plan.graph();
    let wanted = graph.closure(goals.iter().cloned());
    let order = graph
        .order()
        .expect("checked when the file was read: needs are acyclic");
    let wrong = steps.check(&wanted).await;
    // Ctrl-C ends the process: there is nothing to undo.
    let never = CancellationToken::new();
    let mut outputs = Outputs::new();
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for id in order.into_iter().filter(|id| wanted.contains(id)) {
        let of_step = wrong.iter().filter(|(step, _)| *step == id);
        let known: Vec<_> = of_step.map(|(_, fault)| fault.clone()).collect();
        let verdict = match known.is_empty() {
            true => steps
                .decide(&id, &outputs, &never)
                .await
                .map_err(|fault| vec![fault]),
            false => Err(known),
        };
        let decision = match verdict {
            Ok(Verdict::Keep(output)) => {
                outputs.insert(id.clone(), output);
                Decision::skip()
            }
            Ok(Verdict::Act(decision)) => decision,
            Err(found) => {
                let reasons = found.iter().map(reason).collect();
                // What cannot be observed is said, and fails nothing.
                faults.extend(found.into_iter().filter(|fault| !is_unknown(fault)));
                Decision::of(steps.usual_action(&id), reasons)
            }
        };
        rows.push((id, decision));
    }
    (rows, faults)
}

fn is_unknown(fault: &Fault) -> bool {
    fault.class == FaultClass::Environment
}

fn reason(fault: &Fault) -> Reason {
    match is_unknown(fault) {
        true => Reason::Unknown { what: said(fault) },
        false => Reason::Fails {
            what: fault.message.clone(),
        },
    }
}

/// The failure in one line, with its first cause.
fn said(fault: &Fault) -> String {
    let cause = fault.notes.first().and_then(|note| note.lines().next());
    match cause {
        Some(cause) => format!("{}: {cause}", fault.message),
        None => fault.message.clone(),
    }
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
