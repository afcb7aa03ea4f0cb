//! Evaluates readiness: the one place, whatever runs the service. The first try is made at once.
//!
//! While it tries, it watches for the service's end, so that one that exits is reported then and not after the timeout.

use std::{borrow::Cow, fmt, io, time::Duration};

use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Exec, LogOptions, ProbeTarget, Runs, Runtime, RuntimeError};
use crate::{
    config::{Probe, RAISE_TIMEOUT, StepId, duration},
    event::{Explain, Fault, FaultClass},
    sys::terminal::Stdio,
};

/// Pauses between tries grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A try over the network that takes longer counts as failed.
const TRY: Duration = Duration::from_secs(5);

/// Characters of a line of output that are shown of what a try saw.
const LONGEST_LINE: usize = 200;

/// How long a look goes on trying, when not told otherwise.
pub const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("`{step}` was not ready after {}", duration::format(*after))]
    Timeout {
        step: StepId,
        after: Duration,
        probe: String,
        /// What the last try saw.
        last: String,
    },
    #[error("`{step}` exited with code {code} before it was ready")]
    Exited {
        step: StepId,
        code: i64,
        probe: String,
        last: Option<String>,
    },
    #[error("waiting for `{step}` was cancelled")]
    Cancelled { step: StepId },
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl Explain for ProbeError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            ProbeError::Timeout {
                step, probe, last, ..
            } => fault
                .at_key(step.key_path())
                .label(format!("{probe}: {last}"))
                .help(RAISE_TIMEOUT),
            ProbeError::Exited {
                step,
                code,
                probe,
                last,
            } => {
                let fault = fault.at_key(step.key_path());
                Fault {
                    help: help_for_exit(*code).map(str::to_owned),
                    ..match last {
                        Some(last) => fault.note(format!("{probe}: {last}")),
                        None => fault,
                    }
                }
            }
            ProbeError::Cancelled { .. } => fault.class(FaultClass::Interrupted),
            ProbeError::Runtime(error) => error.explain(),
        }
    }
}

/// What to do about an exit code that means the same everywhere.
pub fn help_for_exit(code: i64) -> Option<&'static str> {
    match code {
        126 => Some(
            "the program cannot be run: check that it is executable, and made for this machine",
        ),
        127 => Some("the image has no such program: check `command` and `entrypoint`"),
        _ => None,
    }
}

/// Waits until the service is ready, has exited, or its time is over.
pub async fn probe(
    runtime: &impl Runtime,
    target: &ProbeTarget,
    cancel: &CancellationToken,
) -> Result<(), ProbeError> {
    let mut last = None;
    let step = target.step.clone();
    let probe = Named(target).to_string();
    let ended = attempt(runtime, target, Tries::UntilReady, &mut last, cancel).await?;
    Err(match ended {
        Ended::Ready => return Ok(()),
        Ended::Exit(code) => ProbeError::Exited {
            step,
            code,
            probe,
            last,
        },
        Ended::NotReady | Ended::Timeout => ProbeError::Timeout {
            step,
            after: target.timeout,
            probe,
            last: last.unwrap_or_else(|| "no answer".to_owned()),
        },
    })
}

/// Looks whether something that should be ready is: `Err` of the answer says what was seen instead. It tries for `time`, and waits
/// for the try that is going on then, as long as its start would: a probe that takes long is not one that fails.
pub async fn look(
    runtime: &impl Runtime,
    target: &ProbeTarget,
    time: Duration,
    cancel: &CancellationToken,
) -> Result<Result<(), String>, ProbeError> {
    let mut last = None;
    let tries = Tries::Until(Instant::now() + time);
    let seen = match attempt(runtime, target, tries, &mut last, cancel).await? {
        Ended::Ready => return Ok(Ok(())),
        Ended::Exit(code) => format!("it exited with code {code}"),
        Ended::NotReady => last.unwrap_or_else(|| "no answer".to_owned()),
        Ended::Timeout => format!("no answer within {}", duration::format(target.timeout)),
    };
    Ok(Err(format!("{}: {seen}", Named(target))))
}

/// How often to try.
#[derive(Debug, Clone, Copy)]
enum Tries {
    UntilReady,
    /// The last try begins before this, the first one always.
    Until(Instant),
}

enum Ended {
    Ready,
    /// No more tries.
    NotReady,
    Exit(i64),
    Timeout,
}

/// Tries, within the target's time and the service's life.
async fn attempt(
    runtime: &impl Runtime,
    target: &ProbeTarget,
    tries: Tries,
    last: &mut Option<String>,
    cancel: &CancellationToken,
) -> Result<Ended, ProbeError> {
    let step = target.step.clone();
    tokio::select! {
        // A service that answers and then exits was ready.
        biased;
        () = cancel.cancelled() => Err(ProbeError::Cancelled { step }),
        ended = repeat(runtime, target, tries, last) => Ok(ended?),
        code = runtime.exited(&target.step) => Ok(Ended::Exit(code?)),
        () = sleep(target.timeout) => Ok(Ended::Timeout),
    }
}

