//! Containers that run one command, give what they made, and are removed, also when nobody waits for them any more.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bollard::{
    errors::Error,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder,
        StartContainerOptions, WaitContainerOptions,
    },
};
use futures_util::{StreamExt, pin_mut};

use super::{
    Docker, archive,
    container::{environment, mounts},
    engine::Force,
    label::{self, ONE_SHOT},
};
use crate::{
    runtime::{OneShot, OneShotNetwork, OneShotResult, RuntimeError},
    sys::mark::Owner,
};

/// Output that is kept; a command that writes more has said enough.
const OUTPUT_LIMIT: usize = 1 << 20;

/// Seconds that a cancelled one may take to obey SIGTERM: as long as a command on this machine.
const STOP_GRACE: i64 = 5;

/// How long the removal may take when the wait was given up.
const REMOVAL: Duration = Duration::from_secs(10);

/// Tells apart the one-shots of this process.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Docker {
    pub(super) async fn run_once(&self, one_shot: OneShot) -> Result<OneShotResult, RuntimeError> {
        self.sweep_one_shots().await?;
        let (name, guard) = self.new_one_shot();
        let result = self.run_named(&name, one_shot).await;
        let removed = guard.remove().await;
        let result = result?;
        removed.map(|()| result)
    }

    /// A name that no other has, and what removes the container of that name.
    pub(super) fn new_one_shot(&self) -> (String, RemoveOnDrop<'_>) {
        let name = format!(
            "{}-once-{}-{}",
            self.identity().id,
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let guard = RemoveOnDrop {
            docker: self,
            name: Some(name.clone()),
        };
        (name, guard)
    }

    async fn run_named(
        &self,
        name: &str,
        one_shot: OneShot,
    ) -> Result<OneShotResult, RuntimeError> {
        let fail = |error| self.engine().fail(one_shot.action(), error);
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let client = self.engine().client();
        let body = self.one_shot_body(&one_shot).await?;
        client
            .create_container(Some(options), body)
            .await
            .map_err(fail)?;
        client
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(fail)?;
        let code = self.one_shot_code(name, &one_shot).await?;
        let output = self.one_shot_output(name).await.map_err(fail)?;
        let archive = match &one_shot.fetch {
            Some(folder) if code == 0 => Some(self.fetch(name, folder).await?),
            _ => None,
        };
        Ok(OneShotResult {
            code,
            output,
            archive,
        })
    }

    /// How it ended, once it has.
    pub(super) async fn one_shot_code(
        &self,
        name: &str,
        one_shot: &OneShot,
    ) -> Result<i64, RuntimeError> {
        let patient = self.engine().patient();
        let wait = patient.wait_container(name, None::<WaitContainerOptions>);
        pin_mut!(wait);
        match wait.next().await {
            Some(Ok(response)) => Ok(response.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(self.engine().fail(one_shot.action(), error)),
            None => {
                let cause = "the connection ended before the container did";
                Err(self.engine().gone(one_shot.action(), cause))
            }
        }
    }

    pub(super) async fn one_shot_body(
        &self,
        one_shot: &OneShot,
    ) -> Result<ContainerCreateBody, RuntimeError> {
        let owner = (ONE_SHOT, Owner::this().to_string());
        let (program, arguments) = match one_shot.argv.split_first() {
            Some((program, arguments)) => (Some(vec![program.clone()]), Some(arguments.to_vec())),
            None => (None, None),
        };
        let network = match one_shot.network {
            OneShotNetwork::None => Some("none".to_owned()),
            OneShotNetwork::Engine => None,
            OneShotNetwork::Project => Some(self.network().await?),
        };
        Ok(ContainerCreateBody {
            image: Some(one_shot.image.clone()),
            // The command itself, not what the image would make of it.
            entrypoint: program,
            cmd: arguments,
            env: Some(environment(&one_shot.env)),
            user: one_shot.user.clone(),
            working_dir: one_shot.workdir.clone(),
            labels: Some(self.labels().with([owner])),
            stop_timeout: Some(STOP_GRACE),
            host_config: Some(HostConfig {
                network_mode: network,
                mounts: Some(mounts(&one_shot.mounts, &self.identity().id)),
                init: Some(true),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        })
    }

    async fn one_shot_output(&self, name: &str) -> Result<String, Error> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .build();
        let frames = self.engine().client().logs(name, Some(options));
        pin_mut!(frames);
        let mut output = Vec::new();
        while let Some(frame) = frames.next().await {
            if output.len() < OUTPUT_LIMIT {
                output.extend_from_slice(&frame?.into_bytes());
            }
        }
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    async fn fetch(&self, name: &str, folder: &str) -> Result<Vec<u8>, RuntimeError> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(folder)
            .build();
        let client = self.engine().client();
        let chunks = client.download_from_container(name, Some(options));
        pin_mut!(chunks);
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|error| self.engine().fail(format!("read `{folder}`"), error))?;
            bytes.extend_from_slice(&chunk);
        }
        tokio::task::spawn_blocking(move || archive::inside(&bytes))
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|source| RuntimeError::Archive {
                folder: folder.to_owned(),
                source,
            })
    }

    /// Removes one-shots whose devenv was killed.
    pub(super) async fn sweep_one_shots(&self) -> Result<(), RuntimeError> {
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![self.labels().identity_filter(), ONE_SHOT.to_owned()],
        )]);
        for container in self.engine().containers(&filters).await? {
            let owner = label::get(&container, ONE_SHOT).and_then(Owner::parse);
            if owner.is_none_or(|owner| owner.has_ended()) {
                let id = container.id.unwrap_or_default();
                self.engine().remove(&id, Force::Yes).await?;
            }
        }
        Ok(())
    }
}

/// Removes the container when the future that runs it is dropped before its end.
pub(super) struct RemoveOnDrop<'a> {
    docker: &'a Docker,
    name: Option<String>,
}

impl RemoveOnDrop<'_> {
    pub(super) async fn remove(mut self) -> Result<(), RuntimeError> {
        let name = self.name.clone().expect("taken only here and on drop");
        let removed = self.docker.engine().remove(&name, Force::Yes).await;
        self.name = None;
        removed
    }
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let docker = self.docker.clone();
        // A thread and a runtime of its own: this one may be on its way out, and must not leave before.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let removal = docker.engine().remove(&name, Force::Yes);
                    // What cannot be removed now is swept by the next one-shot, or by `clean`.
                    let _ = tokio::time::timeout(REMOVAL, removal).await;
                });
            }
        });
        let _ = removal.join();
    }
}
