//! Whether what was started is ready, and stays up.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;

use super::{Cx, Steps, container, postgres};
use crate::{
    config::{Probe, Ready, Restart, Service, StepId, StepKind, duration},
    event::{Explain, Fault},
    plan::{self, Decision, Inputs, Outputs, Reason},
    runtime::{Instance, InstanceState, LOOK, ProbeTarget, Runtime, STABLE, look, probe},
    store::Readiness,
};

/// How long a TCP connection has to stay open: to something that was just started, and to something that was ready before.
const STAYS_OPEN: Duration = Duration::from_millis(100);
const STAYS_OPEN_AGAIN: Duration = Duration::from_millis(20);

/// How long something without a probe is watched after its start. A wrong command or a missing variable ends a program within
/// some milliseconds; this leaves a busy machine room for that, and what waits for the step hardly notices it.
const SETTLE: Duration = Duration::from_millis(250);

/// How the wait after a start ended well.
pub(super) enum Settled {
    /// It is ready, or without a probe: it still runs.
    Runs,
    /// It did what it was for and stays down.
    Ended,
}

impl Steps {
    /// Remembers of something that was just seen to be as wanted which run that was, should it not be known.
    pub async fn remember_kept(
        &self,
        id: &StepId,
        outputs: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<(), Fault> {
        let Some(probe @ Probe::Log { .. }) = self.ready(id).and_then(|r| r.probe.as_ref()) else {
            return Ok(());
        };
        let cx = self.cx(id, outputs, cancel);
        let Some(instance) = cx.instance().await? else {
            return Ok(());
        };
        match run_of(&instance) {
            Some(run) if !cx.was_ready(probe, &instance) => cx.remember_ready(Some(run), probe),
            _ => Ok(()),
        }
    }

    /// When something of the user's that runs counts as ready.
    fn ready(&self, id: &StepId) -> Option<&Ready> {
        self.service(id)?.ready.as_ref()
    }

    /// Whether something runs and yet is not ready, by one quick look. What cannot be told so is no: a slow answer, a database whose
    /// password a command of the user's gives.
    pub async fn is_not_ready(&self, instance: &Instance) -> bool {
        let step = &instance.step;
        if instance.state != InstanceState::Running || !self.plan.steps.contains_key(step) {
            return false;
        }
        let (outputs, cancel) = (Outputs::new(), CancellationToken::new());
        let cx = self.cx(step, &outputs, &cancel);
        if step.kind == StepKind::Postgres {
            return postgres::does_not_answer(&cx, instance).await;
        }
        let look = cx.not_ready(self.ready(step), instance, Duration::ZERO);
        matches!(tokio::time::timeout(LOOK, look).await, Ok(Ok(Some(_))))
    }
}

fn probe_inputs(probe: &Probe) -> Inputs {
    let mut inputs = Inputs::default();
    for (key, value) in probe.keys() {
        inputs.text(format!("ready.{key}"), value);
    }
    inputs
}

/// Another one after each start of the same container.
fn run_of(instance: &Instance) -> Option<String> {
    let since_epoch = instance.started?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", instance.id, since_epoch.as_nanos()))
}

impl Cx<'_> {
    /// A look at a container that is said to run: what its probe saw when it is not ready. Tries for `time` when it is not.
    pub(super) async fn not_ready(
        &self,
        ready: Option<&Ready>,
        instance: &Instance,
        time: Duration,
    ) -> Result<Option<String>, Fault> {
        let Some(target) = self.probe_target(ready, &instance.ports)? else {
            return Ok(None);
        };
        if self.was_ready(&target.probe, instance) {
            return Ok(None);
        }
        let target = ProbeTarget {
            stays_open: STAYS_OPEN_AGAIN,
            ..target
        };
        match look(self.steps.runtime()?, &target, time, &self.cancel).await {
            Ok(seen) => Ok(seen.err()),
            // The start that follows says it in full.
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Waits until it is ready, or says why it is not, with its last log lines.
    pub(super) async fn wait_ready(
        &self,
        service: &Service,
        ports: &BTreeMap<String, u16>,
    ) -> Result<Settled, Fault> {
        let Some(target) = self.probe_target(service.ready.as_ref(), ports)? else {
            return self.settle(service.restart).await;
        };
        self.events.message("waiting until it is ready");
        // Looked at first: what takes its place meanwhile is another run.
        let run = self.run_to_remember(&target.probe).await?;
        match probe(self.steps.runtime()?, &target, &self.cancel).await {
            Ok(()) => {
                self.remember_ready(run, &target.probe)?;
                Ok(Settled::Runs)
            }
            Err(error) => Err(self.with_last_log(error.explain()).await),
        }
    }

    /// This very run has written the line of its log probe before. The log may be long by now, and the engine keeps only its end.
    fn was_ready(&self, probe: &Probe, instance: &Instance) -> bool {
        let run = match probe {
            Probe::Log { .. } => run_of(instance),
            Probe::Http { .. } | Probe::Tcp { .. } | Probe::Exec { .. } => None,
        };
        let seen = self.steps.store.readiness(self.id());
        run.is_some()
            && seen.is_some_and(|seen| seen.run == run && seen.probe == probe_inputs(probe))
    }

    async fn run_to_remember(&self, probe: &Probe) -> Result<Option<String>, Fault> {
        if !matches!(probe, Probe::Log { .. }) {
            return Ok(None);
        }
        let listing = self.steps.runtime()?.list().await;
        let listing = listing.map_err(|error| error.explain())?;
        let mut instances = listing.instances.iter();
        let instance = instances.find(|instance| instance.step == *self.id());
        Ok(instance.and_then(run_of))
    }

    fn remember_ready(&self, run: Option<String>, probe: &Probe) -> Result<(), Fault> {
        let probe = probe_inputs(probe);
        let readiness = Readiness { run, probe };
        let saved = self.steps.store.save_readiness(self.id(), &readiness);
        saved.map_err(|error| error.explain())
    }

    /// What the file says of its probe otherwise than when it was last seen to be ready after a start.
    pub(super) fn changed_probe(&self, ready: Option<&Ready>) -> Vec<Reason> {
        let probe = ready.and_then(|ready| ready.probe.as_ref());
        match (probe, self.steps.store.readiness(self.id())) {
            (Some(probe), Some(seen)) => probe_inputs(probe).changes_since(&seen.probe),
            _ => Vec::new(),
        }
    }

    /// Without a probe, what has started is ready: unless it ends at once.
    async fn settle(&self, restart: Restart) -> Result<Settled, Fault> {
        let ended = tokio::select! {
            ended = self.steps.runtime()?.exited_within(self.id(), SETTLE) => ended,
            () = self.cancel.cancelled() => return Err(super::cancelled(self)),
        };
        let Some(code) = ended.map_err(|error| error.explain())? else {
            return Ok(Settled::Runs);
        };
        if code == 0 && restart != Restart::UnlessStopped {
            return Ok(Settled::Ended);
        }
        let mut fault = Fault::new(format!(
            "`{}` exited with code {code} right after it was started",
            self.id()
        ));
        if code == 0 {
            fault = fault.help(
                "a service keeps running: one that only has something to do takes `restart = \"no\"`",
            );
        }
        Err(self.with_last_log(fault).await)
    }

    /// What exited again and again has to show that it stays up now, also when it was ready in between.
    pub(super) async fn stays_up(&self, decision: &Decision) -> Result<(), Fault> {
        let Some(times) = container::restarts(decision) else {
            return Ok(());
        };
        self.events.message(format!(
            "watching whether it stays up for {}",
            duration::format(STABLE)
        ));
        let ended = tokio::select! {
            ended = self.steps.runtime()?.exited_within(self.id(), STABLE) => ended,
            () = self.cancel.cancelled() => return Err(super::cancelled(self)),
        };
        let Some(code) = ended.map_err(|error| error.explain())? else {
            return Ok(());
        };
        let fault = Fault::new(format!(
            "`{}` does not stay up: it exited with code {code}, and was restarted {} before",
            self.id(),
            plan::times(times)
        ));
        Err(self.with_last_log(fault).await)
    }

    /// `None` when starting is all there is to wait for.
    fn probe_target(
        &self,
        ready: Option<&Ready>,
        ports: &BTreeMap<String, u16>,
    ) -> Result<Option<ProbeTarget>, Fault> {
        let Some((probe, timeout)) = ready.and_then(|r| Some((r.probe.clone()?, r.timeout))) else {
            return Ok(None);
        };
        Ok(Some(ProbeTarget {
            step: self.id().clone(),
            host: self.steps.runtime()?.host().to_owned(),
            ports: ports.clone(),
            probe,
            timeout,
            stays_open: STAYS_OPEN,
        }))
    }
}
