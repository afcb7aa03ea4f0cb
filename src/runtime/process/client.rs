//! Talks to the supervisor of a worktree, and begins one when it is needed.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
};

use super::{
    files::Files,
    protocol::{Answer, Request},
};
use crate::sys::{
    child::Detached,
    fs::{Lock, TryLock},
};

/// The hidden command that becomes a supervisor.
pub const COMMAND: &str = "supervise";

/// How long a supervisor may take to answer at first, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub struct Client {
    pub files: Files,
    root: PathBuf,
    identity: String,
    program: PathBuf,
}

/// Whether there is a supervisor.
pub enum Watched {
    Yes(Answer),
    /// There is none, and will be none while the lock is held; without a lock nothing was ever started.
    No(Option<Lock>),
}

/// A question that was asked; answers come line by line.
pub struct Conversation {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Closed, it says that nobody listens any more.
    _write: OwnedWriteHalf,
}

impl Conversation {
    /// The next answer; `None` when the supervisor has gone.
    pub async fn next(&mut self) -> io::Result<Option<Answer>> {
        match self.lines.next_line().await {
            Ok(Some(line)) => Ok(Some(serde_json::from_str(&line)?)),
            Ok(None) => Ok(None),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Client {
    pub fn new(root: &Path, identity: &str, program: PathBuf) -> Self {
        Self {
            files: Files::of(root),
            root: root.to_owned(),
            identity: identity.to_owned(),
            program,
        }
    }

    /// Asks the supervisor there is; `None` when there is none.
    pub async fn ask(&self, request: &Request) -> io::Result<Option<Conversation>> {
        let stream = match connect(&self.files).await {
            Ok(stream) => stream,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        match write.write_all(&line).await {
            Err(error) if is_gone(&error) => return Ok(None),
            written => written?,
        }
        Ok(Some(Conversation {
            lines: BufReader::new(read).lines(),
            _write: write,
        }))
    }

    /// One answer of the supervisor there is. Requests can be repeated, so one that ends meanwhile is as if there were none.
    pub async fn answer(&self, request: &Request) -> io::Result<Option<Answer>> {
        match self.ask(request).await? {
            Some(mut conversation) => conversation.next().await,
            None => Ok(None),
        }
    }

    /// One answer of the supervisor there is, or the lock that keeps others from beginning one. One that begins or ends is waited for.
    pub async fn answer_or_lock(&self, request: &Request) -> io::Result<Watched> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.answer(request).await? {
                return Ok(Watched::Yes(answer));
            }
            match self.lock() {
                Ok(Some(lock)) => return Ok(Watched::No(Some(lock))),
                Ok(None) if tokio::time::Instant::now() > until => return Err(self.silent()),
                Ok(None) => tokio::time::sleep(POLL).await,
                // Nothing was ever started here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Watched::No(None));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One answer, of a supervisor that is begun if there is none.
    pub async fn insist(&self, request: &Request) -> io::Result<Answer> {
        self.files.prepare()?;
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut begun = None;
        loop {
            if let Some(answer) = self.answer(request).await? {
                return Ok(answer);
            }
            if tokio::time::Instant::now() > until {
                return Err(self.silent());
            }
            // One that has ended, or found another in its place.
            let ended = begun.as_mut().is_none_or(Detached::has_ended);
            if ended && !self.is_watched()? {
                begun = Some(self.begin()?);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether a supervisor is there, beginning or ending.
    fn is_watched(&self) -> io::Result<bool> {
        match self.lock() {
            Ok(lock) => Ok(lock.is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The supervisor's lock; `None` while there is a supervisor.
    fn lock(&self) -> io::Result<Option<Lock>> {
        if !self.files.run().is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(match Lock::try_acquire(&self.files.lock(), "a command")? {
            TryLock::Locked(lock) => Some(lock),
            TryLock::Held { .. } => None,
        })
    }

    fn begin(&self) -> io::Result<Detached> {
        let log = std::fs::File::create(self.files.supervisor_log())?;
        let args = [
            COMMAND.as_ref(),
            self.root.as_os_str(),
            self.identity.as_ref(),
        ];
        Detached::start(&self.program, &args, &self.root, log)
    }

    fn silent(&self) -> io::Error {
        let said = std::fs::read_to_string(self.files.supervisor_log()).unwrap_or_default();
        let why = match said.trim() {
            "" => "it does not answer".to_owned(),
            said => said.to_owned(),
        };
        io::Error::new(io::ErrorKind::TimedOut, why)
    }
}

async fn connect(files: &Files) -> io::Result<UnixStream> {
    // By way of the open folder: a socket's path may have only some 100 bytes.
    if cfg!(target_os = "linux") {
        use std::os::fd::AsRawFd;
        let folder = std::fs::File::open(files.run())?;
        let path = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), Files::SOCKET);
        return UnixStream::connect(path).await;
    }
    UnixStream::connect(files.run().join(Files::SOCKET)).await
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}
