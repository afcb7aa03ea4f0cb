//! Waits until a database answers a query over TCP as the app's user: the one definition of ready.

use std::{fmt, io, time::Duration};

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::{Target, connect::CONNECT_TIMEOUT};
use crate::{
    config::RAISE_TIMEOUT,
    event::{Explain, Fault, FaultClass},
};

/// Pauses between attempts grow from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing listens on the port.
    Refused,
    /// The connection was accepted and closed: a port proxy with no server behind it yet.
    Closed,
    /// No answer within the time of one attempt.
    Silent,
    /// The server runs and does not take logins yet.
    StartingUp,
    /// Wrong password, or no such role.
    Login(String),
    DatabaseMissing(String),
    Other(String),
}

#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("`{target}` was not ready after {}", crate::config::duration::format(*timeout))]
    Timeout {
        target: Target,
        timeout: Duration,
        reason: Reason,
    },
    #[error("waiting for `{target}` was cancelled")]
    Cancelled { target: Target },
}

impl Reason {
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            let message = db.message().to_owned();
            return match db.code() {
                &SqlState::CANNOT_CONNECT_NOW => Self::StartingUp,
                &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                    Self::Login(message)
                }
                &SqlState::INVALID_CATALOG_NAME => Self::DatabaseMissing(message),
                _ => Self::Other(message),
            };
        }
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                return match io.kind() {
                    io::ErrorKind::ConnectionRefused => Self::Refused,
                    io::ErrorKind::TimedOut => Self::Silent,
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe => Self::Closed,
                    _ => Self::Other(io.to_string()),
                };
            }
            source = cause.source();
        }
        if error.is_closed() {
            return Self::Closed;
        }
        Self::Other(error.to_string())
    }

    /// True when the server is there and decided: waiting helps only if something else changes it.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Login(_) | Self::DatabaseMissing(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("nothing listens on the port"),
            Self::Closed => f.write_str("the connection was closed before the login"),
            Self::Silent => f.write_str("the port accepts connections but nothing answers"),
            Self::StartingUp => f.write_str("the database system is starting up"),
            Self::Login(message) | Self::DatabaseMissing(message) | Self::Other(message) => {
                f.write_str(message)
            }
        }
    }
}

impl Explain for NotReady {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            Self::Cancelled { .. } => fault.class(FaultClass::Interrupted),
            Self::Timeout { target, reason, .. } => {
                let fault = fault
                    .label("probe `select 1` never answered")
                    .note(format!("last answer: {reason}"));
                match reason {
                    Reason::Login(_) => fault.help(
                        "the server holds another password or role than devenv.toml: set them back, or start over with `devenv down --volumes` (removes the data)",
                    ),
                    Reason::DatabaseMissing(_) => fault.help(format!(
                        "create database `{}`, or start over with `devenv down --volumes` (removes the data)",
                        target.database
                    )),
                    Reason::StartingUp | Reason::Refused | Reason::Closed | Reason::Silent => {
                        fault.help(RAISE_TIMEOUT)
                    }
                    Reason::Other(_) => fault,
                }
            }
        }
    }
}

/// Tries at once, then again and again, until `select 1` is answered. A refused login or a missing database is waited for as well:
/// an image's own entrypoint may still be about to create them.
pub async fn ready(
    target: &Target,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<(), NotReady> {
    let attempt = |target: Target| async move {
        let client = target.connect("devenv ready", |_| {}).await?;
        client.batch_execute("select 1").await
    };
    let result = repeat(target, timeout, cancel, attempt, |_| false).await?;
    result.map_err(|reason| NotReady::Timeout {
        target: target.clone(),
        timeout,
        reason,
    })
}

/// Repeats an attempt until it succeeds, a failure is `last`, or the time is up.
pub(super) async fn repeat<T, F: Future<Output = Result<T, tokio_postgres::Error>>>(
    target: &Target,
    timeout: Duration,
    cancel: &CancellationToken,
    attempt: impl Fn(Target) -> F,
    last: impl Fn(&Reason) -> bool,
) -> Result<Result<T, Reason>, NotReady> {
    let cancelled = || NotReady::Cancelled {
        target: target.clone(),
    };
    // A timeout beyond what the clock can hold is as good as a year.
    let end = Instant::now() + timeout.min(YEAR);
    let mut pause = PAUSE.0;
    let mut known = None;
    loop {
        // Never zero, so that the first attempt is always made.
        let left = end.saturating_duration_since(Instant::now()).max(PAUSE.1);
        let reason = tokio::select! {
            () = cancel.cancelled() => return Err(cancelled()),
            result = tokio::time::timeout(left.min(CONNECT_TIMEOUT), attempt(target.clone())) => match result {
                Ok(Ok(value)) => return Ok(Ok(value)),
                Ok(Err(error)) => Reason::of(&error),
                // Cut short by the end of the wait, it says less than the attempt before.
                Err(_) if left < CONNECT_TIMEOUT => known.unwrap_or(Reason::Silent),
                Err(_) => Reason::Silent,
            },
        };
        if last(&reason) || Instant::now() >= end {
            return Ok(Err(reason));
        }
        known = Some(reason);
        tokio::select! {
            () = cancel.cancelled() => return Err(cancelled()),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::database::testing;

    async fn reason(target: &Target, timeout: Duration) -> Reason {
        match ready(target, timeout, &CancellationToken::new()).await {
            Err(NotReady::Timeout { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    const SHORT: Duration = Duration::from_millis(100);
    /// Enough for a login on a busy machine.
    const LOGIN: Duration = Duration::from_secs(2);

    #[tokio::test]
    async fn answers_at_once() {
        let target = testing::database().await;
        ready(&target, LOGIN, &CancellationToken::new())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn tells_wrong_logins_from_missing_databases() {
        let target = testing::database().await;
        let wrong = Target {
            password: "x".into(),
            ..target.clone()
        };
        assert!(matches!(reason(&wrong, LOGIN).await, Reason::Login(_)));
        let wrong = Target {
            user: "nobody".into(),
            ..target.clone()
        };
        assert!(matches!(reason(&wrong, LOGIN).await, Reason::Login(_)));
        let missing = Target {
            database: "nope".into(),
            ..target
        };
        let error = ready(&missing, LOGIN, &CancellationToken::new())
            .await
            .unwrap_err();
        let fault = error.explain();
        assert_eq!(
            fault.notes,
            ["last answer: database \"nope\" does not exist"]
        );
        assert!(!format!("{fault:?}").contains("secret"));
    }

    #[tokio::test]
    async fn tells_refused_closed_and_silent() {
        let mut target = Target {
            host: "127.0.0.1".into(),
            port: testing::free_port(),
            user: "u".into(),
            password: "p".into(),
            database: "d".into(),
        };
        assert_eq!(reason(&target, SHORT).await, Reason::Refused);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        target.port = listener.local_addr().unwrap().port();
        assert_eq!(reason(&target, SHORT).await, Reason::Silent);

        let closing = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        assert_eq!(reason(&target, SHORT).await, Reason::Closed);
        closing.abort();
    }

    #[tokio::test]
    async fn cancel_ends_the_wait() {
        let target = Target {
            host: "127.0.0.1".into(),
            port: testing::free_port(),
            user: "u".into(),
            password: "p".into(),
            database: "d".into(),
        };
        let cancel = CancellationToken::new();
        cancel.cancel();
        let error = ready(&target, Duration::MAX, &cancel).await.unwrap_err();
        assert_eq!(error.explain().class, FaultClass::Interrupted);
    }
}
