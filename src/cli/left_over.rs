//! What a killed command left running on this machine is ended before the next one starts anything.

use super::context::Context;
use crate::{
    event::{Events, Explain, Fault, FaultClass},
    store::{Begun, Killed},
    sys::{left_over::Remaining, process::GRACE},
};

/// Ends what killed commands of this worktree left. This one counts as running until what is returned is dropped.
pub async fn begin(cx: &Context, command: &str, events: Option<&Events>) -> Result<Begun, Fault> {
    let store = cx.store()?;
    for killed in store.killed_commands() {
        let ended = killed.starter.end_left(GRACE).await;
        let ended = ended.map_err(|remaining| still_there(&killed, &remaining))?;
        if !ended.is_empty() {
            let names: Vec<_> = ended.into_iter().map(|name| format!("`{name}`")).collect();
            let names = names.join(", ");
            let message = format!(
                "ended what the killed `devenv {}` left running: {names}",
                killed.command
            );
            tell(message, events);
        }
        killed.forget().map_err(|error| error.explain())?;
    }
    store
        .begin_command(command)
        .map_err(|error| error.explain())
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
