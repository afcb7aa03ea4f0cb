//! What goes wrong outside of devenv: kills, strangers' things, an engine that goes away.

use std::{collections::HashMap, path::PathBuf};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, NetworkingConfig, VolumeCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
        ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    },
};
use devenv::{
    event::{Explain, FaultClass},
    runtime::{AnyRuntime, Identity, LogOptions, Runtime, RuntimeError, docker},
    sys::docker_host::{Address, Endpoint},
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::world::{World, id};
use crate::support::image::on_engine;

fn engine() -> Docker {
    Docker::connect_with_defaults().expect("a container engine")
}

fn of_identity(identity: &str) -> HashMap<String, Vec<String>> {
    let label = format!("dev.devenv.identity={identity}");
    HashMap::from([("label".to_owned(), vec![label])])
}

/// The container as a run leaves it that was killed between creating and starting it.
pub async fn make_created_again(name: &str) {
    let engine = engine();
    let old = engine
        .inspect_container(name, None)
        .await
        .expect("a container");
    let config = old.config.expect("its config");
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    engine
        .remove_container(name, Some(force))
        .await
        .expect("removed");
    let networks = old.network_settings.and_then(|settings| settings.networks);
    // Podman tells every such mode as `bridge`, so the network is named by its endpoint.
    let networks = networks.unwrap_or_default();
    let (network, endpoint) = networks.into_iter().next().expect("a network");
    let host_config = HostConfig {
        network_mode: Some(network.clone()),
        ..old.host_config.expect("its host config")
    };
    let body = ContainerCreateBody {
        image: config.image,
        cmd: config.cmd,
        entrypoint: config.entrypoint,
        env: config.env,
        labels: config.labels,
        host_config: Some(host_config),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                network,
                bollard::models::EndpointSettings {
                    aliases: endpoint.aliases,
                    ..Default::default()
                },
            )])),
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    engine
        .create_container(Some(options), body)
        .await
        .expect("created");
}

pub async fn pause(name: &str) {
    engine().pause_container(name).await.expect("paused");
}

pub async fn kill(name: &str) {
    engine().kill_container(name, None).await.expect("killed");
}

pub async fn networks(identity: &str) -> usize {
    let options = ListNetworksOptionsBuilder::default()
        .filters(&of_identity(identity))
        .build();
    engine()
        .list_networks(Some(options))
        .await
        .expect("a listing")
        .len()
}

pub async fn containers(identity: &str) -> usize {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&of_identity(identity))
        .build();
    engine()
        .list_containers(Some(options))
        .await
        .expect("a listing")
        .len()
}

/// Resolves when the engine reports this of a container of the identity.
pub async fn event(identity: &str, action: &str) {
    let mut filters = of_identity(identity);
    filters.insert("event".into(), vec![action.to_owned()]);
    let options = EventsOptionsBuilder::default()
        .since("1")
        .filters(&filters)
        .build();
    let engine = engine();
    let mut events = Box::pin(engine.events(Some(options)));
    events
        .next()
        .await
        .expect("events go on")
        .expect("an event");
}

/// A container or volume that somebody else made; removed when dropped.
pub struct Foreign {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Container,
    Volume,
}

pub async fn foreign_container(name: &str, image: &str) -> Foreign {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        ..Default::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    engine()
        .create_container(Some(options), body)
        .await
        .expect("created");
    Foreign {
        name: name.to_owned(),
        kind: Kind::Container,
    }
}

pub async fn foreign_volume(name: &str) -> Foreign {
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    engine().create_volume(request).await.expect("created");
    Foreign {
        name: name.to_owned(),
        kind: Kind::Volume,
    }
}

impl Foreign {
    pub async fn exists(&self) -> bool {
        match self.kind {
            Kind::Container => engine().inspect_container(&self.name, None).await.is_ok(),
            Kind::Volume => engine().inspect_volume(&self.name).await.is_ok(),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let (name, kind) = (self.name.clone(), self.kind);
        on_engine(move |engine| async move {
            let _ = match kind {
                Kind::Container => {
                    let force = RemoveContainerOptionsBuilder::default().force(true).build();
                    engine.remove_container(&name, Some(force)).await
                }
                Kind::Volume => {
                    engine
                        .remove_volume(&name, None::<RemoveVolumeOptions>)
                        .await
                }
            };
        });
    }
}

/// A socket before the engine's that can be cut.
struct Cable {
    dir: tempfile::TempDir,
    cut: CancellationToken,
}

impl Cable {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cut = CancellationToken::new();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).expect("a socket");
        let Address::Unix(real) = Endpoint::find().expect("an engine").address else {
            panic!("these tests need the engine on a unix socket");
        };
        tokio::spawn(
            cut.clone()
                .run_until_cancelled_owned(accept(listener, real, cut.clone())),
        );
        Self { dir, cut }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: Address::Unix(self.dir.path().join("engine.sock")),
            origin: "the test".into(),
            tried: vec!["`elsewhere`: does not exist".into()],
        }
    }
}

