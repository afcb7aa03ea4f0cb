//! Things of this worktree that still run although the file no longer mentions them.

use std::time::Instant;

use crate::{
    config::StepId,
    event::{Event, Explain, Fault, Outcome},
    plan::{Action, Decision, Plan, Reason},
    runtime::{Listing, Runtime},
    steps::Steps,
};

pub fn find(listing: &Listing, plan: &Plan) -> Vec<StepId> {
    let steps = listing.instances.iter().map(|instance| &instance.step);
    let unknown = steps.filter(|step| !plan.steps.contains_key(step));
    unknown.cloned().collect()
}

/// Removes them, each with its reason in the events. Their volumes stay.
pub async fn remove(steps: &Steps, listing: &Listing) -> Result<(), Fault> {
    let events = &steps.events;
    for name in &listing.former {
        let message = format!(
            "this project was called `{name}`, and containers of that name are left: \
             set `name` back and run `devenv down` to stop them"
        );
        events.send(Event::Notice {
            step: None,
            message,
        });
    }
    for step in find(listing, &steps.plan) {
        let started = Instant::now();
        events.send(Event::StepStarted {
            step: step.clone(),
            decision: Decision::of(Action::Remove, vec![Reason::Orphan]),
        });
        let result = steps.runtime()?.remove(&step).await;
        let outcome = match &result {
            Ok(()) => Outcome::Done {
                summary: "Removed its container".into(),
            },
            Err(error) => Outcome::Failed {
                fault: error.explain(),
            },
        };
        events.send(Event::StepFinished {
            step,
            outcome,
            duration_ms: started.elapsed().as_millis() as u64,
        });
        result.map_err(|error| error.explain())?;
    }
    Ok(())
}
