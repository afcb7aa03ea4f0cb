//! Glue between a plan's steps and the parts that do the work: one file per kind of step, one match.
//!
//! Each kind answers two questions: what would it do now and why ([`Steps::decide`], changes nothing), and do it ([`Steps::act`]).

pub mod address;
mod app;
mod build;
pub mod ci;
mod container;
mod image;
mod inputs;
mod last_log;
pub mod lint;
mod mask;
mod migrate;
mod missing;
mod ports;
mod postgres;
mod problem;
mod process;
mod proto;
mod readiness;
mod record;
mod secrets;
mod service;
mod smoke;
mod task;
mod toolchain;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, KeyPath, Service, StepId, StepKind, Template},
    event::{Events, Explain, Fault, FaultClass, StepEvents},
    git::Since,
    image::Images,
    lockfile::Lock,
    plan::{Acted, Action, Decision, FileCache, Output, Outputs, Plan, Reason, Step, Verdict},
    proto::Writers,
    runtime::{AnyRuntime, Identity, Instance, InstanceState, Listing, Runtime},
    store::Store,
    toolchain::Toolchain,
};

pub use address::POSTGRES_PORT;
pub use container::ports;
pub use mask::too_short_secrets;
pub use ports::{HostPorts, published};
pub use postgres::{target as postgres_target, volume as postgres_volume};
pub use proto::Made;
pub use task::CHOOSE_TOOLS;

use problem::Heard;

/// Whether steps bring about what the file says, or only look whether it is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Apply,
    /// Nothing of the project is written: what would generate files compares them.
    Check,
}

/// Everything the steps of one run share. Nothing in it changes during the run.
pub struct Steps {
    pub root: PathBuf,
    pub config: Arc<Config>,
    pub plan: Arc<Plan>,
    pub store: Store,
    pub toolchain: Toolchain,
    /// The fault when no engine could be found: a plan works without.
    pub engine: Result<Engine, Fault>,
    /// The name of this worktree, which prefixes what is made for it.
    pub identity: Identity,
    pub lock: Lock,
    pub events: Events,
    pub mode: Mode,
    /// Steps the user asked to run again although nothing changed.
    pub forced: BTreeSet<StepId>,
    /// Which host ports services are published on.
    pub host_ports: HostPorts,
    /// Digests of files seen before.
    pub files: Arc<FileCache>,
    /// Which files each proto table was found to write in this run, so that tables with one folder generate no more often than needed.
    pub writers: std::sync::Mutex<BTreeMap<StepId, Writers>>,
    /// The runtime's listing, taken when the first step asks, and again after a step replaced what others may hang on.
    pub listing: Mutex<Option<Arc<Listing>>>,
    /// Against what migrations are new or changed.
    pub since: Since,
    /// What the commands of secrets have given in this run.
    pub given: secrets::Given,
}

/// What runs things, and where its images are.
#[derive(Clone)]
pub struct Engine {
    pub runtime: AnyRuntime,
    /// `None` where nothing runs from images.
    pub images: Option<Images>,
}

/// The tag of the image built for an app: per worktree, so that copies of a project do not take each other's image away.
pub fn image_tag(identity: &Identity, app: &str) -> String {
    format!("{}:{app}", image_repository(identity))
}

/// Where all images built for a worktree are.
pub fn image_repository(identity: &Identity) -> String {
    format!("devenv/{}", identity.id)
}

/// What one step works with.
struct Cx<'a> {
    steps: &'a Steps,
    step: &'a Step,
    outputs: &'a Outputs,
    events: StepEvents,
    /// Fires when the run is to end: every long wait obeys it.
    cancel: CancellationToken,
}

