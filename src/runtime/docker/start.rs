//! Makes the container of a step be what its spec says, from whatever a killed, concurrent or older run left.
//!
//! One attempt looks, decides and acts; when the world changed in between, the next attempt looks again.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bollard::{
    errors::Error,
    models::{ContainerSummary, HostConfigLogConfig},
    query_parameters::{
        CreateContainerOptionsBuilder, RestartContainerOptions, StartContainerOptions,
    },
};

use super::{
    Docker,
    container::{self, Placement},
    engine::{Force, is_ambiguous, is_taken, status},
    label::{self, STEP},
    volume::VolumeState,
};
use crate::{
    config::StepId,
    runtime::{InstanceState, Link, RuntimeError, Spec, SpecMount, Started},
};

/// Attempts before giving up on a step that others keep changing.
const ATTEMPTS: u32 = 40;
/// Pause after an attempt that another process got in the way of.
const PAUSE: Duration = Duration::from_millis(25);

/// How one attempt ended.
enum Attempt {
    Done(Started),
    /// What was seen at its beginning is no longer so.
    Changed,
}

/// What the attempts of one start have learnt.
#[derive(Default)]
struct Learnt {
    /// Ports that the engine refused though they looked free.
    refused: BTreeSet<u16>,
    /// Short names of the volumes that its attempts made.
    new_volumes: Vec<String>,
    /// A start failed for a reason that may have gone by now.
    failed: bool,
    /// Why the last attempt did not do.
    last: Option<RuntimeError>,
}

