//! One worktree on a runtime, with something to run. What it made is removed when it is dropped.

use std::{collections::HashMap, time::Duration};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use devenv::{
    config::{PortRange, Restart, StepId},
    plan::Inputs,
    runtime::{
        AnyRuntime, Identity, Instance, LogLine, LogOptions, Runtime, RuntimeError, Spec, SpecFile,
        SpecMount, SpecPort, Started, docker::Docker, process::Process,
    },
    sys::docker_host::Endpoint,
};
use futures_util::{StreamExt, TryStreamExt};

use crate::support::image::{BusyboxImage, on_engine, unique};

pub struct World {
    pub runtime: AnyRuntime,
    pub identity: Identity,
    pub kind: Kind,
}

/// Where it is.
pub enum Kind {
    Docker(BusyboxImage),
    /// Holds the worktree's folder.
    Process(#[allow(dead_code)] tempfile::TempDir),
}

impl World {
    /// On the container engine of this machine.
    pub fn docker() -> Self {
        let endpoint = Endpoint::find().expect("a container engine");
        Self::on(&endpoint)
    }

    /// Plain processes of this machine.
    pub fn process() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-process-")
            .tempdir()
            .expect("a folder");
        let identity = Identity {
            project: "devenv-test".into(),
            root: dir.path().display().to_string(),
            id: format!("devenv-test-{}", unique()),
        };
        Self {
            runtime: processes(&identity),
            identity,
            kind: Kind::Process(dir),
        }
    }

    /// The image, for cases that are about images.
    pub fn image(&self) -> &str {
        match &self.kind {
            Kind::Docker(image) => &image.reference,
            Kind::Process(_) => panic!("this case is for containers"),
        }
    }

    pub fn on(endpoint: &Endpoint) -> Self {
        let id = format!("devenv-test-{}", unique());
        Self::with(
            endpoint,
            Identity {
                project: "devenv-test".into(),
                root: format!("/tmp/{id}"),
                id,
            },
        )
    }

    /// The same folder after its project got another name.
    pub fn renamed(&self, project: &str) -> Self {
        let identity = Identity {
            project: project.into(),
            id: format!("devenv-test-{}", unique()),
            root: self.identity.root.clone(),
        };
        Self::with(&Endpoint::find().expect("a container engine"), identity)
    }

    fn with(endpoint: &Endpoint, identity: Identity) -> Self {
        let docker = Docker::connect(endpoint, identity.clone()).expect("a container engine");
        Self {
            runtime: AnyRuntime::Docker(docker),
            identity,
            kind: Kind::Docker(BusyboxImage::import()),
        }
    }

    /// The same worktree as another process of devenv sees it.
    pub fn other_process(&self) -> AnyRuntime {
        if let Kind::Process(_) = self.kind {
            return processes(&self.identity);
        }
        let endpoint = Endpoint::find().expect("a container engine");
        let docker = Docker::connect(&endpoint, self.identity.clone()).expect("an engine");
        AnyRuntime::Docker(docker)
    }

    /// The worktree is another folder, from now on.
    pub fn move_to(&mut self, folder: &std::path::Path) {
        self.identity.root = folder.display().to_string();
        self.runtime = processes(&self.identity);
    }

    /// Another worktree on the same runtime.
    pub fn neighbour(&self) -> Self {
        match self.kind {
            Kind::Docker(_) => Self::docker(),
            Kind::Process(_) => Self::process(),
        }
    }

    /// What runs this shell script. A port `http` is `${PORT_HTTP:-80}`.
    pub fn script(&self, step: &str, script: &str) -> Spec {
        self.spec(step, &["sh", "-c", script])
    }

    pub fn spec(&self, step: &str, argv: &[&str]) -> Spec {
        let mut inputs = Inputs::default();
        inputs.text("command", argv.join(" "));
        Spec {
            step: id(step),
            image: match &self.kind {
                Kind::Docker(image) => image.reference.clone(),
                Kind::Process(_) => String::new(),
            },
            entrypoint: None,
            command: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
            env: Default::default(),
            ports: Vec::new(),
            mounts: Vec::new(),
            files: Vec::new(),
            tmpfs: Default::default(),
            user: None,
            workdir: None,
            restart: Restart::No,
            stop_signal: Some("SIGKILL".into()),
            stop_grace: Duration::from_secs(5),
            aliases: Vec::new(),
            inputs,
        }
    }

