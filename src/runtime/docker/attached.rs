//! Containers that run one command of the project while its output is shown, and are removed however that ends.

use std::pin::pin;

use bollard::{
    container::LogOutput,
    errors::Error,
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
    },
};
use futures_util::{Stream, StreamExt, future::BoxFuture};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use super::Docker;
use crate::{
    runtime::{OneShot, RuntimeError},
    sys::lines::Streams,
};

/// Bytes of each stream that wait to be shown: past it, the program is held.
const WAITING: usize = 64 << 10;

/// Takes a line, and is ready for the next one when what it returns is done.
pub type Line<'a> = dyn FnMut(&str) -> BoxFuture<'static, ()> + Send + 'a;

impl Docker {
    /// Its exit code; `None` when it was ended because of the cancel.
    pub(super) async fn run_shown(
        &self,
        one_shot: OneShot,
        cancel: &CancellationToken,
        line: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError> {
        if !one_shot.mounts.is_empty() && !self.engine().is_local() {
            return Err(RuntimeError::Engine {
                action: format!("mount the project into image `{}`", one_shot.image),
                cause: "the engine is on another machine, which does not have its files".to_owned(),
            });
        }
        self.sweep_one_shots().await?;
        let (name, guard) = self.new_one_shot();
        let result = self.attached(&name, &one_shot, cancel, line).await;
        let removed = guard.remove().await;
        let result = result?;
        removed.map(|()| result)
    }

    async fn attached(
        &self,
        name: &str,
        one_shot: &OneShot,
        cancel: &CancellationToken,
        line: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError> {
        let fail = |error| self.engine().fail(one_shot.action(), error);
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let body = self.one_shot_body(one_shot).await?;
        let client = self.engine().client();
        client
            .create_container(Some(options), body)
            .await
            .map_err(fail)?;
        // Before it starts, so that nothing it prints is missed.
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attached = self.engine().patient();
        let attached = attached.attach_container(name, Some(options)).await;
        let output = attached.map_err(fail)?.output;
        client
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(fail)?;
        let shown = show(output, line);
        tokio::select! {
            shown = shown => shown.map_err(fail)?,
            () = cancel.cancelled() => {
                self.engine().stop(name).await?;
                return Ok(None);
            }
        }
        tokio::select! {
            code = self.one_shot_code(name, one_shot) => code.map(Some),
            () = cancel.cancelled() => {
                self.engine().stop(name).await?;
                Ok(None)
            }
        }
    }
}

/// Gives each line of both streams to `line`, until both end.
async fn show(
    output: impl Stream<Item = Result<LogOutput, Error>>,
    line: &mut Line<'_>,
) -> Result<(), Error> {
    let (out, out_end) = duplex(WAITING);
    let (err, err_end) = duplex(WAITING);
    let mut lines = Streams::new(Some(out_end), Some(err_end));
    let shown = async {
        while let Some(text) = lines.next().await {
            line(&text).await;
        }
    };
    let (split, ()) = tokio::join!(split(output, out, err), shown);
    split
}

async fn split(
    output: impl Stream<Item = Result<LogOutput, Error>>,
    mut out: DuplexStream,
    mut err: DuplexStream,
) -> Result<(), Error> {
    let mut output = pin!(output);
    while let Some(frame) = output.next().await {
        let written = match frame? {
            LogOutput::StdErr { message } => err.write_all(&message).await,
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                out.write_all(&message).await
            }
            LogOutput::StdIn { .. } => Ok(()),
        };
        // The other ends are read until these are dropped.
        written?;
    }
    Ok(())
}
