//! `devenv hooks run`: what a hook's script calls, and people too.

use std::{
    io::{self, IsTerminal},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    time::Instant,
};

use serde::Serialize;

use super::{
    check::{self, Hook, Verdict},
    passed::Passed,
    place::Place,
    private,
    subject::{self, Subject, Tree},
};
use crate::{
    cli::{context::Context, exit, session::is_ci},
    config::{self, StepId, StepKind},
    event::{Explain, Fault, FaultClass, count, quoted},
    git::Oid,
    mirror::git_hook,
    report,
    sys::process::Spawn,
};

/// Run a hook as git does: what has passed already is not checked again.
///
/// pre-push checks the commits that git names, or HEAD when a person runs it; pre-commit what is staged; update, pre-receive and
/// post-receive, in the repository that is pushed to, what came in; the others the checkout. Tasks see the hook's name as
/// DEVENV_HOOK and git's arguments as DEVENV_HOOK_ARG_1 and so on; one with inputs sees those that `pass` names.
/// DEVENV_HOOKS=0 is for the script that git runs: who types this command wants it to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The hook, such as pre-push.
    hook: String,
    /// Check what has passed already, too.
    #[arg(long, short)]
    force: bool,
    /// The script that git runs.
    #[arg(long, hide = true)]
    shim: Option<String>,
    /// The project's folder in the repository.
    #[arg(long, hide = true)]
    project: Option<String>,
    /// What git gives the hook.
    #[arg(last = true)]
    args: Vec<String>,
}

/// What became of the trees.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    hook: String,
    checked: Vec<Done>,
    /// Passed before.
    known: Vec<Done>,
    /// Without a devenv.toml, or with none of this hook.
    unchecked: Vec<Done>,
    failed: Vec<Done>,
}

/// As messages call it where it is about no tree.
const CHECKOUT: &str = "the checkout";

