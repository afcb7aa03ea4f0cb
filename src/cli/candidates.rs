//! What a shell offers in place of a step's name: the steps of the nearest devenv.toml, nothing where it cannot be read.

use std::{collections::BTreeSet, env, ffi::OsStr, path::PathBuf};

use clap_complete::{ArgValueCompleter, CompletionCandidate};

use super::{Global, OutputFormat, context::Context};
use crate::{
    config::{StepId, StepKind},
    plan::{Locked, Plan, Sources},
};

/// Any step.
pub fn steps() -> ArgValueCompleter {
    of(|_| true)
}

/// Steps that keep something running.
pub fn running() -> ArgValueCompleter {
    of(StepKind::is_running_service)
}

/// What can be run by name: not what keeps running.
pub fn runnable() -> ArgValueCompleter {
    of(|kind| !kind.is_running_service())
}

/// Tables of a kind, by their bare names.
pub fn names(kind: StepKind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let names = ids(|other| other == kind).into_iter().map(|id| id.name);
        candidates(names.collect(), typed)
    })
}

fn of(wanted: fn(StepKind) -> bool) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let all = ids(wanted);
        let whole = candidates(all.iter().map(StepId::to_string).collect(), typed);
        match whole.is_empty() {
            // `we` may stand for `web` of `service.web`.
            true => candidates(all.into_iter().map(|id| id.name).collect(), typed),
            false => whole,
        }
    })
}

fn candidates(names: BTreeSet<String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = names.into_iter().filter(|name| name.starts_with(&*typed));
    fitting.map(CompletionCandidate::new).collect()
}

/// From the file alone: somebody waits for the key they pressed.
fn ids(wanted: impl Fn(StepKind) -> bool) -> Vec<StepId> {
    let cx = Context::new(&Global {
        directory: directory(),
        output: OutputFormat::Plain,
        verbose: false,
        runtime: None,
    });
    let Ok(config) = cx.config() else {
        return Vec::new();
    };
    let plan = Plan::build(&config, &Locked::new(), &Sources::default());
    let ids = plan.steps.into_keys();
    ids.filter(|id| wanted(id.kind)).collect()
}

/// `-C DIR` of the line that is being typed.
fn directory() -> Option<PathBuf> {
    let mut words = env::args_os().skip_while(|word| word != "-C");
    words.nth(1).map(PathBuf::from)
}