impl Docker {
    pub(super) async fn converge(&self, spec: &Spec) -> Result<Started, RuntimeError> {
        let mut learnt = Learnt::default();
        for attempt in 0..ATTEMPTS {
            if let Attempt::Done(started) = self.attempt(spec, &mut learnt).await? {
                return Ok(started);
            }
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(learnt.last.unwrap_or_else(|| RuntimeError::Engine {
            action: format!("start `{}`", spec.step),
            cause: "another process keeps changing its container".to_owned(),
        }))
    }

    async fn attempt(&self, spec: &Spec, learnt: &mut Learnt) -> Result<Attempt, RuntimeError> {
        let mut all = self.engine().containers(&HashMap::new()).await?;
        let name = self.container_name(&spec.step);
        let step = spec.step.to_string();
        let (mut kept, mut removed) = (None, Vec::new());
        for container in &all {
            let named = label::names(container).any(|other| other == name);
            let own = self.labels().are_on(container.labels.as_ref());
            if named && !own {
                return Err(RuntimeError::Foreign {
                    what: "container",
                    name,
                });
            }
            if !own || !(named || label::get(container, STEP) == Some(&step)) {
                continue;
            }
            let usable = named && label::state(container) != InstanceState::Dead;
            if usable && label::inputs(container.labels.as_ref()) == spec.inputs {
                kept = Some(container);
            } else {
                self.stop_and_remove(container).await?;
                removed.push(container.id.clone());
            }
        }
        if let Some(container) = kept {
            if self.is_cut_off(container).await? {
                // Connected again it would have neither its names nor its ports.
                self.stop_and_remove(container).await?;
                return Ok(Attempt::Changed);
            }
            return self.resume(spec, container, learnt).await;
        }
        // What was replaced holds no port any more: its successor keeps it.
        all.retain(|container| !removed.contains(&container.id));
        self.create(spec, &all, learnt).await
    }

    /// It runs, and somebody took it out of the network.
    async fn is_cut_off(&self, container: &ContainerSummary) -> Result<bool, RuntimeError> {
        if label::state(container) != InstanceState::Running {
            return Ok(false);
        }
        let id = container.id.as_deref().unwrap_or_default();
        match self.engine().inspect(id).await {
            Ok(container) => Ok(self.link_of(&container) == Link::Cut),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(self.engine().fail("inspect a container", error)),
        }
    }

    /// Brings a container that is as wanted to running.
    async fn resume(
        &self,
        spec: &Spec,
        container: &ContainerSummary,
        learnt: &mut Learnt,
    ) -> Result<Attempt, RuntimeError> {
        let id = container.id.clone().unwrap_or_default();
        let started = Started {
            ports: label::ports(container),
            moved: Vec::new(),
            new_volumes: Vec::new(),
            former_volumes: Vec::new(),
        };
        match label::state(container) {
            InstanceState::Running | InstanceState::Restarting => Ok(Attempt::Done(started)),
            InstanceState::Paused => {
                let unpaused = self.engine().client().unpause_container(&id).await;
                let action = || format!("unpause `{}`", spec.step);
                self.engine().tolerate(unpaused, &[304, 404, 409], action)?;
                Ok(Attempt::Changed)
            }
            InstanceState::Created => {
                let new = self.ensure_volumes(spec).await?;
                learnt.new_volumes.extend(new);
                self.first_start(spec, &id, started, learnt).await
            }
            InstanceState::Exited { .. } | InstanceState::Dead => {
                self.start_created(spec, &id, started, learnt).await
            }
        }
    }

    async fn create(
        &self,
        spec: &Spec,
        all: &[ContainerSummary],
        learnt: &mut Learnt,
    ) -> Result<Attempt, RuntimeError> {
        // All are waited for: the engine would go on with a request that is given up, and leave what nobody expects.
        let (network, log_config, volumes) =
            tokio::join!(self.network(), self.log_config(), self.ensure_volumes(spec));
        let (network, log_config) = (network?, log_config?);
        learnt.new_volumes.extend(volumes?);
        let (chosen, _reserved) = self.choose_ports(spec, all, &learnt.refused)?;
        let placement = Placement {
            identity: &self.identity().id,
            labels: self.labels(),
            network: &network,
            ports: &chosen.ports,
            publish_address: self.engine().publish_address(),
            log_config,
        };
        let body = container::body(spec, &placement);
        let options = CreateContainerOptionsBuilder::default()
            .name(&self.container_name(&spec.step))
            .build();
        let client = self.engine().client();
        let id = match client.create_container(Some(options), body).await {
            Ok(created) => created.id,
            // Another process made it first, or the one of that name is still being removed.
            Err(error) if is_taken(&error) => {
                let action = format!("create the container of `{}`", spec.step);
                learnt.last = Some(self.engine().fail(action, error));
                return Ok(Attempt::Changed);
            }
            Err(error) => return Err(self.create_error(spec, error)),
        };
        self.first_start(spec, &id, chosen, learnt).await
    }

    /// Engines have no status for an image or a mount's source that is missing: only their words tell, and which path it is.
    fn create_error(&self, spec: &Spec, error: Error) -> RuntimeError {
        if let Error::DockerResponseServerError { message, .. } = &error
            && message.to_ascii_lowercase().contains("no such image")
        {
            return RuntimeError::NoImage {
                step: spec.step.clone(),
                cause: message.trim().to_owned(),
            };
        }
        let said = error.to_string();
        let is_missing = ["bind source path does not exist", "no such file"]
            .iter()
            .any(|words| said.contains(words));
        let missing = spec.mounts.iter().find_map(|mount| match mount {
            SpecMount::Bind { source, target, .. } if is_missing && said.contains(source) => {
                Some((source, target))
            }
            SpecMount::Bind { .. } | SpecMount::Volume { .. } => None,
        });
        match missing {
            Some((source, target)) => RuntimeError::NoMountSource {
                step: spec.step.clone(),
                source_path: source.clone(),
                target: target.clone(),
            },
            None => {
                let action = format!("create the container of `{}`", spec.step);
                self.engine().fail(action, error)
            }
        }
    }

    /// Starts a container that never ran.
    async fn first_start(
        &self,
        spec: &Spec,
        id: &str,
        started: Started,
        learnt: &mut Learnt,
    ) -> Result<Attempt, RuntimeError> {
        self.put_files(&spec.step, id, &spec.files).await?;
        let started = Started {
            former_volumes: self.former_volumes(&learnt.new_volumes).await?,
            new_volumes: learnt.new_volumes.clone(),
            ..started
        };
        self.start_created(spec, id, started, learnt).await
    }

    async fn start_created(
        &self,
        spec: &Spec,
        id: &str,
        started: Started,
        learnt: &mut Learnt,
    ) -> Result<Attempt, RuntimeError> {
        let client = self.engine().client();
        let error = match client
            .start_container(id, None::<StartContainerOptions>)
            .await
        {
            Ok(()) => return Ok(Attempt::Done(started)),
            Err(error) if status(&error) == Some(304) => return Ok(Attempt::Done(started)),
            Err(error) => error,
        };
        let refused = self.refused_ports(&error, &started);
        let gone = status(&error) == Some(404);
        let ambiguous = is_ambiguous(&error);
        let error = self.engine().fail(format!("start `{}`", spec.step), error);
        if !matches!(error, RuntimeError::Engine { .. }) {
            return Err(error);
        }
        // A container that cannot start helps nobody: it is made again, here or by the next run.
        // Without force: another process may have started it meanwhile.
        let removed = self.engine().remove(id, Force::No).await;
        // A port is taken, the container or its network is gone, or two processes made the network at once, and until one of them is
        // removed nothing can start. Anything else gets one more try.
        let known = gone || ambiguous || !refused.is_empty();
        if known || removed.is_err() || !learnt.failed {
            learnt.failed |= !known;
            learnt.refused.extend(refused);
            learnt.last = Some(error);
            self.forget_network().await;
            return Ok(Attempt::Changed);
        }
        Err(error)
    }

    /// Makes the volumes that are missing; their short names.
    async fn ensure_volumes(&self, spec: &Spec) -> Result<Vec<String>, RuntimeError> {
        let mut new = Vec::new();
        for mount in &spec.mounts {
            if let SpecMount::Volume { name, .. } = mount
                && self.ensure_volume(name).await? == VolumeState::New
            {
                new.push(name.clone());
            }
        }
        Ok(new)
    }

    /// Bounded logs where the engine writes them to files; other drivers keep their own ways.
    async fn log_config(&self) -> Result<Option<HostConfigLogConfig>, RuntimeError> {
        let ask = || async {
            let info = self.engine().client().info().await;
            let info = info.map_err(|error| self.engine().fail("say what it is", error))?;
            Ok(
                (info.logging_driver.as_deref() == Some("json-file")).then(|| {
                    let options = [("max-size", "10m"), ("max-file", "3")];
                    HostConfigLogConfig {
                        typ: Some("json-file".to_owned()),
                        config: Some(options.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
                    }
                }),
            )
        };
        self.inner.log_config.get_or_try_init(ask).await.cloned()
    }

    pub(super) async fn restart_container(&self, step: &StepId) -> Result<(), RuntimeError> {
        let restarted = self
            .engine()
            .patient()
            .restart_container(&self.container_name(step), None::<RestartContainerOptions>)
            .await;
        restarted.map_err(|error| match status(&error) {
            Some(404) => RuntimeError::NotRunning { step: step.clone() },
            _ => self.engine().fail(format!("restart `{step}`"), error),
        })
    }

    pub(super) async fn remove_instance(&self, step: &StepId) -> Result<(), RuntimeError> {
        let name = self.container_name(step);
        let text = step.to_string();
        for container in self.own_containers().await? {
            let named = label::names(&container).any(|other| other == name);
            if named || label::get(&container, STEP) == Some(&text) {
                self.stop_and_remove(&container).await?;
            }
        }
        Ok(())
    }

    async fn stop_and_remove(&self, container: &ContainerSummary) -> Result<(), RuntimeError> {
        let id = container.id.as_deref().unwrap_or_default();
        match label::state(container) {
            InstanceState::Running | InstanceState::Restarting => self.engine().stop(id).await?,
            // Stopping asks the program, and a paused one cannot answer.
            InstanceState::Paused | InstanceState::Created => {}
            InstanceState::Exited { .. } | InstanceState::Dead => {}
        }
        self.engine().remove(id, Force::Yes).await
    }
}
