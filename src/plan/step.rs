//! The nodes of a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Digest, Input, Inputs, Reason};
use crate::config::{KeyPath, Source, StepId, StepKind};

/// One node: what it is, what must have finished before it, and what its definition says.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub id: StepId,
    pub kind: StepKind,
    /// Where in the file it is defined.
    pub site: KeyPath,
    /// Steps that must have finished first.
    pub needs: BTreeSet<StepId>,
    /// The needs whose output is an input of this step: when one runs, this one may have to.
    pub feeds: BTreeSet<StepId>,
    /// What the file says of it, field by field: the static part of its inputs.
    pub definition: Inputs,
    /// What else is known of it on every machine: fields that never replace it (readiness, names inside a database) and the
    /// contents of [`super::sources`]. Part of the plan's hash only.
    pub aside: Inputs,
    /// Files and folders of the project that it writes. Two steps that write the same never do at once.
    #[serde(skip)]
    pub writes: BTreeSet<PathBuf>,
}

impl Step {
    /// All that is known of it on every machine, field by field: where a value comes from the environment, what the file says.
    pub fn facts(&self, source: &Source) -> Inputs {
        let fields = self.definition.0.iter().chain(&self.aside.0);
        let mut facts: BTreeMap<_, _> = fields
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        for (field, written) in source.from_environment(&self.site) {
            if let Some(value) = facts.get_mut(&field) {
                *value = Input::Text(written);
            }
        }
        Inputs(facts)
    }

    /// Whether it may write this path of the project, or something in it.
    pub fn may_write(&self, path: &Path) -> bool {
        let mut writes = self.writes.iter();
        writes.any(|own| own.starts_with(path) || path.starts_with(own))
    }
}

/// All steps of a project. The same commit gives the same hash on every machine.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    pub project: String,
    pub steps: BTreeMap<StepId, Step>,
    pub hash: Digest,
}

/// What a step does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: it is as wanted.
    Skip,
    /// Run a command or generator.
    Run,
    /// Take over what the same command left when it had the same inputs.
    Restore,
    Install,
    /// Get an image from a registry.
    Pull,
    Build,
    /// Start what is not there or stopped.
    Start,
    /// Stop and start the same thing.
    Restart,
    /// Replace it by a new one; its data stay.
    Recreate,
    /// Apply migrations.
    Apply,
    /// Remove what the file no longer mentions.
    Remove,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Skip => "skip",
            Action::Run => "run",
            Action::Restore => "restore",
            Action::Install => "install",
            Action::Pull => "pull",
            Action::Build => "build",
            Action::Start => "start",
            Action::Restart => "restart",
            Action::Recreate => "recreate",
            Action::Apply => "apply",
            Action::Remove => "remove",
        }
    }
}

/// What a step would do now, and why. A skip has no reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub action: Action,
    pub reasons: Vec<Reason>,
}

impl Decision {
    pub fn skip() -> Self {
        Self {
            action: Action::Skip,
            reasons: Vec::new(),
        }
    }

    pub fn of(action: Action, reasons: Vec<Reason>) -> Self {
        Self { action, reasons }
    }
}

/// What a finished step hands to the steps that need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Identity of the content it made: an image id, a digest of generated files. Empty where only order matters.
    pub digest: String,
    /// Values for the steps downstream: `port.http` → `8080`.
    pub values: BTreeMap<String, String>,
}

/// Outputs of the steps that have finished. In a plan, a step that would run is missing here.
pub type Outputs = BTreeMap<StepId, Output>;

/// What a step decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do: it is as wanted, and this is its output.
    Keep(Output),
    Act(Decision),
}

impl Verdict {
    pub fn act(action: Action, reasons: Vec<Reason>) -> Self {
        Verdict::Act(Decision::of(action, reasons))
    }
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acted {
    pub output: Output,
    /// Past tense with a number: `Applied 3 migrations to postgres.db`.
    pub summary: String,
}
