//! Checks a tree: in the checkout when it holds just that, else in a private worktree. The steps run as a process of their own.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::Path,
    pin::pin,
    process::ExitStatus,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};

use super::{place::Place, private, steps::Checked, subject::Tree};
use crate::{
    cli::{committed, context::Context, interrupt, runtime::Wanted},
    config::StepId,
    engine::{Heeds, Signal},
    event::{Explain, Fault, FaultClass},
    git::{LOCAL_VARIABLES, Repository, Worktree},
    sys::process::Spawn,
};

/// The hook that is run, and how.
pub struct Hook<'a> {
    pub name: &'a str,
    pub args: &'a [String],
    pub force: bool,
}

/// How a check ended. What did not pass was told.
pub enum Verdict {
    Passed(Checked),
    /// With the steps that failed, as far as it came to them.
    Failed(Vec<StepId>),
}

/// Checks the tree where it can be: whatever the checkout holds, just its files are looked at.
pub async fn tree(
    cx: &Context,
    place: &Place,
    hook: &Hook<'_>,
    tree: &Tree,
) -> Result<Verdict, Fault> {
    let repository = &place.repository;
    let is_there = async || {
        let found = repository.is_checked_out(&tree.oid).await;
        found.map_err(|error| error.explain())
    };
    if is_there().await? {
        let verdict = checkout(cx, place, hook).await?;
        // What was changed meanwhile may be what passed, or what failed.
        if is_there().await? {
            return Ok(verdict);
        }
    }
    let mut signals = pin!(interrupt::signals(Heeds::All)?);
    let worktree = Worktree::reserve(&repository.state()).map_err(|error| error.explain())?;
    let checked = async {
        let filled = worktree.fill(repository, &tree.head, &tree.oid).await;
        filled.map_err(|error| error.explain())?;
        private::share(place, hook.name, &worktree).await?;
        let folder = worktree.top().join(&place.project);
        let spawn = spawn(cx, hook, &folder, Folder::Private)?;
        finish(&spawn, signals.as_mut()).await
    };
    let checked = match checked.await {
        Ok(Verdict::Passed(checked)) => unchanged(&worktree, &place.project)
            .await
            .map(|()| Verdict::Passed(checked)),
        checked => checked,
    };
    private::take_down(cx, &worktree, &place.project).await;
    checked
}

/// The files are still those that were checked out there.
async fn unchanged(worktree: &Worktree, project: &str) -> Result<(), Fault> {
    let Some(repository) = Repository::at(&worktree.top()) else {
        return Ok(());
    };
    let diff = repository.diff(None).await;
    let diff = diff.map_err(|error| error.explain())?;
    committed::changed(&diff, Path::new(project)).map_or(Ok(()), Err)
}

/// Checks the project's folder as it is.
pub async fn checkout(cx: &Context, place: &Place, hook: &Hook<'_>) -> Result<Verdict, Fault> {
    let Some(folder) = place.folder() else {
        return Err(Fault::new("a bare repository has no files to check").class(FaultClass::Usage));
    };
    let spawn = spawn(cx, hook, &folder, Folder::Checkout(&place.repository))?;
    finish(&spawn, pin!(interrupt::signals(Heeds::All)?)).await
}

/// How git finds the repository in its checkout, where the folders alone do not tell.
fn repository_variables(repository: &Repository) -> BTreeMap<String, OsString> {
    let Some(top) = &repository.top else {
        return BTreeMap::new();
    };
    match Repository::at(top).is_some_and(|found| found.git_dir == repository.git_dir) {
        true => BTreeMap::new(),
        false => [
            ("GIT_DIR".to_owned(), repository.git_dir.clone().into()),
            ("GIT_WORK_TREE".to_owned(), top.into()),
        ]
        .into(),
    }
}

/// Whose folder the steps run in.
enum Folder<'a> {
    /// The hook's own, which goes with all that was started in it.
    Private,
    /// The user's, in the checkout of this repository.
    Checkout(&'a Repository),
}

