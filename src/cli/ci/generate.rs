//! `devenv ci generate`: writes the files of CI services.

use std::{fs, process::ExitCode};

use serde::Serialize;

use super::Service;
use crate::{
    cli::context::Context,
    config::{Config, StepId},
    event::{Explain, Fault, FaultClass, count},
    report,
    steps::ci::{self, Compared, Orphan, State},
    sys::fs::write_atomic,
};

/// Write the files that make a CI service call devenv; what stands in their user blocks stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services; all that devenv.toml names when absent.
    #[arg(value_enum)]
    services: Vec<Service>,
    /// Also replace files that were edited elsewhere than between their `yours` lines.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    written: Vec<String>,
    /// Were so already.
    unchanged: Vec<String>,
    /// Generated once, asked for by nothing now.
    deleted: Vec<String>,
}

pub fn run(cx: &Context, args: &Args) -> Result<ExitCode, Fault> {
    let (root, config, plan) = (cx.root()?, cx.config()?, cx.plan()?);
    let wanted = super::services(&config, &args.services)?;
    let mut files = ci::compare(&root, &config, &plan).map_err(|error| error.explain())?;
    files.retain(|compared| wanted.contains(&compared.file.step));
    let kept = files.iter().filter(|compared| {
        compared.link.is_some()
            || match compared.state {
                State::Foreign => true,
                State::Edited | State::Unfenced { .. } => !args.force,
                State::Own | State::Absent => false,
            }
    });
    let kept = kept.map(|compared| ci::fault(compared).class(FaultClass::Usage));
    // Nothing is written unless all can be.
    if let Some(fault) = Fault::all(kept.collect()) {
        return Err(fault);
    }
    let mut answer = Answer::default();
    for compared in &files {
        let path = compared.file.path.clone();
        if compared.is_up_to_date() {
            answer.unchanged.push(path);
            continue;
        }
        write(cx, compared)?;
        answer.written.push(path);
    }
    for Orphan { path, is_pure } in ci::orphans(&root, &config).map_err(|error| error.explain())? {
        if !is_pure && !args.force {
            return Err(not_deleted(&path));
        }
        fs::remove_file(root.join(&path)).map_err(|error| failed("delete", &path, &error))?;
        answer.deleted.push(path);
    }
    cx.answer(&answer, || text(&answer));
    if !answer.written.is_empty() {
        tell_without_setup(&config, &wanted);
    }
    Ok(ExitCode::SUCCESS)
}

/// Generated once, but it holds something of the user's.
fn not_deleted(path: &str) -> Fault {
    Fault::new(format!(
        "nothing in devenv.toml asks for `{path}` any more, and it holds lines of yours"
    ))
    .class(FaultClass::Usage)
    .at_file(path, 1, 1)
    .help("move them elsewhere, then run `devenv ci generate --force`, which deletes it; to keep the file, take away its first line")
}

fn write(cx: &Context, compared: &Compared) -> Result<(), Fault> {
    let path = &compared.file.path;
    let written = write_atomic(&cx.root()?.join(path), compared.wanted.as_bytes());
    written.map_err(|error| failed("write", path, &error))
}

/// That a job finds devenv only where the runner has it.
fn tell_without_setup(config: &Config, wanted: &[StepId]) {
    let ci = config.ci.as_ref();
    let github = ci
        .and_then(|ci| ci.github.as_ref())
        .map(|github| &github.setup);
    let gitlab = ci
        .and_then(|ci| ci.gitlab.as_ref())
        .map(|gitlab| &gitlab.setup);
    for (name, setup) in [("github", github), ("gitlab", gitlab)] {
        let is_wanted = wanted.iter().any(|step| step.name == name);
        if is_wanted && setup.is_some_and(Vec::is_empty) {
            let told = format!(
                "the jobs need devenv on the runner's PATH: `setup` in `[ci.{name}]` can put it there"
            );
            anstream::eprintln!("{}", report::note(&told));
        }
    }
}

fn failed(what: &str, path: &str, error: &std::io::Error) -> Fault {
    Fault::new(format!("cannot {what} `{path}`"))
        .class(FaultClass::Environment)
        .note(error.to_string())
}

fn text(answer: &Answer) -> String {
    let told = [
        ("Wrote", &answer.written),
        ("Deleted", &answer.deleted),
        ("Unchanged:", &answer.unchanged),
    ];
    let told = told.iter().filter(|(_, paths)| !paths.is_empty());
    told.map(|(what, paths)| {
        format!(
            "{what} {}: {}\n",
            count(paths.len(), "file"),
            paths.join(", ")
        )
    })
    .collect()
}