async fn accept(listener: UnixListener, real: PathBuf, cut: CancellationToken) {
    while let Ok((mut near, _)) = listener.accept().await {
        let real = real.clone();
        tokio::spawn(cut.clone().run_until_cancelled_owned(async move {
            let mut far = UnixStream::connect(real).await.expect("the engine");
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_away_is_said_so() {
    let world = World::docker();
    let cable = Cable::new();
    let docker = docker::Docker::connect(&cable.endpoint(), world.identity.clone()).unwrap();
    let runtime = AnyRuntime::Docker(docker);
    let spec = world.script("app.hello", "echo up; sleep 1000");
    runtime.start(&spec).await.unwrap();

    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = runtime.logs(&spec.step, follow);
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "up");
    let step = id("app.hello");
    let exited = runtime.exited(&step);
    let (exited, line, ()) = tokio::join!(exited, lines.next(), async {
        tokio::task::yield_now().await;
        cable.cut.cancel();
    });
    let error = exited.unwrap_err();
    assert!(
        matches!(
            error,
            RuntimeError::Gone { .. } | RuntimeError::Connect { .. }
        ),
        "{error:?}"
    );
    assert_eq!(error.explain().class, FaultClass::Environment);
    assert!(line.is_none_or(|line| line.is_err()));
    // The socket file is there, and nobody listens on it: once the task that did has been dropped.
    while UnixStream::connect(cable.dir.path().join("engine.sock"))
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    let error = runtime.list().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Connect { .. }), "{error:?}");
    assert!(
        error
            .explain()
            .notes
            .iter()
            .any(|note| note.contains("refused")),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_absent_engine_names_all_that_was_tried() {
    let endpoint = Endpoint {
        address: Address::Unix("/no/such/docker.sock".into()),
        origin: "the socket".into(),
        tried: vec!["`DOCKER_HOST`: not set".into()],
    };
    let identity = Identity {
        project: "p".into(),
        id: "p-1".into(),
        root: "/p".into(),
    };
    let Err(error) = docker::Docker::connect(&endpoint, identity) else {
        panic!("there is no such socket");
    };
    let fault = error.explain();
    assert_eq!(
        fault.message,
        "no container engine answers at `unix:///no/such/docker.sock`"
    );
    expect_test::expect![[r#"
        [
            "`/no/such/docker.sock` does not exist (named by the socket)",
            "tried `DOCKER_HOST`: not set",
        ]
    "#]]
    .assert_debug_eq(&fault.notes);
    assert_eq!(fault.class, FaultClass::Environment);
    assert!(fault.help.unwrap().contains("DOCKER_HOST"));
}

#[tokio::test]
async fn the_engine_says_what_it_is() {
    let identity = Identity {
        project: "p".into(),
        id: "p-1".into(),
        root: "/p".into(),
    };
    let docker = docker::Docker::connect(&Endpoint::find().unwrap(), identity).unwrap();
    docker.answers().await.unwrap();
    let info = docker.info().await.unwrap();
    assert!(info.name.ends_with("Engine"), "{info:?}");
    assert!(!info.version.is_empty() && !info.storage.is_empty() && !info.api.is_empty());
}

#[tokio::test]
async fn an_image_that_was_removed_is_said_so() {
    let world = World::docker();
    let mut spec = world.script("app.hello", "exec sleep 1000");
    spec.image = format!("sha256:{}", "0".repeat(64));
    let error = world.runtime.start(&spec).await.unwrap_err();
    let fault = error.explain();
    assert_eq!(
        fault.message,
        "the image of `app.hello` is not on the engine"
    );
    assert_eq!(fault.class, FaultClass::Environment);
    assert!(fault.help.unwrap().contains("`devenv up` gets it again"));
}
