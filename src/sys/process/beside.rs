//! Commands that share the terminal with this process: what they say is seen as they say it.

use std::{
    io::{self, Read},
    process::{ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::process::{Child, ChildStdin};

use super::{ProcessError, Spawn, once_free, read_all, write_all};

/// Asks a command that runs beside this process to end. What a terminal or a CI system sends goes to all of a group, and would be
/// counted twice where it is passed on as such.
pub const PASSED_ON: Signal = Signal::USR1;

/// A command that runs beside this process. Its input ends when this is dropped, or with this process, however that ends.
pub struct Beside {
    child: Child,
    command: String,
    /// Held open: its end tells the child that nobody waits for it any more.
    stdin: Option<ChildStdin>,
}

impl Spawn {
    /// Runs it with this input, both of its streams being ours.
    pub async fn with_input(&self, input: &[u8]) -> Result<ExitStatus, ProcessError> {
        let mut beside = self.beside(Stdio::inherit())?;
        let stdin = beside.stdin.take();
        let (_, status) = tokio::join!(write_all(stdin, input), beside.child.wait());
        status.map_err(|source| self.error(source))
    }

    /// Starts it with its standard error being ours, to be asked for what it writes to standard output.
    pub fn start_beside(&self) -> Result<Beside, ProcessError> {
        self.beside(Stdio::piped())
    }

    fn beside(&self, stdout: Stdio) -> Result<Beside, ProcessError> {
        let mut command = self.child();
        command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::inherit());
        let mut child = once_free(|| command.spawn()).map_err(|source| self.error(source))?;
        Ok(Beside {
            stdin: child.stdin.take(),
            command: self.display(),
            child,
        })
    }
}

impl Beside {
    /// What asks it to end.
    pub fn terminator(&self) -> impl Fn() + use<> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw);
        move || {
            if let Some(pid) = pid {
                // It may have ended already.
                let _ = kill_process(pid, PASSED_ON);
            }
        }
    }

    /// What it wrote to standard output, once it has ended.
    pub async fn finish(&mut self) -> Result<(ExitStatus, Vec<u8>), ProcessError> {
        let mut stdout = Vec::new();
        let out = self.child.stdout.take();
        let (read, status) = tokio::join!(read_all(out, &mut stdout), self.child.wait());
        let finished: io::Result<_> = read.and(status);
        let status = finished.map_err(|source| ProcessError::Spawn {
            command: self.command.clone(),
            source,
        })?;
        Ok((status, stdout))
    }
}

/// From now on this process is asked to end when its standard input does: then the one that started it is gone.
pub fn end_with_input() {
    thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = io::stdin().read_to_end(&mut rest);
        let _ = kill_process(getpid(), PASSED_ON);
    });
}
