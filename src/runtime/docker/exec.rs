//! Commands inside a running container.

use std::{io, time::Duration};

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::{Stream, StreamExt, pin_mut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

use super::{Docker, container::environment, engine::status};
use crate::{
    config::StepId,
    runtime::{Exec, RuntimeError},
    sys::terminal::{Size, Stdio},
};

/// An engine closes a command's output a moment before it knows the exit code.
const CODE_TRIES: u32 = 100;
const CODE_PAUSE: Duration = Duration::from_millis(10);

impl Docker {
    pub(super) async fn run_inside(
        &self,
        step: &StepId,
        exec: Exec,
        mut stdio: Stdio,
    ) -> Result<i64, RuntimeError> {
        let missing = |words: &str| RuntimeError::NoCommand {
            step: step.clone(),
            command: exec.argv.first().cloned().unwrap_or_default(),
            cause: words.trim().to_owned(),
        };
        self.engine().answers().await?;
        let id = self.create_exec(step, &exec, &stdio).await?;
        let instead = match self.talk(&id, &mut stdio).await {
            Ok(instead) => instead,
            Err(End::Engine(error)) if is_missing(NOT_FOUND, &error.to_string()) => {
                return Err(missing(&error.to_string()));
            }
            Err(end) => return Err(self.end_error(step, end)),
        };
        let code = self.exit_code(step, &id).await?;
        match instead {
            Some(words) if is_missing(code, &words) => Err(missing(&words)),
            Some(words) => {
                let written = write(&mut stdio.errors, words.as_bytes()).await;
                written
                    .map(|()| code)
                    .map_err(|end| self.end_error(step, end))
            }
            None => Ok(code),
        }
    }

    /// Starts it and passes on what it reads and writes until its end. What the engine said instead, if it could not start it.
    async fn talk(&self, id: &str, stdio: &mut Stdio) -> Result<Option<String>, End> {
        let options = StartExecOptions {
            tty: stdio.has_terminal(),
            ..StartExecOptions::default()
        };
        let started = self.engine().patient().start_exec(id, Some(options)).await;
        let StartExecResults::Attached { output, input } = started.map_err(End::Engine)? else {
            unreachable!("asked to be attached")
        };
        let feed = feed(stdio.input.take(), input);
        let resize = self.follow_size(id, stdio.size.take());
        pin_mut!(feed, resize);
        tokio::select! {
            drained = drain(output, stdio) => drained,
            () = &mut feed => unreachable!("feeding never returns"),
            () = &mut resize => unreachable!("following never returns"),
        }
    }

    fn end_error(&self, step: &StepId, end: End) -> RuntimeError {
        match end {
            End::Engine(error) => self.exec_error(step, error),
            End::Io(source) => RuntimeError::Stdio {
                step: step.clone(),
                source,
            },
        }
    }

    async fn create_exec(
        &self,
        step: &StepId,
        exec: &Exec,
        stdio: &Stdio,
    ) -> Result<String, RuntimeError> {
        let options = CreateExecOptions {
            attach_stdin: Some(stdio.input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(stdio.has_terminal()),
            env: Some(environment(&exec.environment())),
            cmd: Some(exec.argv.clone()),
            user: exec.user.clone(),
            working_dir: exec.workdir.clone(),
            ..CreateExecOptions::default()
        };
        let name = self.container_name(step);
        let created = self.engine().client().create_exec(&name, options).await;
        Ok(created.map_err(|error| self.exec_error(step, error))?.id)
    }

    /// The container's command has its own exit code only when it could be started.
    pub(super) fn exec_error(&self, step: &StepId, error: Error) -> RuntimeError {
        match status(&error) {
            // 409: it is stopped or paused.
            Some(404 | 409) => RuntimeError::NotRunning { step: step.clone() },
            // Podman's words for the same, with status 500.
            Some(500) if error.to_string().contains("container state improper") => {
                RuntimeError::NotRunning { step: step.clone() }
            }
            _ => self
                .engine()
                .fail(format!("run a command in `{step}`"), error),
        }
    }

    async fn exit_code(&self, step: &StepId, id: &str) -> Result<i64, RuntimeError> {
        for _ in 0..CODE_TRIES {
            let exec = self.engine().client().inspect_exec(id).await;
            let exec = exec.map_err(|error| self.exec_error(step, error))?;
            if let (Some(false), Some(code)) = (exec.running, exec.exit_code) {
                return Ok(code);
            }
            tokio::time::sleep(CODE_PAUSE).await;
        }
        Err(RuntimeError::Engine {
            action: format!("tell the exit code of a command in `{step}`"),
            cause: "its output has ended, but it still counts as running".to_owned(),
        })
    }

    /// Gives the command's terminal the size of ours, now and whenever it changes. Never returns.
    async fn follow_size(&self, id: &str, size: Option<watch::Receiver<Size>>) {
        if let Some(mut size) = size {
            loop {
                let now = *size.borrow_and_update();
                let options = ResizeExecOptions {
                    height: now.rows,
                    width: now.columns,
                };
                // The command may have ended; its output tells.
                let _ = self.engine().client().resize_exec(id, options).await;
                if size.changed().await.is_err() {
                    break;
                }
            }
        }
        std::future::pending().await
    }
}

/// How the talk with a command ended early.
enum End {
    Engine(Error),
    Io(io::Error),
}

/// Passes input on, then closes it. Never returns: the command ends when its output does.
async fn feed(
    input: Option<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    mut sink: std::pin::Pin<Box<dyn AsyncWrite + Send>>,
) {
    if let Some(mut input) = input {
        // A command may end without having read all of its input.
        let _ = tokio::io::copy(&mut input, &mut sink).await;
        let _ = sink.shutdown().await;
    }
    std::future::pending().await
}

/// What the engine says in place of a command that it could not start.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed";

/// What shells end with when there is no such command. Engines use it, or the code of one that must not be run.
const NOT_FOUND: i64 = 127;

/// Its words are about a program that is not there: not about one that must not be run.
fn is_missing(code: i64, words: &str) -> bool {
    let missing = ["not found", "no such file or directory"];
    matches!(code, 126 | NOT_FOUND)
        && words.contains("OCI runtime")
        && missing.iter().any(|part| words.contains(part))
}

/// Passes output on. Gives back what the engine itself said, if it did.
async fn drain(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    stdio: &mut Stdio,
) -> Result<Option<String>, End> {
    let mut held: Option<Vec<u8>> = None;
    let mut first = true;
    while let Some(chunk) = output.next().await {
        let chunk = chunk.map_err(End::Engine)?;
        let is_first = std::mem::take(&mut first);
        if held.is_some() || is_first && chunk.as_ref().starts_with(NOT_STARTED) {
            held.get_or_insert_default()
                .extend_from_slice(chunk.as_ref());
            continue;
        }
        let sink = match chunk {
            LogOutput::StdErr { .. } => &mut stdio.errors,
            LogOutput::StdOut { .. } | LogOutput::Console { .. } | LogOutput::StdIn { .. } => {
                &mut stdio.output
            }
        };
        write(sink, chunk.as_ref()).await?;
    }
    Ok(held.map(|words| String::from_utf8_lossy(&words).into_owned()))
}

async fn write(sink: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), End> {
    sink.write_all(bytes).await.map_err(End::Io)?;
    sink.flush().await.map_err(End::Io)
}
