//! One run of a program: its start, its output, its end.

use std::{cell::RefCell, io, os::fd::OwnedFd, path::Path, rc::Rc, time::Duration};

use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::Shared;
use crate::runtime::{
    LogStream,
    process::{
        group::{Group, MARK, Pipe},
        launch,
        log::{Splitter, Writer},
        record::Launch,
    },
};
use crate::sys::{child::Program, processes::Leader};

/// What is left of its output after its end is waited for this long.
const DRAIN: Duration = Duration::from_secs(1);
/// Killed processes are gone within milliseconds; one that hangs in the kernel is not waited for for ever.
const KILL: Duration = Duration::from_secs(10);

/// The log of a step, and how often it has grown.
#[derive(Clone)]
pub struct Output {
    pub log: Rc<RefCell<Writer>>,
    pub grown: watch::Sender<u64>,
}

pub struct Child {
    pub leader: Leader,
    process: OwnedFd,
    exit: oneshot::Receiver<i64>,
    /// Its exit code, once it is known.
    code: Option<i64>,
    pub group: Group,
    output: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts the program, with a group of its own.
    pub fn start(
        shared: &Shared,
        launch: &Launch,
        mut group: Group,
        run: u64,
        output: &Output,
    ) -> io::Result<Self> {
        group.prepare();
        let mut env = launch.env.clone();
        env.insert(MARK.to_owned(), group.mark.clone());
        let program = Program {
            path: &shared.program,
            args: launch::arguments(launch, &group),
            env,
            cwd: Path::new(&launch.cwd),
        };
        let child = program.start()?;
        let pid = child.pid;
        // Nothing is awaited until here, so the pid is still its own.
        let exit = shared.reaper.exit_of(pid);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let leader = Leader::of(pid)?;
        group.pipes = vec![Pipe::of(&child.stdout)?, Pipe::of(&child.stderr)?];
        let tasks = vec![
            keep(child.stdout, LogStream::Stdout, run, output.clone())?,
            keep(child.stderr, LogStream::Stderr, run, output.clone())?,
        ];
        Ok(Self {
            leader,
            process,
            exit,
            code: None,
            group,
            output: tasks,
        })
    }

    /// Resolves with its exit code, once all that it started has gone too. May be dropped and called again.
    pub async fn ended(&mut self) -> i64 {
        let code = self.first_ended().await;
        self.group.kill(KILL).await;
        while let Some(task) = self.output.last_mut() {
            if tokio::time::timeout(DRAIN, &mut *task).await.is_err() {
                task.abort();
            }
            self.output.pop();
        }
        code
    }

    /// Its first process has ended; its exit code.
    async fn first_ended(&mut self) -> i64 {
        let code = match self.code {
            Some(code) => code,
            None => (&mut self.exit).await.unwrap_or(-1),
        };
        *self.code.insert(code)
    }

    /// Asks it to end, and after the grace ends it with all that it started; its exit code.
    pub async fn stop(&mut self, signal: Signal, grace: Duration) -> i64 {
        // It may have ended just now.
        let _ = pidfd_send_signal(&self.process, signal);
        if tokio::time::timeout(grace, self.first_ended())
            .await
            .is_err()
        {
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
        }
        self.ended().await
    }
}

/// Writes what comes through the pipe to the log, line by line.
fn keep(pipe: OwnedFd, stream: LogStream, run: u64, output: Output) -> io::Result<JoinHandle<()>> {
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    Ok(tokio::task::spawn_local(async move {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 16 * 1024];
        let write = |line: &[u8]| {
            // A full disk must not end what runs; its lines are lost.
            let _ = output.log.borrow_mut().line(run, stream, line);
        };
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            splitter.push(&buffer[..count], write);
            output.grown.send_modify(|grown| *grown += 1);
        }
        splitter.rest(write);
        output.grown.send_modify(|grown| *grown += 1);
    }))
}
