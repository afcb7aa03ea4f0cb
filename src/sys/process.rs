//! Child processes: output line by line, the whole process group ended on cancel.

mod beside;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    process::Child,
};
use tokio_util::sync::CancellationToken;

use super::{
    left_over::{MARK, Starter},
    lines::Streams,
};
pub use beside::{Beside, PASSED_ON, end_with_input};

/// How long a child may take to obey SIGTERM before its group is killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// How often to look whether a group has ended: nothing tells of the end of what is no child.
const POLL: Duration = Duration::from_millis(10);

/// A forked child becomes its own program within a millisecond or so.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
const BUSY_TRIES: u32 = 40;

/// A command to run on the host.
#[derive(Debug, Clone, Default)]
pub struct Spawn {
    pub argv: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// Added to the inherited environment.
    pub env: BTreeMap<String, OsString>,
    /// Variables of the inherited environment that the child must not see.
    pub env_remove: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot run `{command}`")]
    Spawn {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("`{command}` was cancelled")]
    Cancelled { command: String },
}

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Finished {
    pub status: ExitStatus,
    /// The last lines of its output, both streams in order of arrival.
    pub tail: Vec<String>,
}

/// Lines kept for the error message.
const TAIL: usize = 20;

impl Spawn {
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// As a person would type it.
    pub fn display(&self) -> String {
        match self.argv.as_slice() {
            [sh, flag, script] if sh == "sh" && flag == "-c" => script.clone(),
            argv => argv.join(" "),
        }
    }

    /// Runs it to its end, giving each line of both streams to `line`. No more is read until what that returned is done, so a
    /// program that prints more than is taken is held by its full pipe.
    ///
    /// On cancel, its process group gets SIGTERM, after five seconds SIGKILL.
    pub async fn run<F: Future<Output = ()>>(
        &self,
        cancel: &CancellationToken,
        mut line: impl FnMut(&str) -> F,
    ) -> Result<Finished, ProcessError> {
        let mut child = self.spawn()?;
        let group = Group::of(&child);
        let mut streams = Streams::new(child.stdout.take(), child.stderr.take());
        let mut tail = Vec::new();
        let finished = async {
            while let Some(text) = streams.next().await {
                line(&text).await;
                if tail.len() == TAIL {
                    tail.remove(0);
                }
                tail.push(text);
            }
            child.wait().await
        };
        let status = tokio::select! {
            status = finished => status.map_err(|source| self.error(source))?,
            () = cancel.cancelled() => {
                group.end(&mut child).await;
                return Err(ProcessError::Cancelled { command: self.display() });
            }
        };
        group.disarm();
        Ok(Finished { status, tail })
    }

    /// Runs it with these bytes on its standard input and returns all of both its streams.
    ///
    /// Input is written while output is read, so neither side waits for the other. On cancel as [`Spawn::run`].
    pub async fn pipe(
        &self,
        input: &[u8],
        cancel: &CancellationToken,
    ) -> Result<std::process::Output, ProcessError> {
        let mut child = self.spawn_with(Stdio::piped())?;
        let group = Group::of(&child);
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let finished = async {
            let (_, out, err, status) = tokio::join!(
                write_all(stdin, input),
                read_all(out, &mut stdout),
                read_all(err, &mut stderr),
                child.wait()
            );
            out.and(err).and(status)
        };
        let status = tokio::select! {
            status = finished => status.map_err(|source| self.error(source))?,
            () = cancel.cancelled() => {
                group.end(&mut child).await;
                return Err(ProcessError::Cancelled { command: self.display() });
            }
        };
        group.disarm();
        Ok(std::process::Output {
            status,
            stdout,
            stderr,
        })
    }

    /// Runs it and returns all of its standard output and standard error. For short commands.
    pub async fn output(&self) -> Result<std::process::Output, ProcessError> {
        let mut command = self.child();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = once_free(|| command.spawn()).map_err(|source| self.error(source))?;
        let output = child.wait_with_output().await;
        output.map_err(|source| self.error(source))
    }

    fn spawn(&self) -> Result<Child, ProcessError> {
        self.spawn_with(Stdio::null())
    }

    fn spawn_with(&self, stdin: Stdio) -> Result<Child, ProcessError> {
        let mut command = self.child();
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        once_free(|| command.spawn()).map_err(|source| self.error(source))
    }

    /// With the mark of this process, for when this is killed.
    fn child(&self) -> tokio::process::Command {
        let mut command = self.command();
        if let Some(own) = Starter::own() {
            command.env(MARK, own.mark);
        }
        command
    }

    /// As a plain command, for becoming it with `exec`.
    pub fn to_std(&self) -> std::process::Command {
        self.command().into_std()
    }

    fn command(&self) -> tokio::process::Command {
        let (program, args) = self
            .argv
            .split_first()
            .map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
        let mut command = tokio::process::Command::new(self.program(program));
        command.args(args);
        for name in &self.env_remove {
            command.env_remove(name);
        }
        // Of the inherited ones: what is given to the child stays, whatever the caller has by that name.
        command.envs(&self.env);
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    /// The program is looked up in the PATH the child gets, not in ours.
    fn program(&self, program: &str) -> PathBuf {
        let Some(path) = self.env.get("PATH") else {
            return program.into();
        };
        let cwd = self.cwd.clone().unwrap_or_else(|| ".".into());
        find_program(program, path, &cwd).unwrap_or_else(|| program.into())
    }

    fn error(&self, source: io::Error) -> ProcessError {
        ProcessError::Spawn {
            command: self.display(),
            source,
        }
    }
}

/// Where a program is: by its path, which may be relative to the folder, else on this PATH.
pub fn find_program(program: &str, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    which::which_in(program, Some(path), cwd).ok()
}

/// Starts a program that may just have been written: as long as a child that another thread forked meanwhile has not yet
/// become its own program, it holds the file open too, and the kernel takes it for busy.
fn once_free<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BUSY_TRIES {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(BUSY_PAUSE);
            }
            started => return started,
        }
    }
    start()
}

