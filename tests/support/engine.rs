//! The engine from the side: what it did, and a way to cut a run off from it.

use std::{
    collections::BTreeSet,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bollard::query_parameters::{
    EventsOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, WaitContainerOptions,
};
use futures_util::TryStreamExt;

use super::{Project, image::on_engine};

/// What the engine did to this project's things while `work` ran: `container create`, ….
pub fn events_of(project: &Project, work: impl FnOnce()) -> Vec<String> {
    let root = project.path().canonicalize().expect("the project's folder");
    let label = format!("dev.devenv.root={}", root.display());
    let since = engine_time();
    work();
    let until = engine_time();
    let found = Arc::new(Mutex::new(Vec::new()));
    let into = found.clone();
    on_engine(move |engine| async move {
        let filters = [("label", vec![label])].into_iter().collect();
        let options = EventsOptionsBuilder::default()
            .since(&since)
            .until(&until)
            .filters(&filters)
            .build();
        let events: Vec<_> = engine
            .events(Some(options))
            .map_ok(|event| {
                let kind = event.typ.map(|kind| kind.to_string()).unwrap_or_default();
                format!("{kind} {}", event.action.unwrap_or_default())
            })
            .try_collect()
            .await
            .expect("events");
        *into.lock().expect("no panic") = events;
    });
    let found = found.lock().expect("no panic");
    found.clone()
}

fn engine_time() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

/// A socket in front of the engine's that can be cut.
pub struct Proxy {
    dir: tempfile::TempDir,
    open: Arc<Mutex<Option<Vec<UnixStream>>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(dir.path().join("engine.sock")).expect("a socket");
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let streams = open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut streams = streams.lock().expect("no panic");
                let Some(streams) = streams.as_mut() else {
                    return;
                };
                let engine = UnixStream::connect(engine_socket()).expect("the engine");
                for (mut from, mut to) in [
                    (client.try_clone(), engine.try_clone()),
                    (engine.try_clone(), client.try_clone()),
                ]
                .map(|(a, b)| (a.expect("a socket"), b.expect("a socket")))
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
                streams.extend([client, engine]);
            }
        });
        Self { dir, open }
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine.sock").display())
    }

    /// All connections end, and none is taken any more.
    pub fn cut(&self) {
        let streams = self.open.lock().expect("no panic").take();
        for stream in streams.into_iter().flatten() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        let _ = std::fs::remove_file(self.dir.path().join("engine.sock"));
    }
}

fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock")
        .into()
}

/// Everything on the engine that carries this project's label or repository: `container …`, `network …`, `volume …`, `image …`.
pub fn things_of(project: &Project) -> BTreeSet<String> {
    let root = project.path().canonicalize().expect("the project's folder");
    let label = format!("dev.devenv.root={}", root.display());
    // Images are tags of a repository with the identity's name, which ends in the digest of the folder.
    let digest = devenv::plan::Digest::of(root.display().to_string());
    let id = format!("{digest:.8}");
    let found = Arc::new(Mutex::new(BTreeSet::new()));
    let into = found.clone();
    on_engine(move |engine| async move {
        let filters = [("label", vec![label])].into_iter().collect();
        let mut things = BTreeSet::new();
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let containers = engine.list_containers(Some(options)).await;
        for container in containers.expect("containers") {
            things.insert(format!("container {:?}", container.names));
        }
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        for network in engine.list_networks(Some(options)).await.expect("networks") {
            things.insert(format!("network {:?}", network.name));
        }
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = engine.list_volumes(Some(options)).await.expect("volumes");
        for volume in volumes.volumes.unwrap_or_default() {
            things.insert(format!("volume {}", volume.name));
        }
        let images = engine.list_images(None::<ListImagesOptions>).await;
        for image in images.expect("images") {
            let repository = image.labels.get("dev.devenv.repository");
            if image.repo_tags.is_empty() && repository.is_some_and(|name| name.contains(&id)) {
                things.insert(format!("image {}", image.id));
            }
            for tag in image.repo_tags {
                if tag.starts_with("devenv/") && tag.contains(&id) {
                    things.insert(format!("image {tag}"));
                }
            }
        }
        *into.lock().expect("no panic") = things;
    });
    let found = found.lock().expect("no panic");
    found.clone()
}

/// Until this container has exited.
pub fn wait_for_end(id: &str) {
    let id = id.to_owned();
    on_engine(move |engine| async move {
        let options = None::<WaitContainerOptions>;
        // An exit code other than 0 is an error here.
        let _ = engine.wait_container(&id, options).try_next().await;
    });
}