impl Steps {
    /// What the step would do now, and why. Changes nothing.
    ///
    /// On cancel it ends where it waits, since nothing is half done then.
    pub async fn decide(
        &self,
        id: &StepId,
        outputs: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<Verdict, Fault> {
        let cx = self.cx(id, outputs, cancel);
        let verdict = tokio::select! {
            verdict = self.decide_kind(&cx) => verdict,
            () = cancel.cancelled() => Err(cancelled(&cx)),
        };
        match verdict {
            Ok(Verdict::Keep(_)) if self.forced.contains(id) => {
                Ok(Verdict::act(forced_action(id.kind), vec![Reason::Asked]))
            }
            Ok(Verdict::Act(decision)) if self.forced.contains(id) => {
                Ok(Verdict::Act(asked(id.kind, decision)))
            }
            Ok(verdict) => Ok(verdict),
            Err(fault) => Err(fault.at_key(cx.step.site.clone())),
        }
    }

    async fn decide_kind(&self, cx: &Cx<'_>) -> Result<Verdict, Fault> {
        if self.has_no_use_for(cx.id()) {
            return Ok(Verdict::Keep(Output::default()));
        }
        match cx.step.kind {
            StepKind::Toolchain => toolchain::decide(cx).await,
            StepKind::Proto => proto::decide(cx).await,
            StepKind::Image => image::decide(cx).await,
            StepKind::Build => build::decide(cx).await,
            StepKind::Postgres => postgres::decide(cx).await,
            StepKind::Service => service::decide(cx).await,
            StepKind::Migrate => migrate::decide(cx).await,
            StepKind::Lint => lint::decide(cx).await,
            StepKind::App => app::decide(cx).await,
            StepKind::Task => task::decide(cx).await,
            StepKind::Smoke => Ok(smoke::decide()),
            StepKind::Ci => ci::decide(cx),
        }
    }

    /// Does what was decided. `slot` is dropped when only waiting for readiness is left, so that slow services do not hold up others.
    pub async fn act(
        &self,
        id: &StepId,
        decision: &Decision,
        outputs: &Outputs,
        cancel: &CancellationToken,
        slot: impl Send,
    ) -> Result<Acted, Fault> {
        let heard = Heard::of(id.kind, &self.root);
        let mut cx = self.cx(id, outputs, cancel);
        cx.events = heard.listen(cx.events);
        let mut done = self.act_kind(&cx, decision, slot).await;
        if done.is_err() && cx.lost_its_port().await {
            done = self.act_kind(&cx, decision, ()).await;
        }
        let replaced = !decision
            .reasons
            .iter()
            .any(|r| matches!(r, Reason::New { .. }));
        if id.kind.is_running_service() && replaced {
            // What was connected to it may have ended since the listing.
            *self.listing.lock().await = None;
        }
        done.map_err(|fault| heard.explain(fault.at_key(cx.step.site.clone())))
    }

    async fn act_kind(
        &self,
        cx: &Cx<'_>,
        decision: &Decision,
        slot: impl Send,
    ) -> Result<Acted, Fault> {
        let outputs = image::outputs(cx).await?;
        let cx = &Cx {
            events: cx.events.clone(),
            ..self.cx(cx.id(), &outputs, &cx.cancel)
        };
        match cx.step.kind {
            StepKind::Toolchain => toolchain::act(cx).await,
            StepKind::Proto => proto::act(cx).await,
            StepKind::Image => image::act(cx).await,
            StepKind::Build => build::act(cx).await,
            StepKind::Postgres => postgres::act(cx, decision, slot).await,
            StepKind::Service => service::act(cx, decision, slot).await,
            StepKind::Migrate => migrate::act(cx).await,
            StepKind::Lint => lint::act(cx).await,
            StepKind::App => app::act(cx, decision, slot).await,
            StepKind::Task => task::act(cx, decision).await,
            StepKind::Smoke => smoke::act(cx).await,
            StepKind::Ci => ci::act(cx),
        }
    }

    /// Shows what a step that is up to date printed when it ran, as far as that is kept.
    pub async fn replay(
        &self,
        id: &StepId,
        outputs: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<(), Fault> {
        match id.kind {
            StepKind::Task => task::replay(&self.cx(id, outputs, cancel)).await,
            StepKind::Toolchain
            | StepKind::Proto
            | StepKind::Image
            | StepKind::Build
            | StepKind::Postgres
            | StepKind::Service
            | StepKind::Migrate
            | StepKind::Lint
            | StepKind::App
            | StepKind::Smoke
            | StepKind::Ci => Ok(()),
        }
    }

    pub fn runtime(&self) -> Result<&AnyRuntime, Fault> {
        self.engine
            .as_ref()
            .map(|engine| &engine.runtime)
            .map_err(Fault::clone)
    }

    /// The engine's images, once it is known to answer.
    pub async fn images(&self) -> Result<&Images, Fault> {
        let engine = self.engine.as_ref().map_err(Fault::clone)?;
        let answers = engine.runtime.answers().await;
        answers.map_err(|error| error.explain())?;
        engine
            .images
            .as_ref()
            .ok_or_else(|| Fault::new("plain processes have no images").class(FaultClass::Bug))
    }

    /// What the runtime knows of this worktree.
    pub async fn listing(&self) -> Result<Arc<Listing>, Fault> {
        let mut known = self.listing.lock().await;
        if let Some(listing) = &*known {
            return Ok(listing.clone());
        }
        let listing = self.runtime()?.list().await;
        let listing = Arc::new(listing.map_err(|error| error.explain())?);
        Ok(known.insert(listing).clone())
    }

    /// Outputs of what runs now: the ports it is reached at.
    pub async fn running(&self) -> Result<Outputs, Fault> {
        let listing = self.listing().await?;
        let running = listing
            .instances
            .iter()
            .filter(|instance| instance.state == InstanceState::Running);
        Ok(running
            .map(|instance| (instance.step.clone(), container::output(&instance.ports)))
            .collect())
    }

    /// What the step most likely does when it cannot be observed.
    pub fn usual_action(&self, id: &StepId) -> Action {
        match id.kind {
            StepKind::Toolchain => Action::Install,
            StepKind::Proto | StepKind::Lint | StepKind::Task | StepKind::Smoke | StepKind::Ci => {
                Action::Run
            }
            StepKind::Image => match self.config.image.get(&id.name) {
                Some(image) if image.debian.is_some() || image.dockerfile.is_some() => {
                    Action::Build
                }
                _ => Action::Pull,
            },
            StepKind::Build => Action::Build,
            StepKind::Postgres | StepKind::Service | StepKind::App => Action::Start,
            StepKind::Migrate => Action::Apply,
        }
    }

    /// What the file says of a service or of what an app runs; `None` for other steps.
    fn service(&self, id: &StepId) -> Option<&Service> {
        match id.kind {
            StepKind::App => self.config.app.get(&id.name).map(|app| &app.service),
            StepKind::Service => self.config.service.get(&id.name),
            _ => None,
        }
    }

    /// The PATH and variables of host commands, with the project's tools first.
    fn host_env(&self) -> BTreeMap<String, OsString> {
        self.toolchain.env()
    }

    fn cx<'a>(&'a self, id: &StepId, outputs: &'a Outputs, cancel: &CancellationToken) -> Cx<'a> {
        Cx {
            steps: self,
            step: self
                .plan
                .steps
                .get(id)
                .expect("the engine runs only steps of the plan"),
            outputs,
            events: self.events.of(id),
            cancel: cancel.clone(),
        }
    }
}

/// What `up --force` or `restart` makes of a step that is up to date.
fn forced_action(kind: StepKind) -> Action {
    match kind {
        StepKind::Toolchain => Action::Install,
        StepKind::Proto | StepKind::Lint | StepKind::Task | StepKind::Smoke | StepKind::Ci => {
            Action::Run
        }
        StepKind::Image | StepKind::Build => Action::Build,
        StepKind::Postgres | StepKind::Service | StepKind::App => Action::Restart,
        StepKind::Migrate => Action::Apply,
    }
}

/// What is there and would only be waited for, or continued, is started anew when a restart was asked for.
fn asked(kind: StepKind, mut decision: Decision) -> Decision {
    if decision.action == Action::Restore {
        decision.action = forced_action(kind);
        decision.reasons.insert(0, Reason::Asked);
        return decision;
    }
    let mut reasons = decision.reasons.iter();
    let is_there = !reasons.any(|reason| matches!(reason, Reason::New { .. }));
    if decision.action == Action::Start && is_there {
        decision.action = forced_action(kind);
        decision.reasons.insert(0, Reason::Asked);
    }
    decision
}

/// Reading and writing many files, or waiting for a file lock, holds no thread that others need.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Fault>
where
    T: Send + 'static,
    E: Explain + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| error.explain()),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only while the process ends.
            Err(ended) => Err(Fault::new(ended.to_string()).class(FaultClass::Interrupted)),
        },
    }
}

