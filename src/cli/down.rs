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
    config::StepId,
    event::{Explain, Fault, count},
    image::{ImageError, Images},
    plan::Graph,
    runtime::{AnyRuntime, Identity, Runtime, RuntimeError, RuntimeKind},
    steps::{Engine, image_repository},
    sys::fs::TryLock,
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
    cx.find_root().await?;
    cx.needs_no_lock()?;
    // Without a readable file everything can still be stopped, all at once.
    let (identity, needs) = match cx.plan() {
        Ok(plan) => (cx.identity()?, plan.graph()),
        Err(fault) => match found(cx).await? {
            Some(identity) => {
                cx.show(&fault);
                (identity, Graph::default())
            }
            None => return Err(fault),
        },
    };
    let _lock = run_lock::acquire(cx, "down", None).await?;
    let (sides, unknown) = take_both_down(cx, &args, &needs, &identity).await;
    let is_known = unknown.is_none();
    if is_known && sides.iter().all(|side| side.kept.is_empty()) && args.images {
        forget_identity(cx, &identity)?;
    }
    for id in sides.iter().flat_map(|side| &side.former) {
        anstream::eprintln!("{}", orphans::former(&cx.store()?, id)?);
    }
    let mut removed = Removed::default();
    for side in &sides {
        removed.steps.extend(side.removed.steps.clone());
        removed.volumes.extend(side.removed.volumes.clone());
        removed.images.extend(side.removed.images.clone());
    }
    let in_use = sides.iter().filter_map(|side| side.in_use.clone());
    let killed = left_apart(cx, &args).await;
    let faults = unknown.into_iter().chain(in_use).chain(killed.err());
    let faults = faults.collect();
    let text = || match is_known {
        true => text(&sides),
        // Nobody can say that nothing was running.
        false => sides.iter().map(side_text).collect(),
    };
    if let Some(fault) = Fault::all(faults) {
        if is_known || !sides.is_empty() {
            cx.answer_of_failure(&removed, text);
        }
        return Err(fault);
    }
    cx.answer(&removed, text);
    Ok(ExitCode::SUCCESS)
}

/// What becomes of images that were built for what is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// The next run of the same identity has them at once.
    Keep,
    Remove,
}

/// Takes all down that the request's identity has, data included. Says nothing when that works.
///
/// # Errors
/// What could not be removed, or not be looked at.
pub async fn everything(cx: &Context, images: Built) -> Result<(), Fault> {
    let args = Args {
        volumes: true,
        images: images == Built::Remove,
    };
    let Some(identity) = found(cx).await? else {
        return Ok(());
    };
    let needs = cx.plan().map(|plan| plan.graph()).unwrap_or_default();
    let (sides, unknown) = take_both_down(cx, &args, &needs, &identity).await;
    let in_use = sides.into_iter().filter_map(|side| side.in_use);
    match Fault::all(unknown.into_iter().chain(in_use).collect()) {
        Some(fault) => Err(fault),
        None => forget_identity(cx, &identity),
    }
}

/// Whether a `devenv ci` or a hook in this worktree was killed, and what it had is still there.
pub fn is_left_apart(cx: &Context) -> Result<bool, Fault> {
    let store = cx.ephemeral().store()?;
    if store.identity().is_none() {
        return Ok(false);
    }
    let lock = store.try_lock("`devenv ps`");
    let lock = lock.map_err(|error| error.explain())?;
    Ok(matches!(lock, TryLock::Locked(_)))
}

/// What such a run has left. One that goes on has the worktree's lock.
async fn left_apart(cx: &Context, args: &Args) -> Result<(), Fault> {
    let own = cx.ephemeral();
    let was_killed = own.store()?.identity().is_some();
    // Images are all that one leaves which came to its end.
    if !was_killed && !args.images {
        return Ok(());
    }
    own.needs_no_lock()?;
    let _lock = run_lock::acquire(&own, "down", None).await?;
    let images = match args.images {
        true => Built::Remove,
        false => Built::Keep,
    };
    everything(&own, images).await?;
    if was_killed {
        anstream::eprintln!("Took down what a killed `devenv ci` or hook had left");
    }
    Ok(())
}

