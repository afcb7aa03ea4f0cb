//! The wait for a container's end.
//!
//! The engine's events tell it, from the container's last start on: that misses nothing that happens between looking
//! and listening. The engine's own `wait` does not do: it says 0 when a restart policy is quicker than its answer.

use std::collections::HashMap;

use bollard::{
    models::{ContainerState, EventMessage, RestartPolicyNameEnum},
    query_parameters::{EventsOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::{StreamExt, pin_mut};
use jiff::Timestamp;

use super::{Docker, engine::status};
use crate::{config::StepId, runtime::RuntimeError};

impl Docker {
    pub(super) async fn wait_for_exit(&self, step: &StepId) -> Result<i64, RuntimeError> {
        let action = || format!("wait for `{step}`");
        let name = self.container_name(step);
        let container = self.engine().client().inspect_container(&name, None).await;
        let container = container.map_err(|error| match status(&error) {
            Some(404) => RuntimeError::NotRunning { step: step.clone() },
            _ => self.engine().fail(action(), error),
        })?;
        let state = container.state.unwrap_or_default();
        let started = time(state.started_at.as_deref());
        if started.is_some() && has_ended(&state) {
            return Ok(state.exit_code.unwrap_or(-1));
        }
        let id = container.id.unwrap_or(name);
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
            ("event", vec!["die".to_owned(), "destroy".to_owned()]),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(started) = started {
            let nanos = started.subsec_nanosecond();
            options = options.since(&format!("{}.{nanos:09}", started.as_second()));
        }
        let events = self.engine().patient().events(Some(options.build()));
        pin_mut!(events);
        match events.next().await {
            Some(Ok(event)) if event.action.as_deref() == Some("die") => {
                let code = exit_code(event);
                if !comes_back {
                    self.settle(&id).await;
                }
                Ok(code)
            }
            Some(Ok(_)) => Err(RuntimeError::NotRunning { step: step.clone() }),
            Some(Err(error)) => Err(self.engine().fail(action(), error)),
            None => Err(self
                .engine()
                .gone(action(), "its stream of events has ended")),
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

/// Between two runs it has ended, though the engine counts it as running.
fn has_ended(state: &ContainerState) -> bool {
    state.running != Some(true) || state.restarting == Some(true)
}

/// `None` for the engine's zero time: it never happened.
fn time(text: Option<&str>) -> Option<Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
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
