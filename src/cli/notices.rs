//! What there is to say beside the steps of a plan or a run: what only a person can settle, and no step will do.

use std::collections::BTreeSet;

use crate::{
    config::{StepId, StepKind},
    event::Fault,
    proto,
    steps::Steps,
};

/// `kept` are the steps that are up to date.
pub async fn find(steps: &Steps, kept: &BTreeSet<StepId>) -> Result<Vec<String>, Fault> {
    let protos = kept.iter().filter(|id| id.kind == StepKind::Proto);
    let edited = steps.edited_leftovers(&protos.cloned().collect()).await?;
    Ok(proto::edited_notice(&edited).into_iter().collect())
}

/// Of a secret that shows wherever it is printed.
pub fn not_masked(secret: &str) -> String {
    format!("secret `{secret}` is not masked where it is shown: it has fewer than 4 bytes")
}
