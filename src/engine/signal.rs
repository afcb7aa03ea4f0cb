//! The signals that end a run, as a stream.

use std::{fmt, future::ready, io};

use futures_util::{Stream, StreamExt, stream};
use tokio::signal::unix::{self, SignalKind};

use crate::sys::process::PASSED_ON;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    Terminate,
    Hangup,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "Ctrl-C",
            Signal::Terminate => "SIGTERM",
            Signal::Hangup => "SIGHUP",
        })
    }
}

/// Whose signals count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heeds {
    All,
    /// Those of the process that started this one ([`PASSED_ON`]), as a terminal or a CI system tells all of a group.
    Starter,
}

/// From now on these signals no longer end the process; those that count come out of the stream, which never ends.
pub fn signals(heeds: Heeds) -> io::Result<impl Stream<Item = Signal> + Send> {
    let all = listen([
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ])?;
    Ok(match heeds {
        Heeds::All => all.left_stream(),
        Heeds::Starter => {
            let passed = unix::signal(SignalKind::from_raw(PASSED_ON.as_raw()))?;
            let passed = stream::unfold(passed, async |mut passed| {
                passed.recv().await.map(|()| (None, passed))
            });
            // What all are told comes before what is passed on of it.
            let first = |_: &mut ()| stream::PollNext::Left;
            let both = stream::select_with_strategy(all.map(Some), passed, first);
            passed_on(both).right_stream()
        }
    })
}

/// `None` counts, and is named after what came before it.
fn passed_on(both: impl Stream<Item = Option<Signal>>) -> impl Stream<Item = Signal> {
    let mut told = None;
    both.filter_map(move |signal| {
        ready(match signal {
            Some(signal) => {
                told = Some(signal);
                None
            }
            None => told.take().or(Some(Signal::Terminate)),
        })
    })
}

/// What stands for Ctrl-C, SIGTERM and SIGHUP.
fn listen(kinds: [SignalKind; 3]) -> io::Result<impl Stream<Item = Signal> + Send> {
    let [interrupt, terminate, hangup] = kinds.map(unix::signal);
    let sources = (interrupt?, terminate?, hangup?);
    Ok(stream::unfold(sources, |mut sources| async {
        let signal = tokio::select! {
            Some(()) = sources.0.recv() => Signal::Interrupt,
            Some(()) = sources.1.recv() => Signal::Terminate,
            Some(()) = sources.2.recv() => Signal::Hangup,
            else => return None,
        };
        Some((signal, sources))
    }))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustix::process::{Signal as Sent, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn signals_come_out_instead_of_ending_the_process() {
        // The real ones would reach every test of this process.
        let kinds = [
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
        ];
        let mut signals = pin!(listen(kinds).expect("it can listen"));
        for (sent, expected) in [
            (Sent::ALARM, Signal::Hangup),
            (Sent::USR1, Signal::Interrupt),
            (Sent::USR2, Signal::Terminate),
        ] {
            kill_process(getpid(), sent).expect("sent");
            assert_eq!(signals.next().await, Some(expected));
        }
    }

    #[tokio::test]
    async fn what_all_are_told_counts_when_it_is_passed_on() {
        use Signal::{Hangup, Interrupt, Terminate};
        let both = [
            Some(Interrupt),
            None,
            Some(Terminate),
            Some(Hangup),
            None,
            None,
        ];
        let heeded: Vec<_> = passed_on(stream::iter(both)).collect().await;
        assert_eq!(heeded, [Interrupt, Hangup, Terminate]);
    }
}
