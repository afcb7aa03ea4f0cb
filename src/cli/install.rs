//! `devenv install`: make every tool of the project ready.

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use futures_util::future::join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    candidates,
    context::Context,
    interrupt, left_over,
    session::{Logs, Session},
};
use crate::{
    config::{Config, StepId, StepKind},
    event::{Event, Events, Explain, Fault, FaultClass, Outcome, StepEvents, quoted},
    plan::{Action, Decision, Reason},
    toolchain::{Installed, Locking, ToolStatus, Toolchain, ToolchainError},
};

/// Install the tools of devenv.toml, as devenv.lock pins them.
///
/// A tool that the lock does not have yet is locked first. Tools are shared by all projects that pin the same content; `.devenv/bin` links
/// to them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fail when the lock is out of date, rather than change it. The default in CI.
    #[arg(long)]
    locked: bool,
    /// Tools to install, such as `buf` of `[toolchain.buf]`; all when absent.
    #[arg(add = candidates::names(StepKind::Toolchain))]
    names: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    tools: BTreeMap<String, Installed>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let names = names(&config, &args.names)?;
    cx.store()?.prepare().map_err(|error| error.explain())?;
    let mut toolchain = cx.toolchain()?;
    if args.locked {
        toolchain = toolchain.locking(Locking::Refuse);
    }
    let results = with_progress(cx, "install", async |events, cancel| {
        let installs = names
            .iter()
            .map(|name| install(&toolchain, name, events, cancel));
        // All of them, also when one fails: what is installed need not be installed again.
        let results = join_all(installs).await;
        // Also with no tool left: the links of those that were are gone then.
        toolchain.link(cancel).await.map(|()| results)
    })
    .await?
    .map_err(|error| error.explain())?;
    let tools = all_or_faults(names, results)?;
    let answer = Answer { tools };
    cx.answer(&answer, || text(&answer));
    Ok(ExitCode::SUCCESS)
}

/// One tool, as a step. A tool that is ready is none.
async fn install(
    toolchain: &Toolchain,
    name: &str,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Installed, ToolchainError> {
    let why = match toolchain.status(name).await? {
        ToolStatus::Ready(_) => {
            let step = StepId::new(StepKind::Toolchain, name);
            return toolchain.install(name, &events.of(&step), cancel).await;
        }
        ToolStatus::Missing { why, .. } => why,
        ToolStatus::WrongVersion { found, wanted, .. } => {
            format!("version {found} found, wanted `{wanted}`")
        }
    };
    let decision = Decision::of(Action::Install, vec![Reason::Pending { what: why }]);
    as_step(events, name, decision, async |events| {
        let installed = toolchain.install(name, &events, cancel).await?;
        let version = installed.ready.version.as_deref().unwrap_or_default();
        let did = if installed.changed {
            "Installed"
        } else {
            "Linked"
        };
        let summary = format!("{did} {name} {version}").trim_end().to_owned();
        Ok((installed, summary))
    })
    .await
}

/// Tells when it starts and how it ended. The work gives what it made and a summary.
pub async fn as_step<T>(
    events: &Events,
    name: &str,
    decision: Decision,
    work: impl AsyncFnOnce(StepEvents) -> Result<(T, String), ToolchainError>,
) -> Result<T, ToolchainError> {
    let step = StepId::new(StepKind::Toolchain, name);
    let started = Instant::now();
    events.send(Event::StepStarted {
        step: step.clone(),
        decision,
    });
    let result = work(events.of(&step)).await;
    let outcome = match &result {
        Ok((_, summary)) => Outcome::Done {
            summary: summary.clone(),
        },
        Err(error) => match error.explain() {
            fault if fault.class == FaultClass::Interrupted => Outcome::Cancelled,
            fault => Outcome::Failed { fault },
        },
    };
    events.send(Event::StepFinished {
        step,
        outcome,
        duration_ms: started.elapsed().as_millis() as u64,
    });
    result.map(|(made, _)| made)
}

/// The named tools, all when none is named. `toolchain.buf` is `buf`.
pub fn names(config: &Config, names: &[String]) -> Result<Vec<String>, Fault> {
    if names.is_empty() {
        return Ok(config.toolchain.keys().cloned().collect());
    }
    let bare = |name: &String| {
        let name = name.strip_prefix("toolchain.").unwrap_or(name);
        if config.toolchain.contains_key(name) {
            return Ok(name.to_owned());
        }
        let fault = Fault::new(format!("devenv.toml has no `toolchain.{name}`"));
        let known = &config.toolchain;
        Err(fault.class(FaultClass::Usage).help(match known.is_empty() {
            true => "add a `[toolchain.NAME]` table".to_owned(),
            false => format!("it has {}", quoted(known.keys())),
        }))
    };
    names.iter().map(bare).collect()
}

/// Runs it while its events are shown; Ctrl-C cancels it. With JSON, the answer is all that is shown.
pub async fn with_progress<T>(
    cx: &Context,
    command: &str,
    work: impl AsyncFnOnce(&Events, &CancellationToken) -> T,
) -> Result<T, Fault> {
    let session = match cx.json() {
        true => None,
        false => Some(Session::open(cx, command, Logs::Hidden)?),
    };
    let events = match &session {
        Some(session) => session.events().clone(),
        None => cx.silent_events(),
    };
    let begun = left_over::begin(cx, command, session.as_ref().map(|_| &events));
    let result = match interrupt::ending(begun).await {
        Ok(_begun) => {
            let cancel = CancellationToken::new();
            Ok(interrupt::cancelling(&cancel, work(&events, &cancel)).await)
        }
        Err(fault) => Err(fault),
    };
    if let Some(session) = session {
        session.close(cx).await;
    }
    result
}

/// The results by name, or all failures.
pub fn all_or_faults<T>(
    names: Vec<String>,
    results: Vec<Result<T, ToolchainError>>,
) -> Result<BTreeMap<String, T>, Fault> {
    let (mut done, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, result) in names.into_iter().zip(results) {
        match result {
            Ok(result) => {
                done.insert(name, result);
            }
            Err(error) => faults.push(error.explain()),
        }
    }
    // A cancelled install is no news of its own beside the first of its kind.
    let interrupted = |fault: &Fault| fault.class == FaultClass::Interrupted;
    if let Some(at) = faults.iter().position(interrupted) {
        return Err(faults.swap_remove(at));
    }
    match Fault::all(faults) {
        Some(fault) => Err(fault),
        None => Ok(done),
    }
}

fn text(answer: &Answer) -> String {
    if answer.tools.is_empty() {
        return "No tools in devenv.toml\n".to_owned();
    }
    let width = answer.tools.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (name, tool) in &answer.tools {
        let version = tool.ready.version.as_deref().unwrap_or("-");
        let state = if tool.changed { "installed" } else { "ready" };
        text.push_str(&format!("{name:width$}  {version}  {state}\n"));
    }
    text
}
