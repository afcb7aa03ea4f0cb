//! What there is to say beside the steps of a plan or a run: what only a person can settle, and no step will do.

use std::{collections::BTreeSet, time::SystemTime};

use crate::{
    config::{StepId, StepKind},
    event::Fault,
    proto, report,
    runtime::Instance,
    steps::Steps,
};

/// `kept` are the steps that are up to date.
pub async fn find(steps: &Steps, kept: &BTreeSet<StepId>) -> Result<Vec<String>, Fault> {
    let protos = kept.iter().filter(|id| id.kind == StepKind::Proto);
    let edited = steps.edited_leftovers(&protos.cloned().collect()).await?;
    let mut notices: Vec<_> = proto::edited_notice(&edited).into_iter().collect();
    if !kept.iter().any(|id| id.kind.is_running_service()) {
        return Ok(notices);
    }
    // Without an engine there is nothing to say about what runs.
    if let Ok(listing) = steps.listing().await {
        let instances = listing.instances.iter();
        let kept = instances.filter(|instance| kept.contains(&instance.step));
        notices.extend(kept.filter_map(comes_back));
    }
    Ok(notices)
}

/// Of a secret that shows wherever it is printed.
pub fn not_masked(secret: &str) -> String {
    format!("secret `{secret}` is not masked where it is shown: it has fewer than 4 bytes")
}

/// It runs, and that is all that is asked of it; but not for long, as it seems.
fn comes_back(instance: &Instance) -> Option<String> {
    let every = instance.comes_back_every(SystemTime::now())?;
    let every = report::duration(u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
    Some(format!(
        "`{step}` has exited and was brought back {times} times, about every {every}: see `devenv logs {step}`",
        step = instance.step,
        times = instance.restarts,
    ))
}
