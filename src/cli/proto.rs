//! `devenv proto`: generate code from protobuf files, or check that it is up to date.

use std::{collections::BTreeSet, process::ExitCode};

use tokio_util::sync::CancellationToken;

use super::{candidates, context::Context, interrupt, run_lock};
use crate::{
    config::{Config, StepId, StepKind},
    event::{Explain, Fault, FaultClass, count, quoted},
    plan::{Outputs, Verdict},
    proto::{self, Diff, Existing, Leftover, ProtoError, Written},
    report,
    steps::{Made, Steps},
};

/// Generate code from protobuf files.
///
/// Nothing is written when any generator fails. Files that are as wanted keep their time; files of an earlier run that nothing generates any
/// more are deleted, unless they were edited: those are named and left alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing: print how the files differ, and fail when they do, or when an edited file is left that nothing generates any more.
    #[arg(long)]
    check: bool,
    /// Tables to generate, such as `hello` of `[proto.hello]`; all when absent, and what removed tables left is deleted.
    #[arg(add = candidates::names(StepKind::Proto))]
    names: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let names = names(&*cx.config()?, &args.names)?;
    let _alone = match args.check {
        true => None,
        false => Some(run_lock::acquire(cx, "proto", None).await?),
    };
    let steps = cx.steps(cx.silent_events())?;
    // A table that is named says nothing about others.
    let leftovers = match args.names.is_empty() {
        true => steps.generated_leftovers().await?,
        false => Vec::new(),
    };
    if names.is_empty() && leftovers.is_empty() {
        return Err(Fault::new("devenv.toml has no `[proto.*]` table")
            .class(FaultClass::Usage)
            .help("add `[proto.hello]` with `rust = { out = \"…\" }` or `plugin.NAME = { out = \"…\" }`"));
    }
    let cancel = CancellationToken::new();
    let work = async {
        let outputs = match args.check {
            true => Outputs::new(),
            // They are part of what is remembered.
            false => tools(&steps, &names, &cancel).await,
        };
        let made = steps.generate(&names, &outputs, &cancel).await?;
        Ok((outputs, made))
    };
    let (outputs, made) = interrupt::cancelling(&cancel, work).await?;
    match args.check {
        true => check(cx, &steps, &made, &leftovers),
        false => write(cx, &steps, made, &outputs, args.names.is_empty()).await,
    }
}

/// Names of the wanted tables, all when none is named. `proto.hello` is `hello`.
fn names(config: &Config, wanted: &[String]) -> Result<Vec<String>, Fault> {
    if wanted.is_empty() {
        return Ok(config.proto.keys().cloned().collect());
    }
    let names: Result<BTreeSet<_>, _> = wanted
        .iter()
        .map(|name| {
            let name = name.strip_prefix("proto.").unwrap_or(name);
            match config.proto.contains_key(name) {
                true => Ok(name.to_owned()),
                false => Err(unknown(config, name)),
            }
        })
        .collect();
    Ok(names?.into_iter().collect())
}

fn unknown(config: &Config, name: &str) -> Fault {
    let id = StepId::new(StepKind::Proto, name);
    let fault = Fault::new(format!("devenv.toml has no `{id}`")).class(FaultClass::Usage);
    if config.proto.is_empty() {
        fault.help("add a `[proto.NAME]` table")
    } else {
        fault.help(format!("it has {}", quoted(config.proto.keys())))
    }
}

/// The tools that these tables use, as far as they are installed: this command installs none.
async fn tools(steps: &Steps, names: &[String], cancel: &CancellationToken) -> Outputs {
    let tables = names.iter().map(|name| StepId::new(StepKind::Proto, name));
    let tools: BTreeSet<_> = tables
        .filter_map(|id| steps.plan.steps.get(&id))
        .flat_map(|step| &step.feeds)
        .collect();
    let mut outputs = Outputs::new();
    for tool in tools {
        if let Ok(Verdict::Keep(output)) = steps.decide(tool, &Outputs::new(), cancel).await {
            outputs.insert(tool.clone(), output);
        }
    }
    outputs
}

async fn write(
    cx: &Context,
    steps: &Steps,
    made: Vec<Made>,
    outputs: &Outputs,
    is_all: bool,
) -> Result<ExitCode, Fault> {
    let mut all = Written::default();
    for made in made {
        let written = steps.write(made, outputs).await?;
        all.written.extend(written.written);
        all.unchanged.extend(written.unchanged);
        all.deleted.extend(written.deleted);
        all.kept.extend(written.kept);
    }
    let because = |path: &String| format!("Deleted {path}: nothing generates it any more\n");
    let mut lines: String = all.deleted.iter().map(because).collect();
    // Only now: a file that went from a removed table to another one is no leftover.
    let leftovers = match is_all {
        true => steps.generated_leftovers().await?,
        false => Vec::new(),
    };
    for leftover in leftovers {
        steps.remove_generated(&leftover).await?;
        for path in &leftover.unchanged {
            lines += &format!("Deleted {path}: {}\n", gone(&leftover));
        }
        all.deleted.extend(leftover.unchanged);
        all.kept.extend(leftover.edited);
    }
    // Without it, the next run reads the files again, no more.
    let _ = steps.files.save();
    cx.answer(&all, || format!("{lines}{all}\n"));
    if let Some(notice) = proto::edited_notice(&all.kept) {
        anstream::eprintln!("{}", report::note(&notice));
    }
    Ok(ExitCode::SUCCESS)
}

fn gone(leftover: &Leftover) -> String {
    format!("`proto.{}` is no longer in devenv.toml", leftover.table)
}

fn check(
    cx: &Context,
    steps: &Steps,
    made: &[Made],
    leftovers: &[Leftover],
) -> Result<ExitCode, Fault> {
    let mut all = Diff::default();
    let mut faults = Vec::new();
    for made in made {
        let diff = proto::check(
            &steps.root,
            &made.id.name,
            &made.generated,
            steps.store.dir(),
        )
        .map_err(|error| error.explain().at_key(made.id.key_path()))?;
        let foreign = diff
            .files
            .iter()
            .filter(|file| file.state == Existing::Foreign);
        faults.extend(foreign.map(|file| {
            let path = file.path.clone();
            ProtoError::Foreign { path }
                .explain()
                .at_key(made.id.key_path())
        }));
        all.files.extend(diff.files);
    }
    let mut notes = Vec::new();
    for leftover in leftovers {
        let files = proto::left_behind(&steps.root, leftover).map_err(|error| error.explain())?;
        all.files.extend(files);
        notes.push(gone(leftover));
    }
    // A file that went from one table to another one is not stale.
    all.files.retain(|file| {
        let is_gone = matches!(file.state, Existing::Stale | Existing::Edited);
        !is_gone
            || !made
                .iter()
                .any(|made| made.generated.files.contains_key(&file.path))
    });
    let total: usize = made.iter().map(|made| made.generated.files.len()).sum();
    faults.extend(proto::drift(&all.files, notes));
    let text = || match all.files.is_empty() {
        true => format!("{} up to date\n", count(total, "file")),
        false => all.files.iter().map(|file| file.diff.as_str()).collect(),
    };
    match Fault::all(faults) {
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