/// `last` holds what the latest failed try saw.
async fn repeat(
    runtime: &impl Runtime,
    target: &ProbeTarget,
    tries: Tries,
    last: &mut Option<String>,
) -> Result<Ended, RuntimeError> {
    let port = |name: &str| {
        let known = target.ports.get(name).copied();
        known.ok_or_else(|| RuntimeError::UnknownPort {
            step: target.step.clone(),
            port: name.to_owned(),
            ports: target.ports.clone(),
        })
    };
    let mut pauses = Pauses::new();
    loop {
        let begun = Instant::now();
        let seen = match &target.probe {
            Probe::Http { path, port: name } => http(&target.host, port(name)?, path).await,
            Probe::Tcp { port: name } => tcp(&target.host, port(name)?, target.stays_open).await,
            Probe::Exec { command } => exec(runtime, &target.step, command, last).await?,
            Probe::Log { text } => log(runtime, &target.step, text, tries, last).await?,
        };
        match seen {
            Ok(()) => return Ok(Ended::Ready),
            Err(seen) => *last = Some(seen),
        }
        if matches!(tries, Tries::Until(end) if Instant::now() >= end) {
            return Ok(Ended::NotReady);
        }
        sleep(pauses.next().saturating_sub(begun.elapsed())).await;
    }
}

/// 2 ms, 4 ms, … 100 ms, 100 ms, … from the beginning of one try to the beginning of the next.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// Ready, or what was seen instead.
type Seen = Result<(), String>;

async fn http(host: &str, port: u16, path: &str) -> Seen {
    match timeout(TRY, get(host, port, path)).await {
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(status.as_u16().to_string()),
        Ok(Err(seen)) => Err(seen),
        Err(_) => Err(format!("no answer within {}", duration::format(TRY))),
    }
}

async fn get(host: &str, port: u16, path: &str) -> Result<StatusCode, String> {
    let stream = connect(host, port).await?;
    let closed = |error: hyper::Error| match error.is_incomplete_message() {
        true => "connection closed before an answer".to_owned(),
        false => innermost(&error),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(closed)?;
    let request = Request::get(path)
        .header(hyper::header::HOST, format!("{host}:{port}"))
        .header(hyper::header::CONNECTION, "close")
        .header(hyper::header::USER_AGENT, "devenv")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("`{path}` is no path: {error}"))?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(closed)?;
            // A short answer and the end of the connection may come in one read: the answer is there by now.
            answer.await
        }
    };
    answer.map(|answer| answer.status()).map_err(closed)
}

async fn tcp(host: &str, port: u16, stays_open: Duration) -> Seen {
    let mut stream = timeout(TRY, connect(host, port))
        .await
        .map_err(|_| format!("no connection within {}", duration::format(TRY)))??;
    match timeout(stays_open, stream.read(&mut [0])).await {
        Err(_) | Ok(Ok(1..)) => Ok(()),
        Ok(Ok(0)) => Err("connection closed at once".to_owned()),
        Ok(Err(error)) => Err(words(&error)),
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port)).await;
    stream.map_err(|error| words(&error))
}

/// Takes the time it takes: a command cannot be stopped from outside, and tries must not pile up.
async fn exec(
    runtime: &impl Runtime,
    step: &StepId,
    command: &[String],
    last: &mut Option<String>,
) -> Result<Seen, RuntimeError> {
    last.get_or_insert_with(|| "has not ended".to_owned());
    let exec = Exec {
        argv: command.to_vec(),
        ..Exec::default()
    };
    let (stdio, output) = Stdio::capture();
    let code = match runtime.exec(step, exec, stdio).await {
        Ok(0) => return Ok(Ok(())),
        Ok(code) => code,
        // It has just exited, or comes back by its restart policy: the watch on its end decides.
        Err(RuntimeError::NotRunning { .. }) => return Ok(Err("not running".to_owned())),
        // It may be put there by what is just starting.
        Err(error @ RuntimeError::NoCommand { .. }) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let output = output.text();
    let line = output.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(Err(match line {
        Some(line) => format!("exit code {code}: {}", beginning(line)),
        None => format!("exit code {code}"),
    }))
}

async fn log(
    runtime: &impl Runtime,
    step: &StepId,
    text: &str,
    tries: Tries,
    last: &mut Option<String>,
) -> Result<Seen, RuntimeError> {
    last.get_or_insert_with(|| "no output".to_owned());
    let options = LogOptions {
        // What was ready has written it already.
        follow: matches!(tries, Tries::UntilReady),
        runs: Runs::Last,
        ..LogOptions::default()
    };
    let mut lines = runtime.logs(step, options);
    while let Some(line) = lines.next().await {
        let line = line?.text;
        if line.contains(text) {
            return Ok(Ok(()));
        }
        if !line.trim().is_empty() {
            *last = Some(format!("last line: {}", beginning(&line)));
        }
    }
    // The output ends with the service; the watch on its end says how.
    Ok(Err(last.clone().unwrap_or_default()))
}

/// As much of a line as a sentence can hold.
fn beginning(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => Cow::Owned(format!("{}…", &line[..end])),
        None => Cow::Borrowed(line),
    }
}

/// An error of the operating system as it is usually said.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<io::Error>() {
        Some(error) => words(error),
        None => deepest.to_string(),
    }
}

/// A probe as part of a sentence: "`GET /readyz`".
struct Named<'a>(&'a ProbeTarget);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.probe {
            Probe::Http { path, .. } => write!(f, "`GET {path}`"),
            Probe::Tcp { port } => write!(f, "TCP port `{port}`"),
            Probe::Exec { command } => write!(f, "`{}`", command.join(" ")),
            Probe::Log { text } => write!(f, "log line with `{text}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_beginning_is_shown() {
        let long = "é".repeat(LONGEST_LINE);
        assert_eq!(beginning(&long), long);
        assert_eq!(beginning(&format!("{long}x")), format!("{long}…"));
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut pauses = Pauses::new();
        let pauses: Vec<_> = std::iter::repeat_with(|| pauses.next().as_millis())
            .take(8)
            .collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 100, 100]);
    }
}
