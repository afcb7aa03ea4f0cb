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
        let terminal = stdio.has_terminal();
        let id = self.create_exec(step, exec, &stdio).await?;
        let options = StartExecOptions {
            tty: terminal,
            ..StartExecOptions::default()
        };
        let started = self.engine().patient().start_exec(&id, Some(options)).await;
        let started = started.map_err(|error| self.exec_error(step, error))?;
        let StartExecResults::Attached { output, input } = started else {
            unreachable!("asked to be attached")
        };
        let feed = feed(stdio.input.take(), input);
        let resize = self.follow_size(&id, stdio.size.take());
        let drain = drain(output, &mut stdio);
        pin_mut!(feed, resize, drain);
        let drained = tokio::select! {
            drained = &mut drain => drained,
            () = &mut feed => unreachable!("feeding never returns"),
            () = &mut resize => unreachable!("following never returns"),
        };
        drained.map_err(|end| match end {
            DrainError::Engine(error) => self.exec_error(step, error),
            DrainError::Io(source) => RuntimeError::Stdio {
                step: step.clone(),
                source,
            },
        })?;
        self.exit_code(step, &id).await
    }

    async fn create_exec(
        &self,
        step: &StepId,
        exec: Exec,
        stdio: &Stdio,
    ) -> Result<String, RuntimeError> {
        let options = CreateExecOptions {
            attach_stdin: Some(stdio.input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(stdio.has_terminal()),
            env: Some(environment(&exec.env)),
            cmd: Some(exec.argv),
            user: exec.user,
            working_dir: exec.workdir,
            ..CreateExecOptions::default()
        };
        let name = self.container_name(step);
        let created = self.engine().client().create_exec(&name, options).await;
        Ok(created.map_err(|error| self.exec_error(step, error))?.id)
    }

    /// The container's command has its own exit code only when it could be started.
    fn exec_error(&self, step: &StepId, error: Error) -> RuntimeError {
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

enum DrainError {
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

async fn drain(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    stdio: &mut Stdio,
) -> Result<(), DrainError> {
    while let Some(chunk) = output.next().await {
        let chunk = chunk.map_err(DrainError::Engine)?;
        let sink = match chunk {
            LogOutput::StdErr { .. } => &mut stdio.errors,
            LogOutput::StdOut { .. } | LogOutput::Console { .. } | LogOutput::StdIn { .. } => {
                &mut stdio.output
            }
        };
        let bytes = chunk.into_bytes();
        sink.write_all(&bytes).await.map_err(DrainError::Io)?;
        sink.flush().await.map_err(DrainError::Io)?;
    }
    Ok(())
}
