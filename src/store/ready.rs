//! Which run of a step was seen to be ready, and by which probe.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{config::StepId, plan::Inputs};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// A name of the run that no other has; `None` when it was not asked for.
    pub run: Option<String>,
    /// What the file said of the probe, field by field.
    pub probe: Inputs,
}

impl Store {
    /// `None` when it was never seen to be ready, or this is not known.
    pub fn readiness(&self, step: &StepId) -> Option<Readiness> {
        self.read(&self.readiness_path(step))
    }

    pub fn save_readiness(&self, step: &StepId, readiness: &Readiness) -> Result<(), StoreError> {
        self.write(&self.readiness_path(step), readiness)
    }

    fn readiness_path(&self, step: &StepId) -> std::path::PathBuf {
        self.dir.join("ready").join(format!("{step}.json"))
    }
}
