//! A closer look at what runs by the listing, which is a moment old and does not count restarts.

use std::time::SystemTime;

use bollard::models::{ContainerInspectResponse, ContainerState};
use futures_util::future::try_join_all;

use super::{Docker, engine::status, exited::started_at};
use crate::runtime::{Instance, InstanceState, Link, RuntimeError};

impl Docker {
    /// All at once; what is gone meanwhile is left out.
    pub(super) async fn look_at(
        &self,
        listed: Vec<Instance>,
    ) -> Result<Vec<Instance>, RuntimeError> {
        let looks = listed
            .into_iter()
            .map(|instance| self.look_closer(instance));
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn look_closer(&self, instance: Instance) -> Result<Option<Instance>, RuntimeError> {
        match instance.state {
            InstanceState::Running | InstanceState::Restarting => {}
            InstanceState::Created
            | InstanceState::Paused
            | InstanceState::Exited { .. }
            | InstanceState::Dead => return Ok(Some(instance)),
        }
        let container = match self.engine().inspect(&instance.id).await {
            Ok(container) => container,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => {
                let action = format!("inspect `{}`", instance.step);
                return Err(self.engine().fail(action, error));
            }
        };
        let link = self.link_of(&container);
        let state = container.state.unwrap_or_default();
        let restarts = container.restart_count.unwrap_or_default();
        Ok(Some(Instance {
            state: state_of(&state),
            started: started_at(&state).map(SystemTime::from),
            restarts: restarts.max(0).unsigned_abs(),
            link,
            ..instance
        }))
    }

    /// An engine names a network by its name or its id, the one that the container was made with.
    pub(super) fn link_of(&self, container: &ContainerInspectResponse) -> Link {
        let host = container.host_config.as_ref();
        let own = host.and_then(|host| host.network_mode.as_ref());
        let is_own = |name: &String| *name == self.identity().id || Some(name) == own;
        let settings = container.network_settings.as_ref();
        let Some(networks) = settings.and_then(|settings| settings.networks.as_ref()) else {
            return Link::Up;
        };
        let is_in = networks
            .iter()
            .any(|(name, end)| is_own(name) || end.network_id.as_ref().is_some_and(is_own));
        match is_in {
            true => Link::Up,
            false => Link::Cut,
        }
    }
}

/// Between two runs a container counts as running and as restarting.
fn state_of(state: &ContainerState) -> InstanceState {
    let is = |flag: Option<bool>| flag == Some(true);
    match () {
        () if is(state.restarting) => InstanceState::Restarting,
        () if is(state.paused) => InstanceState::Paused,
        () if is(state.running) => InstanceState::Running,
        () if is(state.dead) => InstanceState::Dead,
        () if started_at(state).is_none() => InstanceState::Created,
        () => InstanceState::Exited {
            code: state.exit_code.unwrap_or(-1),
        },
    }
}