#[derive(Debug, Default, Serialize)]
struct Done {
    tree: Option<Oid>,
    name: String,
    steps: usize,
    /// The steps that failed.
    failed: Vec<StepId>,
    #[serde(skip)]
    why: &'static str,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let started = Instant::now();
    config::hook_name(&args.hook).map_err(|near| unknown(&args.hook, &near))?;
    let is_called_by_git = args.shim.is_some() || !args.args.is_empty();
    let input = subject::input(is_called_by_git)?;
    if let Some(code) = run_chained(&args, &input).await? {
        return Ok(code);
    }
    let place = match &args.project {
        Some(project) => Place::of_script(project)?,
        None => Place::of_project(cx)?,
    };
    private::sweep(cx, &place).await;
    let mut outcome = Outcome {
        hook: args.hook.clone(),
        ..Outcome::default()
    };
    let hook = Hook {
        name: &args.hook,
        args: &args.args,
        force: args.force,
    };
    let mut faults = Vec::new();
    let subject = subject::of(&place, &args.hook, &args.args, &input, is_called_by_git);
    match subject.await? {
        Subject::Trees(trees) => {
            for tree in &trees {
                faults.extend(run_tree(cx, &place, &hook, tree, &mut outcome).await?);
            }
        }
        Subject::Checkout => faults.extend(run_checkout(cx, &place, &hook, &mut outcome).await?),
    }
    let ms = started.elapsed().as_millis() as u64;
    anstream::eprint!("{}", outcome.text(ms));
    match Fault::all(faults) {
        Some(fault) => {
            if cx.json() {
                cx.answer_of_failure(&outcome, String::new);
            }
            Err(fault)
        }
        None => {
            if cx.json() {
                cx.answer(&outcome, String::new);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What was there before devenv comes first, with the same arguments and input. Its failure is the hook's.
async fn run_chained(args: &Args, input: &[u8]) -> Result<Option<ExitCode>, Fault> {
    let Some(shim) = &args.shim else {
        return Ok(None);
    };
    let program = git_hook::chained(shim);
    let is_program = |path: &Path| {
        let meta = path.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if !is_program(Path::new(&program)) {
        return Ok(None);
    }
    let program = match program.contains('/') {
        true => program,
        false => format!("./{program}"),
    };
    let spawn = Spawn::new(std::iter::once(program).chain(args.args.iter().cloned()));
    let status = spawn.with_input(input).await.map_err(|error| {
        Fault::from_error(&error)
            .help("give it a first line such as `#!/bin/sh`, or remove it: devenv runs it first")
    })?;
    Ok(match status.code() {
        Some(0) => None,
        code => Some(exit::of_child(code.unwrap_or(1).into())),
    })
}

/// Checks the tree, unless it has passed. The fault is of one that does not pass.
async fn run_tree(
    cx: &Context,
    place: &Place,
    hook: &Hook<'_>,
    tree: &Tree,
    outcome: &mut Outcome,
) -> Result<Option<Fault>, Fault> {
    let passed = Passed::of(&place.repository.state(), hook.name, &place.project);
    let folder = place.folder();
    if !hook.force && passed.contains(&tree.oid, folder.as_deref()) {
        outcome.known.push(Done::of(Some(tree)));
        return Ok(None);
    }
    let file = place.path_of(config::FILE);
    let has_file = place.repository.has_file(&tree.oid, &file);
    if !has_file.await.map_err(|error| error.explain())? {
        outcome.not_checked(Some(tree), "has no devenv.toml");
        return Ok(None);
    }
    let waiting = Waiting::tell(hook, &tree.name);
    let verdict = check::tree(cx, place, hook, tree).await;
    drop(waiting);
    let verdict = verdict?;
    if let Verdict::Passed(checked) = &verdict
        && checked.steps.is_some()
    {
        passed.add(&tree.oid, &checked.needed, folder.as_deref());
    }
    Ok(outcome.take(hook, Some(tree), verdict))
}

async fn run_checkout(
    cx: &Context,
    place: &Place,
    hook: &Hook<'_>,
    outcome: &mut Outcome,
) -> Result<Option<Fault>, Fault> {
    let folder = place.folder();
    if !folder.is_some_and(|folder| folder.join(config::FILE).is_file()) {
        outcome.not_checked(None, "has no devenv.toml");
        return Ok(None);
    }
    let verdict = check::checkout(cx, place, hook).await?;
    Ok(outcome.take(hook, None, verdict))
}

/// Says on a terminal what takes its time. The line goes with what comes of it.
struct Waiting {
    is_told: bool,
}

impl Waiting {
    fn tell(hook: &Hook<'_>, name: &str) -> Self {
        let is_told = io::stderr().is_terminal() && !is_ci();
        if is_told {
            anstream::eprint!("{}: checking {name}", hook.name);
        }
        Self { is_told }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_told {
            // To the start of the line, and clear it.
            eprint!("\r\x1b[K");
        }
    }
}

fn refused(hook: &Hook<'_>, tree: Option<&Tree>, failed: &[StepId]) -> Fault {
    let subject = match tree {
        None => CHECKOUT.to_owned(),
        Some(tree) if tree.refs.is_empty() => tree.name.clone(),
        Some(tree) => format!("{} of {}", tree.name, quoted(&tree.refs)),
    };
    let subject = match failed {
        [] => subject,
        failed => format!("{} failed for {subject}", quoted(failed)),
    };
    let skip = match hook.name {
        "pre-push" => "commit what mends it; `git push --no-verify` pushes without the checks",
        "pre-commit" | "pre-merge-commit" => {
            "stage what mends it; `git commit --no-verify` commits without the checks"
        }
        "update" | "pre-receive" => "push again with what mends it",
        "commit-msg" => "`git commit --no-verify` commits without the checks",
        _ => "`DEVENV_HOOKS=0` in the environment skips the checks",
    };
    // Others say themselves what to do.
    let says_so = |step: &&StepId| !matches!(step.kind, StepKind::Task | StepKind::Lint);
    let again = failed.iter().find(|step| !says_so(step));
    let help = match again {
        Some(step) => format!("`devenv run {step}` runs it here; {skip}"),
        None => skip.to_owned(),
    };
    Fault::new(format!("`{}` does not pass: {subject}", hook.name)).help(help)
}

impl Done {
    fn of(tree: Option<&Tree>) -> Self {
        Self {
            tree: tree.map(|tree| tree.oid.clone()),
            name: tree.map_or(CHECKOUT, |tree| &tree.name).to_owned(),
            ..Self::default()
        }
    }
}

impl Outcome {
    /// Why it was not let through, if it was not.
    fn take(&mut self, hook: &Hook<'_>, tree: Option<&Tree>, verdict: Verdict) -> Option<Fault> {
        let done = Done::of(tree);
        match verdict {
            Verdict::Passed(checked) => {
                match checked.steps {
                    Some(steps) => self.checked.push(Done { steps, ..done }),
                    None => self.not_checked(tree, "has no such hook in its devenv.toml"),
                }
                None
            }
            Verdict::Failed(failed) => {
                let fault = refused(hook, tree, &failed);
                self.failed.push(Done { failed, ..done });
                Some(fault)
            }
        }
    }

    fn not_checked(&mut self, tree: Option<&Tree>, why: &'static str) {
        let done = Done::of(tree);
        self.unchecked.push(Done { why, ..done });
    }

    fn text(&self, ms: u64) -> String {
        let hook = &self.hook;
        let mut text = String::new();
        if !self.checked.is_empty() {
            let steps = self.checked.iter().map(|done| done.steps).sum();
            let passed = count(steps, "check");
            let took = report::duration(ms);
            text += &format!(
                "{hook}: {passed} passed for {} in {took}\n",
                names(&self.checked)
            );
        }
        if !self.known.is_empty() {
            let were = if self.known.len() == 1 { "was" } else { "were" };
            text += &format!("{hook}: {} {were} checked before\n", names(&self.known));
        }
        for done in &self.unchecked {
            text += &format!("{hook}: nothing to check, {} {}\n", done.name, done.why);
        }
        text
    }
}

fn names(all: &[Done]) -> String {
    let names: Vec<_> = all.iter().map(|done| done.name.as_str()).collect();
    names.join(", ")
}

fn unknown(hook: &str, near: &str) -> Fault {
    Fault::new(format!("`{hook}` is not a git hook"))
        .class(FaultClass::Usage)
        .help(near)
}
