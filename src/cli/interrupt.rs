//! Signals that end what is done, and Ctrl-C where no run of steps takes it.

use std::pin::pin;

use futures_util::{Stream, StreamExt};
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{self, Heeds, Signal},
    event::{Fault, FaultClass},
};

/// What ends a run, or what follows it. From now on no signal is lost, whenever it comes.
pub fn signals(heeds: Heeds) -> Result<impl Stream<Item = Signal> + Send, Fault> {
    engine::signals(heeds).map_err(|error| {
        Fault::new("cannot listen for signals")
            .class(FaultClass::Environment)
            .note(error.to_string())
    })
}

/// Ends the work where it waits: for what leaves nothing half done.
pub async fn ending<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        result = work => result,
        _ = ctrl_c() => Err(Fault::new("interrupted").class(FaultClass::Interrupted)),
    }
}

/// As [`ending`], at every signal that ends a run of steps: after one, none of them ends the process by itself.
pub async fn ending_after_run<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let mut signals = pin!(signals(Heeds::All)?);
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
