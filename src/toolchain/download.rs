//! Downloads a file over HTTP and takes its sha256 on the way. Retries what may pass by itself.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::format::HEAD;

/// Waits before the second and the third attempt.
const BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

const CONNECT: Duration = Duration::from_secs(15);
/// Without a byte for so long, the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(30);
/// Not more often than this is progress told.
const TELL: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("the server cannot be reached")]
    Connect {
        #[source]
        source: Box<ureq::Error>,
    },
    #[error("the server answered {status}{}", words(*status))]
    Status { status: u16 },
    #[error("the download was cut off: {got} of {expected} bytes came")]
    Truncated { expected: u64, got: u64 },
    #[error("the file has the wrong checksum")]
    Checksum { expected: String, found: String },
    /// By its checksum it is the file that was asked for.
    #[error("the file has the wrong size")]
    Size { expected: u64, found: u64 },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the download was cancelled")]
    Cancelled,
}

fn words(status: u16) -> &'static str {
    match status {
        401 | 403 => " (no permission)",
        404 | 410 => " (there is no such file)",
        500.. => " (it has a problem of its own)",
        _ => "",
    }
}

impl DownloadError {
    fn may_pass(&self) -> bool {
        match self {
            DownloadError::Connect { .. } | DownloadError::Truncated { .. } => true,
            DownloadError::Status { status } => matches!(status, 408 | 429 | 500..),
            DownloadError::Checksum { .. }
            | DownloadError::Size { .. }
            | DownloadError::Write { .. }
            | DownloadError::Cancelled => false,
        }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    pub size: u64,
    pub sha256: String,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// Where it comes from and where it goes.
#[derive(Debug, Clone)]
pub struct Request {
    pub url: String,
    /// `None` takes only size and digest.
    pub to: Option<PathBuf>,
    /// Known size in bytes; any other is an error, and the file is removed.
    pub size: Option<u64>,
    /// Known sha256; anything else is an error, and the file is removed.
    pub sha256: Option<String>,
}

enum Message {
    Progress { done: u64, total: Option<u64> },
    Done(Result<Downloaded, DownloadError>),
}

/// Downloads; `progress` gets bytes done and in all.
pub async fn fetch(
    request: &Request,
    cancel: &CancellationToken,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<Downloaded, DownloadError> {
    let mut waits = BACKOFF.iter();
    loop {
        let error = match attempt(request, cancel, &mut progress).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match waits.next() {
            Some(wait) if error.may_pass() => tokio::select! {
                () = cancel.cancelled() => return Err(DownloadError::Cancelled),
                () = tokio::time::sleep(*wait) => {}
            },
            _ => return Err(error),
        }
    }
}

async fn attempt(
    request: &Request,
    cancel: &CancellationToken,
    progress: &mut impl FnMut(u64, Option<u64>),
) -> Result<Downloaded, DownloadError> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (job, token) = (request.clone(), cancel.clone());
    // Made here: the thread may outlive a cancel, and would make it again after it was removed.
    let file = match &request.to {
        Some(path) => Some(File::create(path).map_err(|error| write(path, error))?),
        None => None,
    };
    // A thread of its own: the runtime waits for its blocking threads at the end, and a silent server would hold up Ctrl-C.
    std::thread::spawn(move || {
        let result = transfer(&job, file, &token, &sender);
        if result.is_err()
            && let Some(path) = &job.to
        {
            let _ = std::fs::remove_file(path);
        }
        let _ = sender.send(Message::Done(result));
    });
    loop {
        let message = tokio::select! {
            () = cancel.cancelled() => return Err(DownloadError::Cancelled),
            message = receiver.recv() => message,
        };
        match message {
            Some(Message::Progress { done, total }) => progress(done, total),
            Some(Message::Done(result)) => return result,
            None => return Err(DownloadError::Cancelled),
        }
    }
}

fn transfer(
    request: &Request,
    file: Option<File>,
    cancel: &CancellationToken,
    messages: &mpsc::UnboundedSender<Message>,
) -> Result<Downloaded, DownloadError> {
    let response = agent()
        .get(&request.url)
        .header("accept-encoding", "identity")
        .call();
    let mut response = response.map_err(|error| match error {
        ureq::Error::StatusCode(status) => DownloadError::Status { status },
        error => DownloadError::Connect {
            source: Box::new(error),
        },
    })?;
    let total = response.body().content_length().or(request.size);
    let mut file = request.to.as_ref().zip(file);
    let mut body = response.body_mut().as_reader();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let (mut done, mut told, mut head) = (0, Instant::now(), Vec::new());
    loop {
        if cancel.is_cancelled() {
            return Err(DownloadError::Cancelled);
        }
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(source) => return Err(cut(source, total, done)),
        };
        hash.update(&buffer[..count]);
        head.extend(buffer[..count].iter().take(HEAD - head.len()));
        if let Some((path, file)) = &mut file {
            file.write_all(&buffer[..count])
                .map_err(|e| write(path, e))?;
        }
        done += count as u64;
        if told.elapsed() >= TELL {
            told = Instant::now();
            let _ = messages.send(Message::Progress { done, total });
        }
    }
    let _ = messages.send(Message::Progress { done, total });
    let came = Downloaded {
        size: done,
        sha256: hex::encode(hash.finalize()),
        head,
    };
    verify(request, total, came)
}

fn verify(
    request: &Request,
    total: Option<u64>,
    came: Downloaded,
) -> Result<Downloaded, DownloadError> {
    let (got, found) = (came.size, &came.sha256);
    let asked = request.sha256.as_deref();
    match (asked, total, request.size) {
        // Nothing was cut off from a file with the right checksum.
        (Some(sha256), _, Some(expected))
            if sha256.eq_ignore_ascii_case(found) && got != expected =>
        {
            Err(DownloadError::Size {
                expected,
                found: got,
            })
        }
        (Some(sha256), ..) if sha256.eq_ignore_ascii_case(found) => Ok(came),
        (_, Some(expected), _) if got < expected => Err(DownloadError::Truncated { expected, got }),
        (Some(sha256), ..) => Err(DownloadError::Checksum {
            expected: sha256.to_owned(),
            found: found.clone(),
        }),
        (None, ..) => Ok(came),
    }
}

fn cut(source: io::Error, total: Option<u64>, got: u64) -> DownloadError {
    match total {
        Some(expected) if got < expected => DownloadError::Truncated { expected, got },
        _ => DownloadError::Connect {
            source: Box::new(ureq::Error::Io(source)),
        },
    }
}

fn write(path: &Path, source: io::Error) -> DownloadError {
    DownloadError::Write {
        path: path.into(),
        source,
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .user_agent(concat!("devenv/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE));
    match extra_roots() {
        Some(roots) => config.tls_config(TlsConfig::builder().root_certs(roots).build()),
        None => config,
    }
    .build()
    .new_agent()
}

/// The certificates of `SSL_CERT_FILE`, for networks with a certificate authority of their own.
fn extra_roots() -> Option<RootCerts> {
    let pem = std::fs::read(std::env::var_os("SSL_CERT_FILE")?).ok()?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then(|| RootCerts::new_with_certs(&certificates))
}

/// The sha256 of a file, as 64 hex digits.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hex::encode(hash.finalize()))
}
