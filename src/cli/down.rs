//! `devenv down`: stops and removes what runs, dependants first, each within its own grace.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use serde::Serialize;

use super::{context::Context, orphans, run_lock, runtime};
use crate::{
    config::{StepId, StepKind},
    event::{Explain, Fault, count},
    image::{ImageError, Images},
    plan::Graph,
    runtime::{AnyRuntime, Identity, Runtime, RuntimeError, RuntimeKind},
    steps::{Engine, built_here, image_repository},
};

/// Stop everything; the data is kept.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove the data (this worktree's volumes) too.
    #[arg(long, short = 'v')]
    volumes: bool,
    /// Remove the images built here too. One that another worktree's container uses stays.
    #[arg(long)]
    images: bool,
}

#[derive(Debug, Default, Serialize)]
struct Removed {
    steps: Vec<StepId>,
    volumes: Vec<String>,
    images: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    // Without a readable file everything can still be stopped, all at once.
    let (identity, needs) = match cx.plan() {
        Ok(plan) => (cx.identity()?, plan.graph()),
        Err(fault) => match cx.found_identity().await {
            Some(identity) => {
                cx.show(&fault);
                (identity, Graph::default())
            }
            None => return Err(fault),
        },
    };
    let Engine { runtime, images } = runtime::of_kind(cx.kind(), identity.clone())?;
    let _lock = run_lock::acquire(cx, "down", None).await?;
    let explain = |error: RuntimeError| error.explain();
    let listing = runtime.list().await.map_err(explain)?;
    let steps = listing
        .instances
        .iter()
        .map(|instance| instance.step.clone());
    let mut removed = Removed {
        steps: steps.collect(),
        ..Removed::default()
    };
    stop(&runtime, &removed.steps, &needs).await?;
    // What others are attached to stays; all else goes before that is told.
    let in_use = match runtime.clean().await {
        Err(error @ RuntimeError::Attached { .. }) => Some(error.explain()),
        cleaned => cleaned.map(|()| None).map_err(explain)?,
    };
    if args.volumes {
        removed.volumes = runtime.volumes().await.map_err(explain)?;
        for volume in &removed.volumes {
            runtime.remove_volume(volume).await.map_err(explain)?;
        }
    }
    if let Some(images) = images.filter(|_| args.images) {
        removed.images = remove_images(cx, &images, &identity).await?;
    }
    let kept = runtime.volumes().await.map_err(explain)?;
    if kept.is_empty() && args.images {
        forget_identity(cx)?;
    }
    for name in &listing.former {
        anstream::eprintln!("{}", orphans::former(name));
    }
    let text = || text(runtime.kind(), &removed, &kept);
    if let Some(fault) = in_use {
        cx.answer_of_failure(&removed, text);
        return Err(fault);
    }
    cx.answer(&removed, text);
    Ok(ExitCode::SUCCESS)
}

/// Those of the worktree's own tags, and those it built for references of the file: these may be shared, and the next `up` of who
/// has no container now gets them again.
async fn remove_images(
    cx: &Context,
    images: &Images,
    identity: &Identity,
) -> Result<Vec<String>, Fault> {
    let explain = |error: ImageError| error.explain();
    let repository = image_repository(identity);
    let mut removed = images
        .remove_repository(&repository)
        .await
        .map_err(explain)?;
    for record in cx.store()?.records(StepKind::Image) {
        // A copied folder has records of what the original built.
        let Some(id) = built_here(record, identity) else {
            continue;
        };
        let tag = images.remove_built(&id).await;
        removed.extend(tag.map_err(explain)?);
    }
    Ok(removed)
}

/// Nothing carries the name any more that the project had.
fn forget_identity(cx: &Context) -> Result<(), Fault> {
    let forgotten = cx.store()?.forget_identity();
    forgotten.map_err(|error| error.explain())
}

/// Each step stops as soon as all that need it have stopped: the graces of a chain add up, those of a level do not.
pub async fn stop(runtime: &AnyRuntime, steps: &[StepId], graph: &Graph) -> Result<(), Fault> {
    let closures: BTreeMap<_, BTreeSet<StepId>> = steps
        .iter()
        .map(|step| (step.clone(), graph.closure([step.clone()])))
        .collect();
    let mut stops: BTreeMap<StepId, Shared<BoxFuture<'_, Result<(), Fault>>>> = BTreeMap::new();
    let mut order: Vec<_> = steps.to_vec();
    // A step's closure is larger than that of anything it needs, so dependants come first.
    order.sort_by_key(|step| std::cmp::Reverse(closures[step].len()));
    for step in order {
        let dependants: Vec<_> = stops
            .iter()
            .filter(|(other, _)| closures[*other].contains(&step))
            .map(|(_, stopped)| stopped.clone())
            .collect();
        let id = step.clone();
        let stopping = async move {
            join_all(dependants).await;
            // A shared future's output is cloned, an error is not: its fault is.
            runtime.remove(&id).await.map_err(|error| error.explain())
        };
        stops.insert(step, stopping.boxed().shared());
    }
    join_all(stops.into_values()).await.into_iter().collect()
}

fn text(kind: RuntimeKind, removed: &Removed, kept: &[String]) -> String {
    if removed.steps.is_empty() && removed.volumes.is_empty() && removed.images.is_empty() {
        return "Nothing was running\n".into();
    }
    let mut text = String::new();
    if !removed.steps.is_empty() {
        let names: Vec<_> = removed.steps.iter().map(StepId::to_string).collect();
        text += &format!(
            "Stopped {}: {}\n",
            count(names.len(), kind.unit()),
            names.join(", ")
        );
    }
    for (what, names) in [("volume", &removed.volumes), ("image", &removed.images)] {
        if !names.is_empty() {
            text += &format!(
                "Removed {}: {}\n",
                count(names.len(), what),
                names.join(", ")
            );
        }
    }
    if !kept.is_empty() && !removed.steps.is_empty() {
        let it = if kept.len() == 1 { "it" } else { "them" };
        text += &format!(
            "Kept {}: {}; `devenv down --volumes` removes {it}\n",
            count(kept.len(), "volume"),
            kept.join(", ")
        );
    }
    text
}
