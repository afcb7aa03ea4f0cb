//! What a run would do, and what it would miss, without doing it.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use crate::{
    config::StepId,
    event::{Fault, FaultClass},
    plan::{Action, Decision, Outputs, Reason, Verdict},
    steps::Steps,
};

#[derive(Default)]
pub struct Preview {
    /// Each step's decision, in the order they would run.
    pub rows: Vec<(StepId, Decision)>,
    /// What the steps that act would fail at, as far as can be told now.
    pub faults: Vec<Fault>,
}

impl Preview {
    /// A step that would run gives no output to those after it.
    pub async fn of(steps: &Steps, goals: &BTreeSet<StepId>) -> Self {
        let graph = steps.plan.graph();
        let wanted = graph.closure(goals.iter().cloned());
        let order = graph
            .order()
            .expect("checked when the plan was made: needs are acyclic");
        // Ctrl-C ends the process: there is nothing to undo.
        let never = CancellationToken::new();
        let mut outputs = Outputs::new();
        let mut preview = Self::default();
        for id in order.into_iter().filter(|id| wanted.contains(id)) {
            let decision = match steps.decide(&id, &outputs, &never).await {
                Ok(Verdict::Keep(output)) => {
                    outputs.insert(id.clone(), output);
                    Decision::skip()
                }
                Ok(Verdict::Act(decision)) => {
                    preview.find(steps.missing(&id).await);
                    preview.find(steps.proto_collision(&id).await.into_iter().collect());
                    decision
                }
                Err(fault) => preview.cannot_tell(steps, &id, fault).await,
            };
            preview.rows.push((id, decision));
        }
        preview
    }

    /// What cannot be observed is said, not guessed.
    async fn cannot_tell(&mut self, steps: &Steps, id: &StepId, fault: Fault) -> Decision {
        let missing = steps.missing(id).await;
        let action = steps.usual_action(id);
        // What is missing explains itself better than the step that stumbles over it.
        let found = match missing.is_empty() {
            false => missing,
            true if fault.class == FaultClass::Environment => {
                return Decision::of(action, vec![Reason::Unknown { what: said(fault) }]);
            }
            true => vec![fault],
        };
        let fails = |fault: &Fault| Reason::Fails {
            what: fault.message.clone(),
        };
        let reasons = found.iter().map(fails).collect();
        self.find(found);
        Decision::of(action, reasons)
    }

    /// Several steps may miss the same secret.
    fn find(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }
}

/// What the steps of a run that will act would miss. Costs next to nothing while nothing is missing.
pub async fn missing(steps: &Steps, goals: &BTreeSet<StepId>) -> Result<(), Fault> {
    let wanted = steps.plan.graph().closure(goals.iter().cloned());
    let mut lacking = BTreeMap::new();
    for id in wanted {
        let missing = steps.missing(&id).await;
        if !missing.is_empty() {
            lacking.insert(id, missing);
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    // What is up to date misses nothing, such as a secret it was given before.
    let preview = Preview::of(steps, goals).await;
    let mut found = Preview::default();
    for (id, decision) in preview.rows {
        if decision.action != Action::Skip {
            found.find(lacking.remove(&id).unwrap_or_default());
        }
    }
    match Fault::all(found.faults) {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// The failure in one line, with its first cause.
fn said(fault: Fault) -> String {
    let cause = fault.notes.first().and_then(|note| note.lines().next());
    match cause {
        Some(cause) => format!("{}: {cause}", fault.message),
        None => fault.message,
    }
}
