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
    child::{Detached, Ended},
    fs::{Lock, TryLock},
    user::other_owner,
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

/// Who has the runtime's folder, when it is not this user.
#[derive(Debug, thiserror::Error)]
#[error("it belongs to user `{owner}`")]
pub struct OtherUser {
    pub owner: String,
}

impl From<OtherUser> for io::Error {
    fn from(other: OtherUser) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, other)
    }
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
            Err(error) => return Err(self.or_of_another(error)),
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
        self.is_own()?;
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
            let ended = match begun.as_mut().map(Detached::ended) {
                Some(Ended::Not) => false,
                // It would fail again.
                Some(Ended::Failed(code)) => return Err(self.failed(code)),
                // Its work is done, or it found another in its place.
                None | Some(Ended::Done) => true,
            };
            if ended && !self.is_watched()? {
                begun = Some(self.begin()?);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether this user may start something here: what root starts, the others could not end.
    ///
    /// # Errors
    /// The runtime's folder belongs to another user.
    pub fn is_own(&self) -> Result<(), OtherUser> {
        match other_owner(self.files.run()) {
            None => Ok(()),
            Some(owner) => Err(OtherUser { owner }),
        }
    }

    fn or_of_another(&self, error: io::Error) -> io::Error {
        match self.is_own() {
            Err(other) if error.kind() == io::ErrorKind::PermissionDenied => other.into(),
            _ => error,
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
        let lock = Lock::try_acquire(&self.files.lock(), "a command");
        Ok(match lock.map_err(|error| self.or_of_another(error))? {
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
        let why = self.said().unwrap_or_else(|| "it does not answer".into());
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// On a full disk it cannot say why: its exit code is the system's number of it.
    fn failed(&self, code: i32) -> io::Error {
        match self.said() {
            Some(said) => io::Error::other(said),
            None => io::Error::from_raw_os_error(code),
        }
    }

    fn said(&self) -> Option<String> {
        let said = std::fs::read_to_string(self.files.supervisor_log()).ok()?;
        let said = said.trim();
        (!said.is_empty()).then(|| said.to_owned())
    }
}

/// Whether a supervisor takes connections.
pub fn is_watched(files: &Files) -> bool {
    let socket = Socket::of(files);
    socket.is_ok_and(|socket| std::os::unix::net::UnixStream::connect(&socket.path).is_ok())
}

async fn connect(files: &Files) -> io::Result<UnixStream> {
    let socket = Socket::of(files)?;
    UnixStream::connect(&socket.path).await
}

/// By way of the open folder: a socket's path may have only some 100 bytes.
struct Socket {
    path: PathBuf,
    _folder: std::fs::File,
}

impl Socket {
    fn of(files: &Files) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let folder = std::fs::File::open(files.run())?;
        let path = match cfg!(target_os = "linux") {
            true => PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())),
            false => files.run().to_owned(),
        };
        Ok(Self {
            path: path.join(Files::SOCKET),
            _folder: folder,
        })
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}
