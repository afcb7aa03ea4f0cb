//! Things of this worktree that are still there although the file no longer mentions them: containers, generated code.

use std::time::Instant;

use crate::{
    config::{StepId, StepKind},
    event::{Event, Explain, Fault, Outcome, count},
    plan::{Action, Decision, Plan, Reason},
    proto::Leftover,
    runtime::{Identity, Listing, Runtime},
    steps::Steps,
    store::Store,
};

pub fn find(listing: &Listing, plan: &Plan) -> Vec<StepId> {
    let steps = listing.instances.iter().map(|instance| &instance.step);
    let unknown = steps.filter(|step| !plan.steps.contains_key(step));
    unknown.cloned().collect()
}

/// What is left of another name and cannot be told for sure to be this project's: another one may see its folder by the same path.
/// From now on the advice holds: the project is that one when it gets its name.
pub fn former(store: &Store, id: &str) -> Result<String, Fault> {
    store.add_former(id).map_err(|error| error.explain())?;
    let name = Identity::name_of(id);
    Ok(format!(
        "a project `{name}` was in this folder, and its containers are left: \
         if it was this one, set `name = \"{name}\"` and run `devenv down` to stop them"
    ))
}

/// Removes them, each with its reason in the events. Their volumes stay.
pub async fn remove(steps: &Steps, listing: &Listing) -> Result<(), Fault> {
    let events = &steps.events;
    // What the project had under the name it had until now is stopped like what another runtime has.
    let left = steps.store.identity();
    let told = listing
        .former
        .iter()
        .filter(|id| Some(*id) != left.as_ref());
    for id in told {
        events.notice(former(&steps.store, id)?);
    }
    for step in find(listing, &steps.plan) {
        let decision = Decision::of(Action::Remove, vec![Reason::Orphan]);
        let removal = async {
            let runtime = steps.runtime()?;
            runtime
                .remove(&step)
                .await
                .map_err(|error| error.explain())?;
            Ok(format!("Removed its {}", runtime.kind().unit()))
        };
        shown(steps, &step, decision, removal).await?;
    }
    Ok(())
}

/// Generated code of tables that are gone, each as a step to be removed. What was edited is nobody's to remove.
pub async fn generated(steps: &Steps) -> Result<Vec<(StepId, Decision, Leftover)>, Fault> {
    let leftovers = steps.generated_leftovers().await?.into_iter();
    let ours = leftovers.filter(|leftover| !leftover.unchanged.is_empty());
    Ok(ours
        .map(|leftover| {
            let files = leftover.unchanged.iter().map(|path| Reason::Output {
                path: path.clone(),
                state: "is no longer generated".into(),
            });
            let reasons = [Reason::Orphan].into_iter().chain(files).collect();
            let id = StepId::new(StepKind::Proto, &leftover.table);
            (id, Decision::of(Action::Remove, reasons), leftover)
        })
        .collect())
}

/// Deletes it, each table with its reason in the events.
pub async fn remove_generated(steps: &Steps) -> Result<(), Fault> {
    for (step, decision, leftover) in generated(steps).await? {
        let removal = async {
            steps.remove_generated(&leftover).await?;
            let files = count(leftover.unchanged.len(), "generated file");
            Ok(format!("Deleted {files}"))
        };
        shown(steps, &step, decision, removal).await?;
        steps.store.forget(&step).map_err(|error| error.explain())?;
    }
    Ok(())
}

/// A removal as the events of a step. Gives its failure, which was shown.
pub async fn shown(
    steps: &Steps,
    step: &StepId,
    decision: Decision,
    removal: impl Future<Output = Result<String, Fault>>,
) -> Result<(), Fault> {
    let started = Instant::now();
    steps.events.send(Event::StepStarted {
        step: step.clone(),
        decision,
    });
    let result = removal.await;
    let outcome = match &result {
        Ok(summary) => Outcome::Done {
            summary: summary.clone(),
        },
        Err(fault) => Outcome::Failed {
            fault: fault.clone(),
        },
    };
    steps.events.send(Event::StepFinished {
        step: step.clone(),
        outcome,
        duration_ms: started.elapsed().as_millis() as u64,
    });
    result.map(drop)
}
