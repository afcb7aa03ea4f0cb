//! `task.*`: a command of the project. Its result is kept by what it depended on, and taken from there when all of that is as it was.

mod container;
mod environment;
mod own;
mod result;
mod transcript;

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    Cx,
    address::{self, Viewpoint},
    inputs::Known,
    record::leaves,
};
use crate::{
    config::{Command, Task, Template},
    event::{Fault, Severity},
    plan::{Acted, Action, Decision, Input, Inputs, Reason, Tree, Verdict},
    runtime::Runtime,
    sys::{
        git, platform,
        process::{ProcessError, Spawn, ending},
    },
};

pub use environment::CHOOSE_TOOLS;
pub(super) use environment::Sees;
use own::{Before, Meets};
use transcript::Transcript;

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let task = task(cx);
    if let Some(fault) = cx.steps.cannot_run(cx.id()) {
        return Err(fault);
    }
    if !task.is_cached() {
        let what = match task.cache {
            true => "it declares no inputs, so it runs every time",
            false => "`cache = false`, so it runs every time",
        };
        let what = what.into();
        return Ok(Verdict::act(Action::Run, vec![Reason::Pending { what }]));
    }
    let known = inputs(cx, task).await?;
    let verdict = cx.judge_leaves(&known, Action::Run, &task.outputs).await?;
    match verdict {
        Verdict::Act(decision) if known.waiting.is_empty() => {
            reused_or_run(cx, task, &known, decision.reasons).await
        }
        verdict => Ok(verdict),
    }
}

/// Takes over a kept result, unless something of somebody else's is in its way.
async fn reused_or_run(
    cx: &Cx<'_>,
    task: &Task,
    known: &Known,
    mut reasons: Vec<Reason>,
) -> Result<Verdict, Fault> {
    let Some(result) = cx.kept_result(&known.inputs).await? else {
        return Ok(Verdict::act(Action::Run, reasons));
    };
    let obstacles = Meets::of(cx, task, &result).await?.obstacles;
    if obstacles.is_empty() {
        return Ok(Verdict::act(Action::Restore, reasons));
    }
    for obstacle in obstacles {
        if !reasons.contains(&obstacle) {
            reasons.push(obstacle);
        }
    }
    Ok(Verdict::act(Action::Run, reasons))
}

pub(super) async fn act(cx: &Cx<'_>, decision: &Decision) -> Result<Acted, Fault> {
    let task = task(cx);
    let known = inputs(cx, task).await?;
    warn_without_files(cx, task, &known.inputs);
    if decision.action == Action::Restore
        && let Some(acted) = cx.reuse(task, &known).await?
    {
        return Ok(acted);
    }
    let present = Before::of(cx, &task.outputs).await?;
    cx.begin()?;
    let transcript = Transcript::new(&cx.events);
    let limited = run(cx, task, &transcript);
    match task.timeout {
        Some(timeout) => tokio::time::timeout(timeout, limited)
            .await
            .unwrap_or_else(|_| {
                Err(Fault::new(format!(
                    "`{}` took longer than {}",
                    cx.id(),
                    crate::config::duration::format(timeout)
                ))
                .at_key(cx.key("timeout"))
                .help("raise its `timeout`, or find out what it waits for"))
            })?,
        None => limited.await?,
    }
    let own = present.own(cx, task, outputs(cx, task).await?);
    let output = cx
        .remember(task, known.inputs, own, transcript.end())
        .await?;
    Ok(Acted {
        output,
        summary: format!("Ran `{}`", task.run),
    })
}

/// Shows what the step printed when it ran, if that is kept.
pub(super) async fn replay(cx: &Cx<'_>) -> Result<(), Fault> {
    let task = task(cx);
    if !task.is_cached() {
        return Ok(());
    }
    if let Some(record) = cx.steps.store.record(cx.id()) {
        warn_without_files(cx, task, &record.inputs);
    }
    cx.replay_kept().await
}

/// Such a task does not run again whatever is changed.
fn warn_without_files(cx: &Cx<'_>, task: &Task, inputs: &Inputs) {
    let mut inputs = inputs.0.iter();
    let is_read =
        |(field, input): (&String, &Input)| field.starts_with("file.") && *input != Input::Absent;
    if task.is_cached() && !inputs.any(is_read) {
        let fault = Fault::new("its `inputs` match no file")
            .severity(Severity::Warning)
            .at_key(cx.key("inputs"))
            .help("correct the globs, they are relative to devenv.toml");
        cx.events.warn(fault);
    }
}