/// Whose things are to go, when there is no plan: the file's, if it can be read at all.
async fn found(cx: &Context) -> Result<Option<Identity>, Fault> {
    match cx.config() {
        Ok(_) => cx.identity().map(Some),
        Err(_) => cx.found_identity().await,
    }
}

/// What became of either side, and why nothing is known of the one in use.
async fn take_both_down(
    cx: &Context,
    args: &Args,
    needs: &Graph,
    identity: &Identity,
) -> (Vec<Side>, Option<Fault>) {
    let mut sides = Vec::new();
    let mut unknown = None;
    let used = async {
        let engine = runtime::of_kind(cx.kind(), identity.clone())?;
        Side::take_down(engine, args, needs, identity).await
    };
    match used.await {
        Ok(side) => sides.push(side),
        Err(fault) => unknown = Some(fault),
    }
    // It may have been brought up by the other runtime, too.
    if let Some(engine) = runtime::other(cx.kind(), identity.clone()) {
        match Side::take_down(engine, args, needs, identity).await {
            Ok(side) => sides.push(side),
            Err(fault) => cx.show(&fault),
        }
    }
    (sides, unknown)
}

/// What became of what one runtime had.
struct Side {
    kind: RuntimeKind,
    removed: Removed,
    kept: Vec<String>,
    /// What could not go, as others use it.
    in_use: Option<Fault>,
    former: BTreeSet<String>,
}

impl Side {
    async fn take_down(
        engine: Engine,
        args: &Args,
        needs: &Graph,
        identity: &Identity,
    ) -> Result<Self, Fault> {
        let Engine { runtime, images } = engine;
        let explain = |error: RuntimeError| error.explain();
        let listing = runtime.list().await.map_err(explain)?;
        let steps = listing.instances.iter();
        let mut removed = Removed {
            steps: steps.map(|instance| instance.step.clone()).collect(),
            ..Removed::default()
        };
        stop(&runtime, &removed.steps, needs).await?;
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
            removed.images = remove_images(&images, identity).await?;
        }
        Ok(Self {
            kind: runtime.kind(),
            kept: runtime.volumes().await.map_err(explain)?,
            removed,
            in_use,
            former: listing.former,
        })
    }
}

/// Those of the worktree's own tags, and those it built for references of the file: these may be shared, and the next `up` of who
/// has no container now gets them again.
async fn remove_images(images: &Images, identity: &Identity) -> Result<Vec<String>, Fault> {
    let explain = |error: ImageError| error.explain();
    let repository = image_repository(identity);
    let mut removed = images
        .remove_repository(&repository)
        .await
        .map_err(explain)?;
    let built = images.remove_built_by(&identity.id).await;
    removed.extend(built.map_err(explain)?);
    Ok(removed)
}

/// Nothing carries the name any more that the project had.
fn forget_identity(cx: &Context, identity: &Identity) -> Result<(), Fault> {
    let forgotten = cx.store()?.forget_identity(&identity.id);
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

fn text(sides: &[Side]) -> String {
    let text: String = sides.iter().map(side_text).collect();
    match text.is_empty() {
        true => "Nothing was running\n".into(),
        false => text,
    }
}

fn side_text(side: &Side) -> String {
    let Removed {
        steps,
        volumes,
        images,
    } = &side.removed;
    let mut text = String::new();
    if !steps.is_empty() {
        let names: Vec<_> = steps.iter().map(StepId::to_string).collect();
        text += &format!(
            "Stopped {}: {}\n",
            count(names.len(), side.kind.unit()),
            names.join(", ")
        );
    }
    for (what, names) in [("volume", volumes), ("image", images)] {
        if !names.is_empty() {
            text += &format!(
                "Removed {}: {}\n",
                count(names.len(), what),
                names.join(", ")
            );
        }
    }
    if !side.kept.is_empty() && !steps.is_empty() {
        let it = if side.kept.len() == 1 { "it" } else { "them" };
        text += &format!(
            "Kept {}: {}; `devenv down --volumes` removes {it}\n",
            count(side.kept.len(), "volume"),
            side.kept.join(", ")
        );
    }
    text
}
