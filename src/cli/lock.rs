//! `devenv lock`: pin every tool for every platform in devenv.lock.

use std::process::ExitCode;

use futures_util::future::join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    candidates,
    context::Context,
    install::{all_or_faults, as_step, names, with_progress},
};
use crate::{
    config::StepKind,
    event::{Events, Explain, Fault, count},
    plan::{Action, Decision, Reason},
    toolchain::{Outdated, Toolchain, ToolchainError},
};

/// Pin the tools of devenv.toml in devenv.lock, for every platform.
///
/// Rows whose tool is still the same are left as they are: name a tool to resolve it anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing, use no network: print the rows that are out of date, and fail when there are any.
    #[arg(long, conflicts_with = "names")]
    check: bool,
    /// Tools to resolve anew, also when their rows are up to date.
    #[arg(add = candidates::names(StepKind::Toolchain))]
    names: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    /// Rows that were written or removed, or with `--check` those that would be.
    rows: Vec<Outdated>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let toolchain = cx.toolchain()?;
    let outdated = toolchain.outdated();
    if args.check {
        return Ok(check(cx, outdated));
    }
    cx.store()?.prepare().map_err(|error| error.explain())?;
    let rows: Vec<Outdated> = if args.names.is_empty() {
        outdated
    } else {
        let asked = |tool| Outdated {
            tool,
            why: "asked for".into(),
        };
        names(&config, &args.names)?
            .into_iter()
            .map(asked)
            .collect()
    };
    let todo: Vec<String> = rows
        .iter()
        .filter(|row| config.toolchain.contains_key(&row.tool))
        .map(|row| row.tool.clone())
        .collect();
    let results = with_progress(cx, "lock", async |events, cancel| {
        let locks = rows
            .iter()
            .filter(|row| todo.contains(&row.tool))
            .map(|row| lock(&toolchain, row, events, cancel));
        join_all(locks).await
    })
    .await?;
    all_or_faults(todo, results)?;
    if args.names.is_empty() {
        toolchain
            .forget_orphans()
            .await
            .map_err(|error| error.explain())?;
    }
    let answer = Answer { rows };
    cx.answer(&answer, || match answer.rows.len() {
        0 => "devenv.lock is up to date\n".to_owned(),
        rows => format!("Updated {} of devenv.lock\n", count(rows, "row")),
    });
    Ok(ExitCode::SUCCESS)
}

async fn lock(
    toolchain: &Toolchain,
    row: &Outdated,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<(), ToolchainError> {
    let what = row.why.clone();
    let decision = Decision::of(Action::Run, vec![Reason::Pending { what }]);
    as_step(events, &row.tool, decision, async |events| {
        let new = toolchain.relock(&row.tool, &events, cancel).await?;
        let version = new.version.unwrap_or_default();
        Ok((
            (),
            format!("Locked {} {version}", row.tool)
                .trim_end()
                .to_owned(),
        ))
    })
    .await
}

fn check(cx: &Context, rows: Vec<Outdated>) -> ExitCode {
    let code = ExitCode::from(u8::from(!rows.is_empty()));
    let answer = Answer { rows };
    cx.answer(&answer, || match answer.rows.len() {
        0 => "devenv.lock is up to date\n".to_owned(),
        rows => format!(
            "{}devenv.lock has {} out of date: run `devenv lock`\n",
            lines(&answer.rows),
            count(rows, "row")
        ),
    });
    code
}

fn lines(rows: &[Outdated]) -> String {
    rows.iter()
        .map(|row| format!("{}: {}\n", row.tool, row.why))
        .collect()
}
