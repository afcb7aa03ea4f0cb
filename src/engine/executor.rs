//! One step at a time: has it decide, has it act, and turns whatever comes of it, a panic too, into one result.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::state::Class;
use crate::{
    config::StepId,
    event::{Fault, FaultClass},
    plan::{Acted, Decision, Outputs, Verdict},
};

/// What steps are and do: the engine's only view of them. `upstream` holds the outputs of all needs, direct or not.
///
/// Both futures are dropped where they wait when the run is ended at once, so what they start must die with them.
pub trait Work: Send + Sync + 'static {
    /// What the step costs while it acts.
    fn class(&self, step: &StepId) -> Class;

    /// Looks whether there is something to do. Changes nothing, though it may remember what it saw.
    fn decide(
        &self,
        step: &StepId,
        upstream: &Outputs,
        cancel: &CancellationToken,
    ) -> impl Future<Output = Result<Verdict, Fault>> + Send;

    /// Does what was decided. Once `context.cancel` fires it returns soon, leaving nothing half done behind.
    fn act(
        &self,
        step: &StepId,
        decision: &Decision,
        upstream: &Outputs,
        context: ActContext,
    ) -> impl Future<Output = Result<Acted, Fault>> + Send;
}

/// What a step gets to act with.
pub struct ActContext {
    pub cancel: CancellationToken,
    pub slot: Slot,
}

/// A step's place in its class. Dropped when only waiting is left (for readiness, say), it lets another step go on.
pub struct Slot {
    step: StepId,
    freed: mpsc::UnboundedSender<StepId>,
}

impl Slot {
    pub(super) fn new(step: StepId, freed: mpsc::UnboundedSender<StepId>) -> Self {
        Self { step, freed }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Nobody asks any more once the run is over.
        let _ = self.freed.send(self.step.clone());
    }
}

/// What one phase of a step came to.
pub(super) enum Phase {
    Decided(Result<Verdict, Stop>),
    Acted(Result<Acted, Stop>),
}

/// Why a step ended without success.
pub(super) enum Stop {
    Failed(Box<Fault>),
    /// It obeyed the cancel, whatever words it found for that.
    Cancelled,
}

pub(super) async fn decide<W: Work>(
    work: Arc<W>,
    step: StepId,
    upstream: Outputs,
    cancel: CancellationToken,
) -> (StepId, Phase) {
    let future = async { work.decide(&step, &upstream, &cancel).await };
    let result = AssertUnwindSafe(future).catch_unwind().await;
    let result = settle(&step, result, &cancel);
    (step, Phase::Decided(result))
}

pub(super) async fn act<W: Work>(
    work: Arc<W>,
    step: StepId,
    decision: Decision,
    upstream: Outputs,
    context: ActContext,
) -> (StepId, Phase) {
    let cancel = context.cancel.clone();
    let future = async { work.act(&step, &decision, &upstream, context).await };
    let result = AssertUnwindSafe(future).catch_unwind().await;
    let result = settle(&step, result, &cancel);
    (step, Phase::Acted(result))
}

/// An error from before the cancel is a failure, one from after it is how the step obeyed. A panic is always a failure.
fn settle<T>(
    step: &StepId,
    result: Result<Result<T, Fault>, Box<dyn Any + Send>>,
    cancel: &CancellationToken,
) -> Result<T, Stop> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) if cancel.is_cancelled() => Err(Stop::Cancelled),
        Ok(Err(fault)) => Err(Stop::Failed(Box::new(fault))),
        Err(panic) => Err(Stop::Failed(Box::new(bug(step, panic.as_ref())))),
    }
}

fn bug(step: &StepId, panic: &(dyn Any + Send)) -> Fault {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Fault::new(format!("devenv itself failed in `{step}`"))
        .class(FaultClass::Bug)
        .note(format!("panic: {text}"))
        .help("this is a defect of devenv, please report it with the run log of `.devenv/runs`")
}