/// Asks every process group that was started with exactly this argument to end. Finds none where there is no `/proc`.
pub fn terminate_with_argument(argument: &OsStr) {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = line.split(|byte| *byte == 0);
        if !arguments.any(|found| found == argument.as_bytes()) {
            continue;
        }
        // It may have ended meanwhile.
        if let Ok(group) = rustix::process::getpgid(Some(pid)) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// How a child ended, after "failed with": `code 1`, `signal 9`.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// A child need not read its input: a closed pipe is no error, its exit status tells.
async fn write_all<W: AsyncWrite + Unpin>(stream: Option<W>, bytes: &[u8]) {
    if let Some(mut stream) = stream {
        let _ = stream.write_all(bytes).await;
    }
}

async fn read_all<R: AsyncRead + Unpin>(stream: Option<R>, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut stream) = stream {
        stream.read_to_end(into).await?;
    }
    Ok(())
}

/// The child's process group. Killed when dropped, unless the child has ended by itself.
struct Group {
    id: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { id }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // The group may be gone already.
            let _ = kill_process_group(id, signal);
        }
    }

    fn has_members(&self) -> bool {
        self.id
            .is_some_and(|id| test_kill_process_group(id).is_ok())
    }

    async fn end(mut self, child: &mut Child) {
        self.signal(Signal::TERM);
        // A shell may end before what it runs does.
        let gone = async {
            let _ = child.wait().await;
            while self.has_members() {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(GRACE, gone).await.is_err() {
            self.signal(Signal::KILL);
            let _ = child.wait().await;
        }
        self.id = None;
    }

    fn disarm(mut self) {
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_program_that_is_still_open_for_writing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("program");
        std::fs::copy("/bin/true", &program).expect("a copy");
        let writer = std::fs::OpenOptions::new().append(true).open(&program);
        let writer = writer.expect("open for writing");
        let spawn = Spawn::new([program.display().to_string()]);
        let busy = spawn.command().spawn().expect_err("it is busy");
        assert_eq!(busy.kind(), io::ErrorKind::ExecutableFileBusy);

        let mut writer = Some(writer);
        let mut starts = 0;
        let started = once_free(|| {
            starts += 1;
            if starts == 3 {
                writer = None;
            }
            spawn.command().spawn()
        });
        let status = started.expect("it is free").wait().await.expect("it ends");
        assert!(status.success());
        // Whoever else forks meanwhile may hold it a little longer.
        assert!(starts >= 3);
    }

    #[tokio::test]
    async fn a_process_is_found_by_its_argument_and_told_to_end() {
        let argument = format!("argument-of-{}", std::process::id());
        let never = CancellationToken::new();
        let spawn = Spawn::new(["sh", "-c", "echo up; sleep 1000", "sh", &argument]);
        let finished = spawn.run(&never, |_| {
            terminate_with_argument(OsStr::new(&argument));
            ready(())
        });
        let status = finished.await.expect("it was started").status;
        assert_eq!(ending(status), "signal 15");
        assert_eq!(ending(ExitStatus::from_raw(3 << 8)), "code 3");
    }

    #[tokio::test]
    async fn one_whose_lines_nobody_takes_is_held_and_can_be_cancelled() {
        let cancel = CancellationToken::new();
        let mut taken = 0;
        let spawn = Spawn::new(["yes"]);
        let finished = spawn.run(&cancel, |_| {
            taken += 1;
            cancel.cancel();
            pending()
        });
        let error = finished.await.expect_err("it was cancelled");
        assert!(matches!(error, ProcessError::Cancelled { .. }), "{error}");
        assert_eq!(taken, 1);
    }

    #[tokio::test]
    async fn what_is_given_to_a_child_stays_whatever_is_taken_from_it() {
        let spawn = Spawn {
            env: [("HOME".to_owned(), "given".into())].into(),
            env_remove: vec!["HOME".into()],
            ..Spawn::new(["sh", "-c", "echo $HOME"])
        };
        let output = spawn.output().await.expect("a shell");
        assert_eq!(output.stdout, b"given\n");
    }

    #[tokio::test]
    async fn what_a_shell_leaves_in_its_group_ends_with_it() {
        // The shell ends at SIGTERM; what it started does not care.
        let script =
            "trap 'exit 0' TERM; (trap '' TERM; echo $$; while :; do sleep 0.1; done) & wait";
        let cancel = CancellationToken::new();
        let mut group = None;
        let spawn = Spawn::new(["sh", "-c", script]);
        let run = spawn.run(&cancel, |line| {
            group = line.trim().parse().ok().and_then(Pid::from_raw);
            cancel.cancel();
            ready(())
        });
        assert!(matches!(run.await, Err(ProcessError::Cancelled { .. })));
        let group = group.expect("the shell told its own pid");
        // What was killed may still wait to be reaped by who adopted it.
        while test_kill_process_group(group).is_ok() {
            tokio::time::sleep(POLL).await;
        }
    }
}
