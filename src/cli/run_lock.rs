//! One run at a time per worktree: the second waits and says for whom.

use std::time::Duration;

use super::{context::Context, interrupt, left_over};
use crate::{
    event::{Event, Events, Explain, Fault},
    store::Begun,
    sys::fs::{Lock, TryLock},
};

/// How often to look whether the lock is free: a file lock tells nobody.
const POLL: Duration = Duration::from_millis(20);

/// The right to change the worktree's things, until it is dropped.
pub struct Alone {
    /// Dropped before the lock is.
    _begun: Begun,
    _lock: Lock,
    /// Another run had it first: what was read before may have changed since.
    pub waited: bool,
}

/// Waits until this run is the only one that changes the worktree's things, and nothing goes on of one that was killed.
/// A run killed in any way frees the lock at once.
pub async fn acquire(cx: &Context, command: &str, events: Option<&Events>) -> Result<Alone, Fault> {
    interrupt::ending(wait(cx, command, events)).await
}

/// Waits until no run changes the worktree's things.
pub async fn until_free(cx: &Context) -> Result<(), Fault> {
    let store = cx.store()?;
    let me = format!("`devenv logs` (pid {})", std::process::id());
    loop {
        match store.try_lock(&me).map_err(|error| error.explain())? {
            TryLock::Locked(_) => return Ok(()),
            TryLock::Held { .. } => tokio::time::sleep(POLL).await,
        }
    }
}

async fn wait(cx: &Context, command: &str, events: Option<&Events>) -> Result<Alone, Fault> {
    let store = cx.store()?;
    let me = format!("`devenv {command}` (pid {})", std::process::id());
    let mut waited = false;
    loop {
        let attempt = store.try_lock(&me).map_err(|error| error.explain())?;
        let holder = match attempt {
            TryLock::Locked(lock) => {
                return Ok(Alone {
                    _begun: left_over::begin(cx, command, events).await?,
                    _lock: lock,
                    waited,
                });
            }
            TryLock::Held { holder } => holder,
        };
        if !waited {
            waited = true;
            match events {
                Some(events) => events.send(Event::Waiting { holder }),
                None if holder.is_empty() => eprintln!("Waiting for another run to finish"),
                None => eprintln!("Waiting for {holder} to finish"),
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
