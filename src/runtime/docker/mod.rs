//! Containers on a Docker engine, or on Podman's socket where it behaves the same. The only runtime code that knows bollard.
//!
//! All state is on the engine: names and labels say what belongs to whom, so a killed run leaves nothing that the
//! next one does not find.

mod archive;
mod attached;
mod container;
mod ending;
mod engine;
mod exec;
mod exited;
mod files;
mod follow;
mod found;
mod label;
mod logs;
mod look;
mod network;
mod one_shot;
mod publish;
mod start;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::models::ContainerSummary;
use futures_util::stream::BoxStream;
use rustix::process::Signal;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::{engine::Engine, label::Labels};
use super::{
    Exec, Followed, Identity, Listing, LogLine, LogOptions, MadeWith, OneShot, OneShotResult,
    Runtime, RuntimeError, Spec, SpecPort, Started,
};
use crate::{
    config::StepId,
    sys::{docker_host::Endpoint, terminal::Stdio},
};

pub use self::{
    attached::Line,
    engine::EngineInfo,
    found::{Holding, holdings, identity_at},
    publish::Publisher,
};

/// One worktree's containers on one engine. Clones share everything.
#[derive(Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    identity: Identity,
    labels: Labels,
    /// Id of the worktree's network, once it is known to exist.
    network: tokio::sync::Mutex<Option<String>>,
    /// What containers are created with when the engine logs to files; asked for once.
    log_config: OnceCell<Option<bollard::models::HostConfigLogConfig>>,
    /// Host ports that a start going on in this process has chosen but the engine has not bound yet.
    reserved: Mutex<HashMap<u16, StepId>>,
}

impl Docker {
    /// Opens no connection yet; fails only when the endpoint is a socket that does not exist.
    pub fn connect(endpoint: &Endpoint, identity: Identity) -> Result<Self, RuntimeError> {
        Ok(Self {
            inner: Arc::new(Inner {
                engine: Engine::new(endpoint)?,
                labels: Labels::of(&identity),
                identity,
                network: tokio::sync::Mutex::default(),
                log_config: OnceCell::new(),
                reserved: Mutex::default(),
            }),
        })
    }

    /// Which engine answers, and how it stores images. Costs some tens of milliseconds.
    pub async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        self.engine().info().await
    }

    /// The connection, for what asks the same engine about images.
    pub fn client(&self) -> bollard::Docker {
        self.engine().client().clone()
    }

    fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    fn labels(&self) -> &Labels {
        &self.inner.labels
    }

    /// Containers of this worktree, as the engine lists them.
    async fn own_containers(&self) -> Result<Vec<ContainerSummary>, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), vec![self.labels().identity_filter()])]);
        self.engine().containers(&filters).await
    }

    /// The container of a step, whatever its state.
    fn container_name(&self, step: &StepId) -> String {
        label::container_name(&self.identity().id, step)
    }
}

impl Runtime for Docker {
    async fn reserve(
        &self,
        _: &StepId,
        _: &[SpecPort],
    ) -> Result<Option<BTreeMap<String, u16>>, RuntimeError> {
        Ok(None)
    }

    fn host(&self) -> &str {
        self.engine().host()
    }

    async fn answers(&self) -> Result<(), RuntimeError> {
        self.engine().answers().await
    }

    async fn list(&self) -> Result<Listing, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), vec![self.labels().root_filter()])]);
        let containers = self.engine().containers(&filters).await?;
        let (own, former): (Vec<_>, Vec<_>) = containers
            .iter()
            .partition(|container| self.labels().are_on(container.labels.as_ref()));
        let listed = own.into_iter().filter_map(label::instance).collect();
        let mut instances = self.look_at(listed).await?;
        instances.sort_by(|a, b| a.step.cmp(&b.step));
        let former = former
            .into_iter()
            .filter(|container| label::instance(container).is_some())
            .filter_map(|container| label::get(container, label::IDENTITY))
            .map(str::to_owned)
            .collect();
        Ok(Listing { instances, former })
    }

    async fn start(&self, spec: &Spec) -> Result<Started, RuntimeError> {
        self.converge(spec).await
    }

    async fn restart(&self, step: &StepId) -> Result<(), RuntimeError> {
        self.restart_container(step).await
    }

    async fn remove(&self, step: &StepId) -> Result<(), RuntimeError> {
        self.remove_instance(step).await
    }

    async fn clean(&self) -> Result<(), RuntimeError> {
        self.sweep_one_shots().await?;
        self.remove_networks().await
    }

    async fn volumes(&self) -> Result<Vec<String>, RuntimeError> {
        self.own_volumes().await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove_own_volume(name).await
    }

    fn logs(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        self.log_lines(step, options)
    }

    fn follow(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Followed, RuntimeError>> {
        self.follow_lines(step, options)
    }

    async fn made_with(&self, step: &StepId) -> Result<MadeWith, RuntimeError> {
        self.engine().answers().await?;
        let container = self.engine().inspect(&self.container_name(step)).await;
        let container =
            container.map_err(|error| self.engine().fail("inspect a container", error))?;
        Ok(container::made_with(container.config))
    }

    async fn exec(&self, step: &StepId, exec: Exec, stdio: Stdio) -> Result<i64, RuntimeError> {
        self.run_inside(step, exec, stdio).await
    }

    async fn end_exec(
        &self,
        step: &StepId,
        exec: &Exec,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError> {
        self.end_inside(step, exec, signal, grace).await
    }

    async fn exited(&self, step: &StepId) -> Result<i64, RuntimeError> {
        self.wait_for_exit(step).await
    }

    async fn exited_within(
        &self,
        step: &StepId,
        time: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        self.wait_for_early_exit(step, time).await
    }

    async fn one_shot(&self, one_shot: OneShot) -> Result<OneShotResult, RuntimeError> {
        self.run_once(one_shot).await
    }

    async fn one_shot_shown(
        &self,
        one_shot: OneShot,
        cancel: &CancellationToken,
        line: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError> {
        self.run_shown(one_shot, cancel, line).await
    }

    async fn remove_left_over(&self) -> Result<(), RuntimeError> {
        self.sweep_one_shots().await
    }
}
