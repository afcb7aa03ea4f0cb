//! `devenv migrate lint`: the rules that new and changed migrations obey, looked at without a run.

use std::process::ExitCode;

use serde::Serialize;

use super::Tables;
use crate::{
    cli::context::Context,
    config::{StepId, StepKind},
    event::Fault,
    git::Since,
    steps::lint,
};

/// What is new is told by git: what differs from the commit where the branch left the remote's default branch.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Those new or changed since this commit, branch or tag, or since the branch left it.
    #[arg(long, value_name = "REF", conflicts_with = "all")]
    since: Option<String>,
    /// Also those that are neither new nor changed.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Linted {
    step: StepId,
    /// Migrations that the rules were for, and those that were left out.
    checked: usize,
    older: usize,
    /// Since when a migration counts as new; absent where all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Files at which the lint itself failed.
    warnings: Vec<Fault>,
    #[serde(skip)]
    summary: String,
}

pub async fn run(cx: &Context, tables: &Tables<'_>, args: Args) -> Result<ExitCode, Fault> {
    cx.needs_no_lock()?;
    let mut steps = cx.steps(cx.silent_events())?;
    steps.since = match args {
        Args { all: true, .. } => Since::Always,
        Args { since, .. } => since.map_or(Since::Branch, Since::Ref),
    };
    let (mut all, mut errors, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
    for (migrate, _) in tables {
        let step = StepId::new(StepKind::Lint, &migrate.name);
        match steps.lint(&step).await {
            Ok(looked) => {
                let summary = looked.summary();
                errors.extend(looked.errors);
                all.push(Linted {
                    step,
                    checked: looked.new,
                    older: looked.valid - looked.new,
                    since: looked.since,
                    warnings: looked.warnings,
                    summary,
                });
            }
            Err(fault) => invalid.push(fault),
        }
    }
    if let Some(fault) = Fault::all(invalid) {
        return Err(fault);
    }
    if !cx.json() {
        let warnings = all.iter().flat_map(|one| &one.warnings);
        warnings.for_each(|fault| cx.show(fault));
    }
    let text = || all.iter().map(|one| line(one, all.len())).collect();
    match lint::failure(errors) {
        None => {
            cx.answer(&all, text);
            Ok(ExitCode::SUCCESS)
        }
        Some(fault) => {
            cx.answer_of_failure(&all, text);
            Err(fault)
        }
    }
}

fn line(one: &Linted, tables: usize) -> String {
    match tables {
        1 => format!("{}\n", one.summary),
        _ => format!("{}: {}\n", one.step, one.summary),
    }
}
