//! `devenv proto`: generate code from protobuf files, or check that it is up to date.

use std::{collections::BTreeMap, ffi::OsStr, path::Path, process::ExitCode};

use tokio_util::sync::CancellationToken;

use super::{context::Context, interrupt, run_lock};
use crate::{
    config::{self, Config, StepId, StepKind},
    event::{Explain, Fault, FaultClass, count},
    proto::{self, Diff, Existing, Generated, Written},
};

/// Generate code from protobuf files.
///
/// Nothing is written when any generator fails. Files that are as wanted keep their time; files of an earlier run that nothing generates any
/// more are deleted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing: print how the files differ, and fail when they do.
    #[arg(long)]
    check: bool,
    /// Tables to generate, such as `hello` of `[proto.hello]`; all when absent.
    names: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let root = cx.root()?;
    let tables = tables(&config, &args.names)?;
    // Plugins are the project's tools.
    let path = cx.toolchain()?.env().remove("PATH").unwrap_or_default();
    if args.check {
        let generated = generate(&root, &tables, &path).await?;
        return check(cx, &root, &generated);
    }
    let _alone = run_lock::acquire(cx, "proto", None).await?;
    let generated = generate(&root, &tables, &path).await?;
    let store = cx.store()?;
    let mut all = Written::default();
    for (name, generated) in &generated {
        let written =
            proto::write(&root, name, generated, store.dir()).map_err(|error| error.explain())?;
        all.written.extend(written.written);
        all.unchanged.extend(written.unchanged);
        all.deleted.extend(written.deleted);
        all.kept.extend(written.kept);
    }
    cx.answer(&all, || format!("{all}\n"));
    Ok(ExitCode::SUCCESS)
}

type Tables<'a> = BTreeMap<&'a str, &'a config::Proto>;

/// The named tables, all when none is named. `proto.hello` is `hello`.
fn tables<'a>(config: &'a Config, names: &[String]) -> Result<Tables<'a>, Fault> {
    if names.is_empty() {
        return Ok(config
            .proto
            .iter()
            .map(|(name, table)| (name.as_str(), table))
            .collect());
    }
    names
        .iter()
        .map(|name| {
            let name = name.strip_prefix("proto.").unwrap_or(name);
            config
                .proto
                .get_key_value(name)
                .map(|(name, table)| (name.as_str(), table))
                .ok_or_else(|| unknown(config, name))
        })
        .collect()
}

fn unknown(config: &Config, name: &str) -> Fault {
    let id = StepId::new(StepKind::Proto, name);
    let known: Vec<_> = config
        .proto
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    let fault = Fault::new(format!("devenv.toml has no `{id}`")).class(FaultClass::Usage);
    if known.is_empty() {
        fault.help("add a `[proto.NAME]` table")
    } else {
        fault.help(format!("it has {}", known.join(", ")))
    }
}

/// All tables in memory, before the first file is written.
async fn generate<'a>(
    root: &Path,
    tables: &Tables<'a>,
    path: &OsStr,
) -> Result<BTreeMap<&'a str, Generated>, Fault> {
    let cancel = CancellationToken::new();
    let work = async {
        let mut all = BTreeMap::new();
        for (name, table) in tables {
            let generated = proto::generate(root, name, table, path, &cancel)
                .await
                .map_err(|error| error.explain())?;
            all.insert(*name, generated);
        }
        Ok(all)
    };
    interrupt::cancelling(&cancel, work).await
}

fn check(
    cx: &Context,
    root: &Path,
    generated: &BTreeMap<&str, Generated>,
) -> Result<ExitCode, Fault> {
    let store = cx.store()?;
    let mut all = Diff::default();
    for (name, generated) in generated {
        let diff =
            proto::check(root, name, generated, store.dir()).map_err(|error| error.explain())?;
        all.files.extend(diff.files);
    }
    if all.files.is_empty() {
        let files: usize = generated.values().map(|table| table.files.len()).sum();
        cx.answer(&all, || format!("{} up to date\n", count(files, "file")));
        return Ok(ExitCode::SUCCESS);
    }
    cx.answer_of_failure(&all, || {
        all.files.iter().map(|file| file.diff.as_str()).collect()
    });
    let of = |state| all.files.iter().filter(|file| file.state == state).count();
    let states: Vec<_> = [
        (of(Existing::Changed), "changed"),
        (of(Existing::Missing), "missing"),
        (of(Existing::Stale), "no longer generated"),
    ]
    .into_iter()
    .filter(|(files, _)| *files > 0)
    .map(|(files, word)| format!("{} {word}", count(files, "file")))
    .collect();
    Err(Fault::new(format!(
        "generated code is out of date: {}",
        states.join(", ")
    ))
    .help("run `devenv proto`"))
}
