//! A step's whole inputs: what its definition says and what the steps it feeds on gave.

use super::Cx;
use crate::{
    plan::{Digest, Inputs, Reason},
    runtime::RuntimeKind,
};

/// Inputs known so far, and a reason for each step it feeds on that has yet to run.
pub(super) struct Known {
    pub inputs: Inputs,
    pub waiting: Vec<Reason>,
}

impl Cx<'_> {
    pub(super) fn known_inputs(&self) -> Known {
        let mut inputs = self.step.definition.clone();
        let mut waiting = Vec::new();
        let keeps_running = self.step.kind.is_running_service();
        if keeps_running {
            inputs.0.retain(|field, _| self.steps.concerns(field));
        }
        for feed in &self.step.feeds {
            if keeps_running && self.steps.has_no_use_for(feed) {
                continue;
            }
            match self.outputs.get(feed) {
                Some(output) => {
                    // The digest of an output tells people nothing.
                    inputs.content(feed.to_string(), Digest::of(&output.digest));
                }
                None => waiting.push(Reason::Upstream { step: feed.clone() }),
            }
        }
        if keeps_running && self.steps.kind() == RuntimeKind::Process {
            self.addresses(&mut inputs);
        }
        Known { inputs, waiting }
    }

    /// The output of a step that has run. The engine runs it first.
    pub(super) fn output_of(&self, id: &crate::config::StepId) -> &crate::plan::Output {
        self.outputs
            .get(id)
            .expect("the engine finishes a step's needs before it")
    }
}