/// The fault of a step that stopped because the run was cancelled.
fn cancelled(cx: &Cx<'_>) -> Fault {
    Fault::new(format!("`{}` was interrupted", cx.id())).class(FaultClass::Interrupted)
}

impl Cx<'_> {
    fn id(&self) -> &StepId {
        &self.step.id
    }

    fn config(&self) -> &Config {
        &self.steps.config
    }

    /// The key of this step's table, for errors that point at one of its fields.
    fn key(&self, field: &str) -> KeyPath {
        self.step.site.join(field)
    }

    async fn instance(&self) -> Result<Option<Instance>, Fault> {
        let listing = self.steps.listing().await?;
        let mut instances = listing.instances.iter();
        Ok(instances
            .find(|instance| instance.step == self.step.id)
            .cloned())
    }

    /// Values of the secrets these templates hold, also by way of a database's password or URL; masked from now on.
    async fn template_secrets<'t>(
        &self,
        templates: impl IntoIterator<Item = &'t Template>,
    ) -> Result<BTreeMap<String, String>, Fault> {
        let templates: Vec<_> = templates.into_iter().collect();
        let databases: BTreeSet<_> = templates
            .iter()
            .flat_map(|template| template.steps())
            .filter(|id| id.kind == StepKind::Postgres)
            .collect();
        let passwords = databases
            .into_iter()
            .filter_map(|id| self.config().postgres.get(&id.name))
            .map(|postgres| &postgres.password);
        self.secrets(templates.iter().copied().chain(passwords))
            .await
    }

    /// Values of the secrets these templates hold, masked from now on.
    fn secrets<'t>(
        &self,
        templates: impl IntoIterator<Item = &'t Template>,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, Fault>> {
        let names = secrets::names(templates);
        let steps = self.steps;
        async move {
            tokio::select! {
                // A command that asks a person may take for ever.
                values = secrets::read(names, steps) => values,
                () = self.cancel.cancelled() => Err(cancelled(self)),
            }
        }
    }
}
