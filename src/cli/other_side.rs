//! What this worktree has and does not use now: by the runtime that is not used, or under the name that the project had until now. It is
//! stopped before the same is started here, and its data are told of.

use std::collections::BTreeSet;

use super::{context::Context, down, orphans, runtime};
use crate::{
    config::{StepId, StepKind},
    event::{Explain, Fault},
    plan::{Action, Decision, Reason},
    runtime::{AnyRuntime, Identity, Listing, Runtime, RuntimeKind},
    steps::{Engine, Steps, postgres_volume},
};

pub struct OtherSide {
    runtime: AnyRuntime,
    listing: Listing,
    /// The name under which it was started, when that is not the project's any more.
    name: Option<String>,
}

/// What is there; nothing where there is nobody to tell.
pub async fn find(cx: &Context, steps: &Steps) -> Result<Vec<OtherSide>, Fault> {
    let Ok(engine) = &steps.engine else {
        return Ok(Vec::new());
    };
    let kind = engine.runtime.kind();
    let mut sides = Vec::new();
    let other = runtime::other(kind, cx.identity()?);
    sides.extend(OtherSide::of(other, None).await);
    if let Some(left) = cx.left_identity()? {
        let name = Identity::name_of(&left.id).to_owned();
        // Processes are the folder's, whatever the project is called.
        let containers = match kind {
            RuntimeKind::Docker => Some(runtime::of_kind(kind, left)?),
            RuntimeKind::Process => runtime::other(kind, left),
        };
        sides.extend(OtherSide::of(containers, Some(name)).await);
    }
    Ok(sides)
}

impl OtherSide {
    async fn of(engine: Option<Engine>, name: Option<String>) -> Option<Self> {
        let runtime = engine?.runtime;
        let listing = runtime.list().await.ok()?;
        Some(Self {
            runtime,
            listing,
            name,
        })
    }

    /// Whether it is what the project had under the name it had until now.
    pub fn is_of_other_name(&self) -> bool {
        self.name.is_some()
    }

    /// What `up` stops, and why.
    pub fn rows(&self) -> Vec<(StepId, Decision)> {
        let instances = self.listing.instances.iter();
        instances
            .map(|instance| (instance.step.clone(), self.decision()))
            .collect()
    }

    fn decision(&self) -> Decision {
        let what = match (&self.name, self.runtime.kind()) {
            (Some(name), _) => format!("it was started when the project was called `{name}`"),
            (None, RuntimeKind::Docker) => {
                "it is a container, and services are plain processes now".to_owned()
            }
            (None, RuntimeKind::Process) => {
                "it is a process, and services are containers now".to_owned()
            }
        };
        Decision::of(Action::Remove, vec![Reason::State { what }])
    }

    /// Stops all of it, dependants first. Its data stay.
    pub async fn stop(&self, steps: &Steps) -> Result<(), Fault> {
        let rows = self.rows();
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = rows.iter().map(|(id, _)| id.clone()).collect();
        let graph = steps.plan.graph();
        let stopping = down::stop(&self.runtime, &ids, &graph);
        let [first, rest @ ..] = ids.as_slice() else {
            return Ok(());
        };
        let unit = self.runtime.kind().unit();
        let removal = async {
            stopping.await?;
            let cleaned = self.runtime.clean().await;
            cleaned.map_err(|error| error.explain())?;
            Ok(format!("Removed its {unit}"))
        };
        orphans::shown(steps, first, self.decision(), removal).await?;
        for id in rest {
            let done = async { Ok(format!("Removed its {unit}")) };
            orphans::shown(steps, id, self.decision(), done).await?;
        }
        Ok(())
    }

    /// Says where the data are that it has there.
    pub async fn tell_data(&self, steps: &Steps, goals: &BTreeSet<StepId>) -> Result<(), Fault> {
        match &self.name {
            Some(name) => self.tell_volumes(steps, name).await,
            None => self.tell_databases(steps, goals).await,
        }
    }

    /// All that was made under the other name, once: it is not used from now on.
    async fn tell_volumes(&self, steps: &Steps, name: &str) -> Result<(), Fault> {
        let volumes = self.runtime.volumes().await;
        let volumes = volumes.map_err(|error| error.explain())?;
        if !volumes.is_empty() {
            steps.events.notice(format!(
                "the data that the project had as `{name}` are kept in {}: set `name = \"{name}\"` and run `devenv up` to use them again",
                volume_list(name, &steps.identity, &volumes)
            ));
        }
        Ok(())
    }

    /// Of each database that begins empty here.
    async fn tell_databases(&self, steps: &Steps, goals: &BTreeSet<StepId>) -> Result<(), Fault> {
        let mut databases = steps.plan.graph().closure(goals.iter().cloned());
        databases.retain(|id| id.kind == StepKind::Postgres);
        if databases.is_empty() {
            return Ok(());
        }
        let here = steps.runtime()?.volumes().await;
        let here = here.map_err(|error| error.explain())?;
        databases.retain(|id| !here.contains(&postgres_volume(id)));
        if databases.is_empty() {
            // As in most runs: the other one need not be asked.
            return Ok(());
        }
        let there = self.runtime.volumes().await.unwrap_or_default();
        for id in &databases {
            let volume = postgres_volume(id);
            if !there.contains(&volume) {
                continue;
            }
            let from = self.runtime.kind().as_str();
            let place = match self.runtime.volume_folder(&volume) {
                Some(folder) => format!("`{}`", folder.display()),
                None => format!("Docker volume `{}-{volume}`", steps.identity.id),
            };
            let message = format!(
                "it begins without data here; what it had as a {} is in {place}, and `devenv db copy --from {from} {id}` carries it over",
                self.runtime.kind().unit()
            );
            steps.events.of(id).notice(message);
        }
        Ok(())
    }
}

/// ``volume `web-1a2b3c4d-db-data` ``
fn volume_list(name: &str, identity: &Identity, volumes: &[String]) -> String {
    let id = Identity::new(name, &identity.root).id;
    let names: Vec<_> = volumes
        .iter()
        .map(|short| format!("`{id}-{short}`"))
        .collect();
    let noun = if names.len() == 1 {
        "volume"
    } else {
        "volumes"
    };
    format!("{noun} {}", names.join(", "))
}
