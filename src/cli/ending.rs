//! A command inside what runs ends with the devenv that runs it.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt;
use rustix::process;
use tokio::time::{Instant, timeout};

use super::interrupt;
use crate::{
    config::StepId,
    engine::{Heeds, Signal},
    event::{Explain, Fault},
    runtime::{AnyRuntime, Exec, Runtime, RuntimeError, RuntimeKind},
    sys::{process::GRACE, terminal::Stdio},
};

/// How long the last words of a command that was ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Between two looks for a command that is just starting.
const POLL: Duration = Duration::from_millis(50);

/// Runs it; Ctrl-C, SIGTERM and SIGHUP are passed on to it, and a second one kills it.
pub async fn at_signals(
    runtime: &AnyRuntime,
    step: &StepId,
    exec: Exec,
    stdio: Stdio,
) -> Result<Result<i64, RuntimeError>, Fault> {
    // On a terminal that it shares with this process it gets the keys itself.
    let has_keys = runtime.kind() == RuntimeKind::Process && stdio.is_terminal;
    let mut signals =
        pin!(interrupt::signals(Heeds::All)?.filter(move |signal| {
            std::future::ready(!(has_keys && *signal == Signal::Interrupt))
        }));
    let mut running = pin!(runtime.exec(step, exec.clone(), stdio));
    let first = tokio::select! {
        code = &mut running => return Ok(code),
        Some(signal) = signals.next() => signal,
    };
    let (mut sent, mut grace) = (number(first), GRACE);
    let (begun, mut code) = (Instant::now(), None);
    while code.is_none() {
        let mut ending = pin!(runtime.end_exec(step, &exec, sent, grace));
        let ended = loop {
            tokio::select! {
                ended = &mut ending => break Some(ended),
                done = &mut running, if code.is_none() => code = Some(done),
                Some(_) = signals.next(), if !grace.is_zero() => {
                    (sent, grace) = (process::Signal::KILL, Duration::ZERO);
                    break None;
                }
            }
        };
        match ended {
            None => {}
            Some(Err(error)) => return Err(error.explain()),
            Some(Ok(names)) if !names.is_empty() => break,
            Some(Ok(_)) if begun.elapsed() > GRACE => {
                let cause = "nothing is to be seen that was started with its mark";
                return Err(RuntimeError::end_exec(step, &exec, cause).explain());
            }
            // It is just starting, or has just ended.
            Some(Ok(_)) => code = code.or(timeout(POLL, &mut running).await.ok()),
        }
    }
    if code.is_none() {
        code = timeout(LAST_WORDS, running).await.ok();
    }
    Ok(code.unwrap_or(Ok(128 + i64::from(number(first).as_raw()))))
}

fn number(signal: Signal) -> process::Signal {
    match signal {
        Signal::Interrupt => process::Signal::INT,
        Signal::Terminate => process::Signal::TERM,
        Signal::Hangup => process::Signal::HUP,
    }
}
