//! The project's steps as the engine's [`Work`].

use tokio_util::sync::CancellationToken;

use super::{ActContext, Class, Work};
use crate::{
    config::StepId,
    event::Fault,
    plan::{Acted, Decision, Outputs, Verdict},
    steps::Steps,
};

impl Work for Steps {
    fn class(&self, step: &StepId) -> Class {
        // A build keeps the processor busy; what the others wait for is elsewhere.
        match step.kind.runs_a_command() {
            true => Class::Heavy,
            false => Class::Light,
        }
    }

    async fn decide(
        &self,
        step: &StepId,
        upstream: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<Verdict, Fault> {
        let verdict = Steps::decide(self, step, upstream, cancel).await?;
        if matches!(verdict, Verdict::Keep(_)) {
            self.remember_kept(step, upstream, cancel).await?;
            self.replay(step, upstream, cancel).await?;
        }
        Ok(verdict)
    }

    async fn act(
        &self,
        step: &StepId,
        decision: &Decision,
        upstream: &Outputs,
        ActContext { cancel, slot }: ActContext,
    ) -> Result<Acted, Fault> {
        Steps::act(self, step, decision, upstream, &cancel, slot).await
    }
}
