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
    config,
    event::{Explain, Fault, FaultClass, count},
    git::Oid,
    mirror::git_hook,
    report,
    sys::process::Spawn,
};

/// Run a hook as git does: what has passed already is not checked again.
///
/// pre-push checks the commits that git names on standard input, or HEAD when a person runs it; pre-commit what is staged;
/// the others the checkout. Tasks see the hook's name as DEVENV_HOOK and git's arguments as DEVENV_HOOK_ARG_1 and so on.
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

#[derive(Debug, Serialize)]
struct Done {
    tree: Option<Oid>,
    name: String,
    steps: usize,
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
    match subject::of(&place, &args.hook, &input, is_called_by_git).await? {
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
    let done = |steps, why| Done {
        tree: Some(tree.oid.clone()),
        name: tree.name.clone(),
        steps,
        why,
    };
    if !hook.force && passed.contains(&tree.oid, folder.as_deref()) {
        outcome.known.push(done(0, ""));
        return Ok(None);
    }
    let file = place.path_of(config::FILE);
    let has_file = place.repository.has_file(&tree.oid, &file);
    if !has_file.await.map_err(|error| error.explain())? {
        outcome.unchecked.push(done(0, "has no devenv.toml"));
        return Ok(None);
    }
    let waiting = Waiting::tell(hook, &tree.name);
    let verdict = check::tree(cx, place, hook, tree).await;
    drop(waiting);
    match verdict? {
        Verdict::Passed(checked) => {
            match checked.steps {
                Some(steps) => {
                    passed.add(&tree.oid, &checked.needed, folder.as_deref());
                    outcome.checked.push(done(steps, ""));
                }
                None => outcome
                    .unchecked
                    .push(done(0, "has no such hook in its devenv.toml")),
            }
            Ok(None)
        }
        Verdict::Failed => {
            outcome.failed.push(done(0, ""));
            Ok(Some(refused(hook, tree)))
        }
    }
}

async fn run_checkout(
    cx: &Context,
    place: &Place,
    hook: &Hook<'_>,
    outcome: &mut Outcome,
) -> Result<Option<Fault>, Fault> {
    let name = "the checkout".to_owned();
    let done = |steps, why| Done {
        tree: None,
        name,
        steps,
        why,
    };
    let folder = place.folder();
    if !folder.is_some_and(|folder| folder.join(config::FILE).is_file()) {
        outcome.unchecked.push(done(0, "has no devenv.toml"));
        return Ok(None);
    }
    match check::checkout(cx, place, hook).await? {
        Verdict::Passed(checked) => match checked.steps {
            Some(steps) => outcome.checked.push(done(steps, "")),
            None => outcome
                .unchecked
                .push(done(0, "has no such hook in its devenv.toml")),
        },
        Verdict::Failed => {
            outcome.failed.push(done(0, ""));
            return Ok(Some(Fault::new(format!("`{}` does not pass", hook.name))));
        }
    }
    Ok(None)
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

fn refused(hook: &Hook<'_>, tree: &Tree) -> Fault {
    let refs = match tree.refs.as_slice() {
        [] => String::new(),
        refs => format!(" of {}", crate::event::quoted(refs)),
    };
    let fault = Fault::new(format!(
        "`{}` does not pass: {}{refs}",
        hook.name, tree.name
    ));
    let help = match hook.name {
        "pre-push" => "commit what mends it; `git push --no-verify` pushes without the checks",
        "pre-commit" | "pre-merge-commit" => {
            "stage what mends it; `git commit --no-verify` commits without the checks"
        }
        _ => "`DEVENV_HOOKS=0` in the environment skips the checks",
    };
    fault.help(help)
}

impl Outcome {
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
