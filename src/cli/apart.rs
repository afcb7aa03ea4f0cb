//! Runs with things of their own beside what is up: from nothing, and gone at the end.

use super::{
    context::Context,
    down::{self, Built},
    run_lock::{self, Alone},
    run_steps::Ended,
};
use crate::event::Fault;

/// Does this work in the worktree's folder, with an identity, ports and data that are nobody's but its, and takes all down that
/// it started. What a killed one left goes first. Images stay for the next one.
pub async fn run(
    cx: &Context,
    command: &str,
    work: impl AsyncFnOnce(&Context, &Alone) -> Result<Ended, Fault>,
) -> Result<Ended, Fault> {
    // Both build in the same folders.
    let worktree = run_lock::acquire(cx, command, None).await?;
    let own = cx.ephemeral();
    let alone = run_lock::acquire(&own, command, None).await?;
    down::everything(&own, Built::Keep).await?;
    let ended = work(&own, &alone).await;
    let gone = down::everything(&own, Built::Keep).await;
    drop((alone, worktree));
    let mut ended = ended?;
    if let Err(fault) = gone {
        ended.fail(&own, &fault);
    }
    Ok(ended)
}