    pub async fn start(&self, spec: &Spec) -> Started {
        let started = self.runtime.start(spec).await;
        started.unwrap_or_else(|error| panic!("start: {error}: {error:?}"))
    }

    pub async fn instance(&self, step: &str) -> Option<Instance> {
        let listing = self.runtime.list().await.expect("a listing");
        let mut instances = listing.instances.into_iter();
        instances.find(|instance| instance.step == id(step))
    }

    pub async fn logs(&self, step: &str, options: LogOptions) -> Vec<String> {
        let lines = self.runtime.logs(&id(step), options);
        let lines: Result<Vec<LogLine>, RuntimeError> = lines.try_collect().await;
        lines
            .expect("logs")
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    /// Its first lines, once it has written so many.
    pub async fn lines(&self, step: &str, count: usize) -> Vec<String> {
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let lines = self.runtime.logs(&id(step), options).take(count);
        let lines: Result<Vec<LogLine>, RuntimeError> = lines.try_collect().await;
        let lines = lines.expect("logs").into_iter();
        lines.map(|line| line.text).collect()
    }

    /// What a shell script in a running container prints, and its exit code.
    pub async fn sh(&self, step: &str, script: &str) -> (i64, String) {
        let exec = devenv::runtime::Exec {
            argv: ["sh", "-c", script].map(str::to_owned).into(),
            ..Default::default()
        };
        let (stdio, output) = devenv::sys::terminal::Stdio::capture();
        let code = self
            .runtime
            .exec(&id(step), exec, stdio)
            .await
            .expect("exec");
        (code, output.text().trim().to_owned())
    }
}

fn processes(identity: &Identity) -> AnyRuntime {
    let program = env!("CARGO_BIN_EXE_devenv").into();
    AnyRuntime::Process(Box::new(Process::new(identity.clone(), program)))
}

/// Ends all processes of the worktree.
fn end_all(identity: &Identity) {
    let runtime = processes(identity);
    let ended = std::thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        tokio.block_on(async {
            for instance in runtime.list().await.unwrap_or_default().instances {
                let _ = runtime.remove(&instance.step).await;
            }
            let _ = runtime.clean().await;
        });
    });
    let _ = ended.join();
}

impl Drop for World {
    fn drop(&mut self) {
        if let Kind::Process(_) = self.kind {
            return end_all(&self.identity);
        }
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![format!("dev.devenv.identity={}", self.identity.id)],
        )]);
        on_engine(move |engine| async move {
            let options = ListContainersOptionsBuilder::default()
                .all(true)
                .filters(&filters)
                .build();
            let force = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            for container in engine
                .list_containers(Some(options))
                .await
                .unwrap_or_default()
            {
                let id = container.id.unwrap_or_default();
                let _ = engine.remove_container(&id, Some(force.clone())).await;
            }
            let options = ListVolumesOptionsBuilder::default()
                .filters(&filters)
                .build();
            let volumes = engine.list_volumes(Some(options)).await.unwrap_or_default();
            let force = RemoveVolumeOptionsBuilder::default().force(true).build();
            for volume in volumes.volumes.unwrap_or_default() {
                let _ = engine
                    .remove_volume(&volume.name, Some(force.clone()))
                    .await;
            }
            let options = ListNetworksOptionsBuilder::default()
                .filters(&filters)
                .build();
            for network in engine
                .list_networks(Some(options))
                .await
                .unwrap_or_default()
            {
                let id = network.id.unwrap_or_default();
                // An engine detaches a removed container a little later.
                for _ in 0..100 {
                    if engine.remove_network(&id).await.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
}

pub fn id(step: &str) -> StepId {
    step.parse().expect("a step id")
}

pub fn port(name: &str, container: u16, wanted: &[u16], range: (u16, u16)) -> SpecPort {
    SpecPort {
        name: name.into(),
        container,
        wanted: wanted.to_vec(),
        others: Default::default(),
        range: PortRange {
            first: range.0,
            last: range.1,
        },
    }
}

pub fn volume(name: &str, target: &str) -> SpecMount {
    SpecMount::Volume {
        name: name.into(),
        target: target.into(),
    }
}

pub fn file(path: &str, mode: u32, content: &str) -> SpecFile {
    SpecFile {
        path: path.into(),
        mode,
        packed: zstd::encode_all(content.as_bytes(), 3)
            .expect("compressed in memory")
            .into(),
        size: content.len() as u64,
    }
}

/// Ports of this machine that nothing listens on now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
