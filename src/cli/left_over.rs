//! What a killed command left running on this machine is ended before the next one starts anything.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::{context::Context, runtime};
use crate::{
    event::{Events, Explain, Fault, FaultClass, quoted},
    runtime::{Exec, Runtime, RuntimeKind},
    store::{Begun, Inside, Killed},
    sys::{marked::Remaining, process::GRACE},
};

/// Ends what killed commands of this worktree left. This one counts as running until what is returned is dropped.
pub async fn begin(cx: &Context, command: &str, events: Option<&Events>) -> Result<Begun, Fault> {
    let store = cx.store()?;
    for killed in store.killed_commands() {
        let ended = killed.starter.end_left(GRACE).await;
        let mut ended = ended.map_err(|remaining| still_there(&killed, &remaining))?;
        if let Some(inside) = &killed.inside {
            match end_inside(cx, inside).await {
                Ok(names) => ended.extend(names),
                Err(fault) => {
                    // Nothing that is to come needs it gone: the next command tries again.
                    tell(unended(&killed, inside, &fault), events);
                    continue;
                }
            }
        }
        if !ended.is_empty() {
            let message = format!(
                "ended what the killed `devenv {}` left running: {}",
                killed.command,
                quoted(ended)
            );
            tell(message, events);
        }
        killed.forget().map_err(|error| error.explain())?;
    }
    remove_containers(cx, events).await?;
    store
        .begin_command(command)
        .map_err(|error| error.explain())
}

async fn end_inside(cx: &Context, inside: &Inside) -> Result<BTreeSet<String>, Fault> {
    let kind = match inside.runtime == RuntimeKind::Process.as_str() {
        true => RuntimeKind::Process,
        false => RuntimeKind::Docker,
    };
    let exec = Exec {
        argv: vec![inside.command.clone()],
        user: inside.user.clone(),
        mark: Some(inside.mark.clone()),
        ..Exec::default()
    };
    let runtime = runtime::of_kind(kind, cx.identity()?)?.runtime;
    let ended = runtime.end_exec(&inside.step, &exec, Signal::TERM, GRACE);
    ended.await.map_err(|error| error.explain())
}

/// Of tasks in images, whose run was killed.
async fn remove_containers(cx: &Context, events: Option<&Events>) -> Result<(), Fault> {
    let store = cx.store()?;
    if !store.may_have_left_containers() {
        return Ok(());
    }
    let removed = async {
        let runtime = runtime::of_kind(RuntimeKind::Docker, cx.identity()?)?.runtime;
        let removed = runtime.remove_left_over().await;
        removed.map_err(|error| error.explain())
    };
    match removed.await {
        Ok(()) => store.forget_containers().map_err(|error| error.explain()),
        Err(fault) => {
            // Nothing that is to come needs them gone: the next command tries again.
            let notes = fault.notes.join("; ");
            let message = format!(
                "the container of a killed task may still run: {}; {notes}",
                fault.message
            );
            tell(message, events);
            Ok(())
        }
    }
}

fn unended(killed: &Killed, inside: &Inside, fault: &Fault) -> String {
    let notes = fault.notes.join("; ");
    format!(
        "`{}` of the killed `devenv {}` may still run in `{}`: {notes}",
        inside.command, killed.command, inside.step
    )
}

fn tell(message: String, events: Option<&Events>) {
    match events {
        Some(events) => events.notice(message),
        None => anstream::eprintln!("note: {message}"),
    }
}

fn still_there(killed: &Killed, remaining: &Remaining) -> Fault {
    let Remaining { pid, name } = remaining;
    Fault::new(format!(
        "cannot end `{name}` (pid {pid}), which the killed `devenv {}` left running",
        killed.command
    ))
    .class(FaultClass::Environment)
    .help("end it, then run the command again: both would write the same files")
}