async fn run(cx: &Cx<'_>, task: &Task, transcript: &Transcript<'_>) -> Result<(), Fault> {
    if let Some(image) = task.image() {
        return container::run(cx, task, image, transcript).await;
    }
    let command = HostCommand {
        command: &task.run,
        env: &task.env,
        sees: match task.is_cached() {
            true => Sees::Only(&task.pass),
            false => Sees::All,
        },
    };
    command.run(cx, |line| transcript.line(line)).await
}

/// All that the task depends on, as far as it is known.
async fn inputs(cx: &Cx<'_>, task: &Task) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    if !task.is_cached() {
        return Ok(known);
    }
    let declared = |field: &String| known.inputs.0.contains_key(field);
    let mut seen: BTreeMap<_, _> = result::passed(&task.pass).collect();
    if task.image().is_none() {
        let chosen = result::passed(CHOOSE_TOOLS);
        seen.extend(chosen.filter(|(_, value)| *value != Input::Absent));
    }
    seen.retain(|field, _| !declared(field));
    known.inputs.0.extend(seen);
    known.inputs.text("platform", platform::current());
    // Two projects of one repository may have tasks that read the same from elsewhere.
    let folder = git::folder_of(&cx.steps.root);
    known.inputs.text("folder", folder.display().to_string());
    known.inputs.0.extend(cx.digests(&task.inputs).await?);
    Ok(known)
}

/// What is at its declared outputs now that it has run.
async fn outputs(cx: &Cx<'_>, task: &Task) -> Result<BTreeMap<String, Tree>, Fault> {
    let outputs = cx.output_trees(&task.outputs).await?;
    match task
        .outputs
        .iter()
        .find(|path| !outputs.contains_key(*path))
    {
        None => Ok(leaves(outputs)),
        Some(path) => Err(Fault::new(format!("`{}` did not write `{path}`", cx.id()))
            .at_key(cx.key("outputs"))
            .help("correct the command or its `outputs`")),
    }
}

/// A command of the file, in the project's root with the project's tools.
pub(super) struct HostCommand<'a> {
    pub command: &'a Command,
    pub env: &'a BTreeMap<String, Template>,
    pub sees: Sees<'a>,
}

impl HostCommand<'_> {
    /// Runs it to its end and gives each line of its output to `line`.
    pub(super) async fn run<F: Future<Output = ()>>(
        &self,
        cx: &Cx<'_>,
        line: impl FnMut(&str) -> F,
    ) -> Result<(), Fault> {
        let spawn = Spawn {
            argv: self.command.argv(),
            cwd: Some(cx.steps.root.clone()),
            env: host_env(cx, self.env).await?,
            env_remove: self.sees.hidden(),
        };
        let finished = spawn.run(&cx.cancel, line).await;
        let finished = finished.map_err(|error| match error {
            ProcessError::Cancelled { .. } => super::cancelled(cx),
            ProcessError::Spawn { .. } => Fault::from_error(&error)
                .at_key(cx.key("run"))
                .help("check the command, or add its tool to `[toolchain]`"),
        })?;
        match finished.status.success() {
            true => Ok(()),
            false => Err(failed(
                cx,
                self.command,
                &ending(finished.status),
                &finished.tail,
            )),
        }
    }
}

fn failed(cx: &Cx<'_>, command: &Command, how: &str, tail: &[String]) -> Fault {
    let fault = Fault::new(format!("`{command}` failed with {how}")).at_key(cx.key("run"));
    match tail {
        [] => fault,
        tail => fault.note(format!("its last output:\n{}", tail.join("\n"))),
    }
}

async fn host_env(
    cx: &Cx<'_>,
    env: &BTreeMap<String, Template>,
) -> Result<BTreeMap<String, OsString>, Fault> {
    let secrets = cx.template_secrets(env.values()).await?;
    // A command that refers to nothing that runs works without an engine.
    let host = match env.values().flat_map(Template::steps).next() {
        Some(_) => cx.steps.runtime()?.host(),
        None => "",
    };
    let viewpoint = Viewpoint::Host {
        host,
        outputs: cx.outputs,
    };
    let mut all = cx.steps.host_env();
    let own = address::resolve_table(env, cx.config(), &viewpoint, &secrets)?;
    all.extend(own.into_iter().map(|(name, value)| (name, value.into())));
    Ok(all)
}

/// True when at least one file matched.
pub(super) fn any_present(inputs: &BTreeMap<String, Input>) -> bool {
    inputs.values().any(|input| *input != Input::Absent)
}

fn task<'a>(cx: &'a Cx<'_>) -> &'a Task {
    cx.config()
        .task
        .get(&cx.id().name)
        .expect("the plan has only tasks of the file")
}

#[cfg(test)]
mod tests;
