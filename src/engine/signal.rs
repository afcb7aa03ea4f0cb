//! The signals that end a run, as a stream.

use std::{fmt, io};

use futures_util::{Stream, stream};
use rustix::process;
use tokio::signal::unix::{self, SignalKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    Terminate,
    Hangup,
}

impl Signal {
    /// As it is sent to another process.
    pub fn number(self) -> process::Signal {
        match self {
            Signal::Interrupt => process::Signal::INT,
            Signal::Terminate => process::Signal::TERM,
            Signal::Hangup => process::Signal::HUP,
        }
    }
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

/// From now on these signals no longer end the process; they come out of the stream, which never ends.
pub fn signals() -> io::Result<impl Stream<Item = Signal> + Send> {
    listen([
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ])
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

    use futures_util::StreamExt;
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
}