fn spawn(cx: &Context, hook: &Hook<'_>, path: &Path, folder: Folder<'_>) -> Result<Spawn, Fault> {
    let devenv = env::current_exe().map_err(|error| {
        Fault::new("cannot find out where devenv is")
            .class(FaultClass::Environment)
            .note(error.to_string())
    })?;
    let mut argv = vec![
        devenv.display().to_string(),
        "-C".to_owned(),
        path.display().to_string(),
        "--output".to_owned(),
        "plain".to_owned(),
    ];
    argv.extend(cx.verbose.then(|| "--verbose".to_owned()));
    argv.extend(cx.runtime.map(|wanted| {
        let name = match wanted {
            Wanted::Auto => "auto",
            Wanted::Docker => "docker",
            Wanted::Process => "process",
        };
        format!("--runtime={name}")
    }));
    argv.extend(["hooks", "steps", hook.name].map(str::to_owned));
    argv.extend(hook.force.then(|| "--force".to_owned()));
    let mut env: BTreeMap<_, _> = variables(hook).collect();
    if let Folder::Checkout(repository) = folder {
        argv.push("--apart".to_owned());
        env.extend(repository_variables(repository));
    }
    Ok(Spawn {
        argv,
        cwd: None,
        env,
        // What git said of the repository is said of it, not of what tasks do elsewhere.
        env_remove: LOCAL_VARIABLES.map(Into::into).to_vec(),
    })
}

/// What tasks are told of the hook: its name, and each argument that git gave it.
fn variables(hook: &Hook<'_>) -> impl Iterator<Item = (String, OsString)> {
    let args = hook.args.iter().enumerate().map(|(index, arg)| {
        let value = match (index, hook.name) {
            // A file, relative to where git started the hook; steps start in the project's folder.
            (0, "commit-msg" | "prepare-commit-msg" | "applypatch-msg" | "sendemail-validate") => {
                std::path::absolute(arg).map_or_else(|_| arg.into(), Into::into)
            }
            _ => arg.into(),
        };
        (format!("DEVENV_HOOK_ARG_{}", index + 1), value)
    });
    let name = ("DEVENV_HOOK".to_owned(), hook.name.into());
    std::iter::once(name).chain(args)
}

/// What comes so soon after a signal is the same once more: a terminal tells git and its hook of Ctrl-C, and git tells the hook, too.
const ECHO: Duration = Duration::from_millis(500);

/// Waits for the steps, and passes on what is to end them: they heed nobody else, as a terminal tells them, too.
async fn finish(
    spawn: &Spawn,
    mut signals: impl Stream<Item = Signal> + Unpin,
) -> Result<Verdict, Fault> {
    let explain = |error: crate::sys::process::ProcessError| Fault::from_error(&error);
    let mut steps = spawn.start_beside().map_err(explain)?;
    let terminate = steps.terminator();
    let mut finished = pin!(steps.finish());
    let mut passed_on: Option<Instant> = None;
    let (status, stdout) = loop {
        tokio::select! {
            finished = &mut finished => break finished.map_err(explain)?,
            Some(_) = signals.next() => {
                if passed_on.is_none_or(|last| last.elapsed() > ECHO) {
                    passed_on = Some(Instant::now());
                    terminate();
                }
            }
        }
    };
    match passed_on {
        Some(_) => Err(Fault::new("interrupted").class(FaultClass::Interrupted)),
        None => Ok(verdict(status, &stdout)),
    }
}

fn verdict(status: ExitStatus, stdout: &[u8]) -> Verdict {
    match serde_json::from_slice::<Checked>(stdout) {
        Ok(checked) if status.success() => Verdict::Passed(checked),
        Ok(checked) => Verdict::Failed(checked.failed),
        Err(_) => Verdict::Failed(Vec::new()),
    }
}
