//! The bare engine API as a side: what the engine itself needs for the same containers.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    errors::Error::DockerResponseServerError,
    models::{ContainerCreateBody, HostConfig, NetworkCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::Error;

const PARALLEL: usize = 16;

const REMOVALS: u32 = 40;
const BETWEEN: Duration = Duration::from_millis(50);

/// Makes a network and starts this many containers on it, names `<name>-<n>`.
pub async fn start(name: &str, image: &str, count: usize) -> Result<Duration, Error> {
    let started = Instant::now();
    let docker = connect().await?;
    let network = NetworkCreateRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    docker.create_network(network).await?;
    stream::iter(0..count)
        .map(|at| start_one(&docker, name, image, at))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    Ok(started.elapsed())
}

async fn start_one(docker: &Docker, name: &str, image: &str, at: usize) -> Result<(), Error> {
    let container = format!("{name}-{at}");
    let options = CreateContainerOptionsBuilder::default()
        .name(&container)
        .build();
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some(name.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    docker.create_container(Some(options), body).await?;
    docker.start_container(&container, None).await?;
    Ok(())
}

/// Removes the containers that [`start`] made under this name, and the network, unless the engine has lost count of its endpoints
/// and keeps it.
pub async fn remove(name: &str) -> Result<(), Error> {
    let docker = connect().await?;
    let filters = HashMap::from([("name", vec![format!("^/{name}-")])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let containers = docker.list_containers(Some(options)).await?;
    stream::iter(containers.into_iter().filter_map(|container| container.id))
        .map(async |id| {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            docker.remove_container(&id, Some(options)).await
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    for _ in 0..REMOVALS {
        match docker.remove_network(name).await {
            Err(DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(()),
            // The engine detaches a removed container a little later.
            Err(DockerResponseServerError {
                status_code: 403 | 409,
                ..
            }) => tokio::time::sleep(BETWEEN).await,
            result => return Ok(result?),
        }
    }
    eprintln!("warning: the engine keeps the empty network `{name}` until it is restarted");
    Ok(())
}

async fn connect() -> Result<Docker, Error> {
    Ok(Docker::connect_with_defaults()?.negotiate_version().await?)
}
