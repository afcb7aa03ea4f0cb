//! Programs that outlive the command that started them, and becoming another program.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, getppid};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{left_over::MARK, terminal, user::User};

/// A program and all it is started with.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    pub path: &'a Path,
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    pub cwd: &'a Path,
}

/// A child that nobody waits for but the reaper of this process.
pub struct Child {
    pub pid: Pid,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Program<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.path);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.cwd);
        command
    }

    /// Starts it without input, its output in pipes.
    pub fn start(&self) -> io::Result<Child> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(Child {
            pid: Pid::from_child(&child),
            stdout: child.stdout.take().ok_or_else(gone)?.into(),
            stderr: child.stderr.take().ok_or_else(gone)?.into(),
        })
    }

    /// Runs it to its end on these streams; its exit code, 128 and its number for a signal.
    pub async fn run(&self, stdio: terminal::Stdio) -> io::Result<i64> {
        if stdio.is_terminal {
            return self.run_on_terminal().await;
        }
        let terminal::Stdio {
            input,
            mut output,
            mut errors,
            ..
        } = stdio;
        let mut command = tokio::process::Command::from(self.command());
        let stdin = match input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (stdin, mut out, mut err) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = tokio::spawn(feed(input, stdin));
        let ended = async {
            tokio::try_join!(copy(&mut out, &mut output), copy(&mut err, &mut errors))?;
            child.wait().await
        };
        let status = ended.await;
        feed.abort();
        Ok(code(status?))
    }

    /// With the streams of this process.
    async fn run_on_terminal(&self) -> io::Result<i64> {
        let _deaf = Deaf::to_keys()?;
        let mut command = tokio::process::Command::from(self.command());
        Ok(code(command.kill_on_drop(true).status().await?))
    }
}

/// Keys such as Ctrl-C are the child's: until this is dropped they do not end this process.
struct Deaf {
    _signals: [tokio::signal::unix::Signal; 2],
}

impl Deaf {
    fn to_keys() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
        ];
        Ok(Self { _signals: signals })
    }
}

fn code(status: std::process::ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    i64::from(code.unwrap_or(-1))
}

async fn feed(
    input: Option<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    stdin: Option<tokio::process::ChildStdin>,
) {
    if let (Some(mut input), Some(mut stdin)) = (input, stdin) {
        // The program need not read all of it.
        let _ = tokio::io::copy(&mut input, &mut stdin).await;
        let _ = stdin.shutdown().await;
    }
}

async fn copy(
    from: &mut Option<impl AsyncRead + Unpin>,
    to: &mut (impl AsyncWrite + Unpin + ?Sized),
) -> io::Result<()> {
    if let Some(from) = from {
        tokio::io::copy(from, to).await?;
    }
    to.flush().await
}

/// A program that goes on when this process ends.
pub struct Detached(tokio::process::Child);

impl Detached {
    /// Starts it without input and output, its errors in a file.
    pub fn start(program: &Path, args: &[&OsStr], cwd: &Path, errors: File) -> io::Result<Self> {
        let mut command = tokio::process::Command::new(program);
        command
            .args(args)
            .current_dir(cwd)
            // It is nobody's who can leave it behind.
            .env_remove(MARK)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        Ok(Self(command.spawn()?))
    }

    pub fn ended(&mut self) -> Ended {
        match self.0.try_wait() {
            Ok(None) => Ended::Not,
            Ok(Some(status)) => match status.code() {
                Some(code) if code != 0 => Ended::Failed(code),
                // Killed, it says nothing about the next one.
                Some(_) | None => Ended::Done,
            },
            Err(_) => Ended::Done,
        }
    }
}

/// Whether and how a program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Not,
    Done,
    /// With this exit code.
    Failed(i32),
}

/// What a process is to do before it becomes another program.
#[derive(Debug, Clone, Default)]
pub struct Become {
    /// Whose session it is in.
    pub session: Session,
    /// Control group to join.
    pub cgroup: Option<PathBuf>,
    /// User to become.
    pub user: Option<String>,
    /// Signal to get when the parent has gone.
    pub with_parent: Option<Signal>,
    /// The program and its arguments; not empty.
    pub argv: Vec<OsString>,
    /// Arguments that make this program do the rest as another user.
    pub again: Vec<OsString>,
}

/// A session has a terminal, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Session {
    /// Its own, without a terminal.
    #[default]
    Own,
    /// That of the caller, with the caller's terminal.
    Callers,
}

impl Become {
    /// Becomes the program. Returns only with what went wrong.
    pub fn exec(self) -> io::Error {
        match self.prepare() {
            Ok(mut command) => command.exec(),
            Err(error) => error,
        }
    }

    fn prepare(self) -> io::Result<Command> {
        if self.session == Session::Own {
            // A second time, as another user: it is the leader already.
            let _ = rustix::process::setsid();
        }
        if let Some(cgroup) = &self.cgroup {
            // Without it the mark tells all the same whose process this is.
            let _ = fs::write(cgroup.join("cgroup.procs"), "0");
        }
        if let Some(user) = &self.user {
            let user = User::named(user)?;
            // The kernel forgets the parent's signal when the user changes, so that comes after it.
            let mut again = Command::new("/proc/self/exe");
            again.arg0("devenv").args(&self.again);
            again.gid(user.gid).uid(user.uid);
            return Ok(again);
        }
        if let Some(signal) = self.with_parent {
            end_with_parent(signal)?;
        }
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]);
        Ok(command)
    }
}

#[cfg(target_os = "linux")]
fn end_with_parent(signal: Signal) -> io::Result<()> {
    let before = getppid();
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    // It may have gone before the kernel was asked.
    if before != getppid() {
        return Err(io::Error::other("the supervisor has gone"));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_: Signal) -> io::Result<()> {
    Ok(())
}
