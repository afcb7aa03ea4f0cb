//! What the runtime that is not used has of this worktree: it is stopped before the other one starts the same, and its data are told of.

use std::collections::BTreeSet;

use super::{context::Context, down, orphans, runtime};
use crate::{
    config::{StepId, StepKind},
    event::{Explain, Fault},
    plan::{Action, Decision, Reason},
    runtime::{AnyRuntime, Listing, Runtime, RuntimeKind},
    steps::{Steps, postgres_volume},
};

pub struct OtherSide {
    runtime: AnyRuntime,
    listing: Listing,
}

/// What is there; `None` when there is nothing, or nobody to tell.
pub async fn find(cx: &Context, steps: &Steps) -> Option<OtherSide> {
    let kind = steps.engine.as_ref().ok()?.runtime.kind();
    let runtime = runtime::other(kind, cx.identity().ok()?)?.runtime;
    let listing = runtime.list().await.ok()?;
    Some(OtherSide { runtime, listing })
}

impl OtherSide {
    /// What `up` stops, and why.
    pub fn rows(&self) -> Vec<(StepId, Decision)> {
        let instances = self.listing.instances.iter();
        instances
            .map(|instance| (instance.step.clone(), self.decision()))
            .collect()
    }

    fn decision(&self) -> Decision {
        let what = match self.runtime.kind() {
            RuntimeKind::Docker => "it is a container, and services are plain processes now",
            RuntimeKind::Process => "it is a process, and services are containers now",
        };
        Decision::of(Action::Remove, vec![Reason::State { what: what.into() }])
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

    /// Says of each database that begins empty here where the data are that it has there.
    pub async fn tell_data(&self, steps: &Steps, goals: &BTreeSet<StepId>) -> Result<(), Fault> {
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
                None => format!("Docker volume `{}_{volume}`", steps.identity.id),
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
