//! Ctrl-C where no run of steps takes it.

use std::pin::pin;

use futures_util::StreamExt;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use super::logs;
use crate::event::{Fault, FaultClass};

/// Ends the work where it waits: for what leaves nothing half done.
pub async fn ending<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        result = work => result,
        _ = ctrl_c() => Err(Fault::new("interrupted").class(FaultClass::Interrupted)),
    }
}

/// As [`ending`], at every signal that ends a run of steps: after one, none of them ends the process by itself.
pub async fn ending_after_run<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let mut signals = pin!(logs::signals()?);
    tokio::select! {
        result = work => result,
        _ = signals.next() => Err(Fault::new("interrupted").class(FaultClass::Interrupted)),
    }
}

/// Cancels the work and waits for how it ends.
pub async fn cancelling<T>(cancel: &CancellationToken, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        result = &mut work => result,
        _ = ctrl_c() => {
            cancel.cancel();
            work.await
        }
    }
}
