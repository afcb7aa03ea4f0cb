//! `task.*`: a command of the project on the host.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    Cx,
    address::{self, Viewpoint},
    inputs::Known,
};
use crate::{
    config::{Command, Task, Template},
    event::Fault,
    plan::{Acted, Action, Input, Output, Reason, Verdict},
    runtime::Runtime,
    sys::process::{ProcessError, Spawn, ending},
};

/// Variables that Cargo gives to the program it runs. A build started from `cargo run` must be the same as one started from a shell.
const CARGO_RUN_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let task = task(cx);
    if task.inputs.is_empty() {
        return Ok(Verdict::act(
            Action::Run,
            vec![Reason::Pending {
                what: "it declares no inputs, so it runs every time".into(),
            }],
        ));
    }
    let known = inputs(cx, task).await?;
    cx.judge_record(&known, Action::Run).await
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let task = task(cx);
    let known = inputs(cx, task).await?;
    cx.begin()?;
    let limited = run_command(cx, &task.run, &task.env);
    match task.timeout {
        Some(timeout) => tokio::time::timeout(timeout, limited)
            .await
            .unwrap_or_else(|_| {
                Err(Fault::new(format!(
                    "`{}` took longer than {}",
                    cx.id(),
                    crate::config::duration::format(timeout)
                ))
                .help("raise its `timeout`, or find out what it waits for"))
            })?,
        None => limited.await?,
    }
    let outputs = cx.output_digests(&task.outputs).await?;
    for path in &task.outputs {
        if !outputs.contains_key(path) {
            return Err(Fault::new(format!("`{}` did not write `{path}`", cx.id()))
                .at_key(cx.key("outputs"))
                .help("correct the command or its `outputs`"));
        }
    }
    let output = Output {
        digest: known.inputs.key().0,
        ..Output::default()
    };
    cx.record(known.inputs, outputs, output.clone())?;
    Ok(Acted {
        output,
        summary: format!("Ran `{}`", task.run),
    })
}

async fn inputs(cx: &Cx<'_>, task: &Task) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    if !task.inputs.is_empty() {
        known.inputs.0.extend(cx.digests(&task.inputs).await?);
    }
    Ok(known)
}

/// Runs a command of the file in the project's root with the project's tools. Its output goes to the step's log.
pub(super) async fn run_command(
    cx: &Cx<'_>,
    command: &Command,
    env: &BTreeMap<String, Template>,
) -> Result<(), Fault> {
    let spawn = Spawn {
        argv: command.argv(),
        cwd: Some(cx.steps.root.clone()),
        env: host_env(cx, env).await?,
        env_remove: cargo_run_variables(),
    };
    let finished = spawn.run(&cx.cancel, |line| cx.events.output(line)).await;
    let finished = finished.map_err(|error| match error {
        ProcessError::Cancelled { .. } => super::cancelled(cx),
        ProcessError::Spawn { .. } => Fault::from_error(&error)
            .at_key(cx.key("run"))
            .help("check the command, or add its tool to `[toolchain]`"),
    })?;
    if finished.status.success() {
        return Ok(());
    }
    let mut fault = Fault::new(format!(
        "`{command}` failed with {}",
        ending(finished.status)
    ))
    .at_key(cx.key("run"));
    if !finished.tail.is_empty() {
        fault = fault.note(format!("its last output:\n{}", finished.tail.join("\n")));
    }
    Err(fault)
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

fn cargo_run_variables() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            name == "CARGO"
                || CARGO_RUN_VARIABLES
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        })
        .collect()
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
