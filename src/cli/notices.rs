//! What there is to say beside the steps of a plan or a run: what only a person can settle, and no step will do.

use std::{collections::BTreeSet, time::SystemTime};

use crate::{
    config::{StepId, StepKind},
    event::{Fault, quoted},
    proto, report,
    runtime::Instance,
    steps::Steps,
};

/// `kept` are the steps that are up to date.
pub async fn find(steps: &Steps, kept: &BTreeSet<StepId>) -> Result<Vec<String>, Fault> {
    let protos = kept.iter().filter(|id| id.kind == StepKind::Proto);
    let edited = steps.edited_leftovers(&protos.cloned().collect()).await?;
    let mut notices: Vec<_> = proto::edited_notice(&edited).into_iter().collect();
    let absent = steps.absent_secrets_of(kept).into_iter();
    notices.extend(
        absent.map(|(fault, ids)| absent_secret(fault.located(&steps.config.source), &ids)),
    );
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

/// What runs needs it no more; until it is started again.
fn absent_secret(fault: Fault, ids: &[&StepId]) -> String {
    let place = fault.site.iter().map(|site| format!("{site}: "));
    let why = fault.label.iter().map(|why| format!(": {why}"));
    let (stay, need) = match ids.len() {
        1 => ("stays as it is", "needs"),
        _ => ("stay as they are", "need"),
    };
    format!(
        "{}{}{}; {} {stay}, and {need} it for the next start",
        place.collect::<String>(),
        fault.message,
        why.collect::<String>(),
        quoted(ids),
    )
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
