//! The private worktrees of hooks: what is shared with them, what becomes of what was started there.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use super::{
    facts::{DOTENV, Needed},
    place::Place,
};
use crate::{
    cli::{Global, OutputFormat, context::Context, down, run_lock},
    config::{self, StepKind},
    event::{Explain, Fault, FaultClass},
    git::{Repository, Worktree},
};

/// Ends and removes what killed hooks left. What cannot be is told and left for the next time.
pub async fn sweep(cx: &Context, place: &Place) {
    let abandoned = Worktree::abandoned(&place.repository.state());
    for worktree in abandoned.into_iter().flatten() {
        take_down(cx, &worktree, &place.project).await;
    }
}

/// Ends what was started in the worktree, and removes it.
pub async fn take_down(cx: &Context, worktree: &Worktree, project: &str) {
    let ended = end(cx, &worktree.top().join(project)).await;
    let removed = ended.and_then(|()| worktree.clear().map_err(|error| error.explain()));
    if let Err(fault) = removed {
        cx.show(&fault);
        let what = worktree.top();
        anstream::eprintln!(
            "warning: what a hook made in `{}` is not all removed; the next one tries again",
            what.display()
        );
    }
}

async fn end(cx: &Context, folder: &Path) -> Result<(), Fault> {
    // Without its file, the project above would be taken for this one.
    let has = |name| folder.join(name).symlink_metadata().is_ok();
    if !has(config::FILE) || !has(".devenv") {
        return Ok(());
    }
    let inside = Context::new(&Global {
        directory: Some(folder.to_owned()),
        output: OutputFormat::Plain,
        verbose: false,
        runtime: cx.runtime,
    });
    inside.needs_no_lock()?;
    // Also ends what a killed command left.
    let _alone = run_lock::acquire(&inside, "hooks run", None).await?;
    match may_have_started(&inside) {
        true => down::everything(&inside, down::Built::Remove).await,
        false => Ok(()),
    }
}

/// Whether any hook of the file needs more than commands.
fn may_have_started(cx: &Context) -> bool {
    let (Ok(config), Ok(plan)) = (cx.config(), cx.plan()) else {
        return true;
    };
    let named = config
        .hook
        .values()
        .flat_map(|hook| hook.run.iter().cloned());
    let all = plan.graph().closure(named);
    all.iter().any(|id| match id.kind {
        StepKind::Image
        | StepKind::Build
        | StepKind::Postgres
        | StepKind::Service
        | StepKind::Migrate
        | StepKind::App
        | StepKind::Smoke => true,
        StepKind::Toolchain | StepKind::Proto | StepKind::Lint | StepKind::Task | StepKind::Ci => {
            false
        }
    })
}

/// Lays links to what the project shares, to its `.env` and to the files of its secrets into a private worktree. Only what git
/// ignores is shared: all else would be no file of the tree.
pub async fn share(place: &Place, hook: &str, worktree: &Worktree) -> Result<(), Fault> {
    let (Some(from), to) = (place.folder(), worktree.top().join(&place.project)) else {
        return Ok(());
    };
    let links = async |path: &str| match is_inside(path) {
        true => link(&place.repository, &from.join(path), &to.join(path)).await,
        false => Ok(()),
    };
    links(DOTENV).await?;
    // What is wrong with the file is told by who runs the steps.
    let Ok(config) = config::load(&to) else {
        return Ok(());
    };
    for path in Needed::of(&config).files {
        links(&path).await?;
    }
    for path in config.hook.get(hook).iter().flat_map(|hook| &hook.share) {
        links(path).await?;
    }
    Ok(())
}

/// Whether the path is in the project's folder: one elsewhere is there for everybody.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

async fn link(repository: &Repository, from: &Path, to: &Path) -> Result<(), Fault> {
    let is_there = from.exists() && to.symlink_metadata().is_err();
    if !is_there
        || !repository
            .is_ignored(from)
            .await
            .map_err(|error| error.explain())?
    {
        return Ok(());
    }
    let dir = to.parent().unwrap_or(to);
    let linked = fs::create_dir_all(dir).and_then(|()| symlink(from, to));
    linked.map_err(|error| not_linked(to.to_owned(), &error))
}

fn not_linked(path: PathBuf, error: &io::Error) -> Fault {
    Fault::new(format!("cannot make the link `{}`", path.display()))
        .class(FaultClass::Environment)
        .note(error.to_string())
}
