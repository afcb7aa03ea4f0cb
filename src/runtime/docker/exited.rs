//! The wait for a container's end.
//!
//! The engine's events tell it, from the container's last start on: that misses nothing that happens between looking
//! and listening. The engine's own `wait` does not do: it says 0 when a restart policy is quicker than its answer.

use std::{collections::HashMap, time::Duration};

use bollard::{
    models::{ContainerInspectResponse, ContainerState, EventMessage, RestartPolicyNameEnum},
    query_parameters::{EventsOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::{StreamExt, pin_mut};
use jiff::Timestamp;

use super::{Docker, engine::status};
use crate::{config::StepId, runtime::RuntimeError};

impl Docker {
    pub(super) async fn wait_for_exit(&self, step: &StepId) -> Result<i64, RuntimeError> {
        let container = self.look(step).await?;
        match ended(&container) {
            Some(code) => Ok(code),
            None => self.next_exit(step, container).await,
        }
    }

    pub(super) async fn wait_for_early_exit(
        &self,
        step: &StepId,
        time: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        let container = self.look(step).await?;
        if let Some(code) = ended(&container) {
            return Ok(Some(code));
        }
        tokio::select! {
            biased;
            code = self.next_exit(step, container) => return code.map(Some),
            () = tokio::time::sleep(time) => {}
        }
        // While the engine is at work on an end it holds this answer back, though it has not told of the end yet.
        Ok(ended(&self.look(step).await?))
    }

    async fn look(&self, step: &StepId) -> Result<ContainerInspectResponse, RuntimeError> {
        let name = self.container_name(step);
        let container = self.engine().inspect(&name).await;
        container.map_err(|error| match status(&error) {
            Some(404) => RuntimeError::NotRunning { step: step.clone() },
            _ => self.engine().fail(waiting(step), error),
        })
    }

    /// The end of the run that this look at the container has seen.
    async fn next_exit(
        &self,
        step: &StepId,
        container: ContainerInspectResponse,
    ) -> Result<i64, RuntimeError> {
        let id = container.id.unwrap_or_else(|| self.container_name(step));
        let policy = container.host_config.and_then(|host| host.restart_policy);
        let comes_back = policy.and_then(|policy| policy.name).is_some_and(|name| {
            !matches!(
                name,
                RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY
            )
        });
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("container", vec![id.clone()]),
            // Podman filters by its own names, and answers with Docker's.
            (
                "event",
                ["die", "died", "destroy", "remove"]
                    .map(str::to_owned)
                    .into(),
            ),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(started) = container.state.as_ref().and_then(started_at) {
            let nanos = started.subsec_nanosecond();
            options = options.since(&format!("{}.{nanos:09}", started.as_second()));
        }
        let events = self.engine().patient().events(Some(options.build()));
        pin_mut!(events);
        match events.next().await {
            Some(Ok(event)) if matches!(event.action.as_deref(), Some("die" | "died")) => {
                let code = exit_code(event);
                if !comes_back {
                    self.settle(&id).await;
                }
                Ok(code)
            }
            Some(Ok(_)) => Err(RuntimeError::NotRunning { step: step.clone() }),
            Some(Err(error)) => Err(self.engine().fail(waiting(step), error)),
            None => Err(self
                .engine()
                .gone(waiting(step), "its stream of events has ended")),
        }
    }

    /// The engine reports an end a moment before its listing shows it; who starts the container again must see it.
    async fn settle(&self, id: &str) {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let wait = self.engine().client().wait_container(id, Some(options));
        pin_mut!(wait);
        // Whatever this says, the end is known.
        let _ = wait.next().await;
    }
}

fn waiting(step: &StepId) -> String {
    format!("wait for `{step}`")
}

/// With which code, when it has been started and does not run. Between two runs it has ended, though the engine counts it
/// as running.
fn ended(container: &ContainerInspectResponse) -> Option<i64> {
    let state = container.state.as_ref()?;
    let ended = state.running != Some(true) || state.restarting == Some(true);
    (ended && started_at(state).is_some()).then(|| state.exit_code.unwrap_or(-1))
}

/// `None` for the engine's zero time: it never happened.
pub(super) fn started_at(state: &ContainerState) -> Option<Timestamp> {
    let time: Timestamp = state.started_at.as_deref()?.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

/// Docker and Podman name the attribute differently.
fn exit_code(event: EventMessage) -> i64 {
    let attributes = event
        .actor
        .and_then(|actor| actor.attributes)
        .unwrap_or_default();
    let code = attributes
        .get("exitCode")
        .or_else(|| attributes.get("containerExitCode"));
    code.and_then(|code| code.parse().ok()).unwrap_or(-1)
}
