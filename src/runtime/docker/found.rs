//! Who made what a folder has on the engine, from the labels alone.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListVolumesOptionsBuilder;

use super::{
    engine::Engine,
    label::{IDENTITY, PROJECT, ROOT},
};
use crate::{
    runtime::{Identity, RuntimeError},
    sys::docker_host::Endpoint,
};

/// What a worktree has on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub identity: Identity,
    pub containers: usize,
    pub volumes: usize,
}

/// What each worktree has, of all that use this engine.
pub async fn holdings(endpoint: &Endpoint) -> Result<Vec<Holding>, RuntimeError> {
    let engine = Engine::new(endpoint)?;
    engine.answers().await?;
    let filters = HashMap::from([("label".to_owned(), vec![ROOT.to_owned()])]);
    let options = ListVolumesOptionsBuilder::default()
        .filters(&filters)
        .build();
    let volumes = engine.client().list_volumes(Some(options)).await;
    let volumes = volumes.map_err(|error| engine.fail("list volumes", error))?;
    let containers = engine.containers(&filters).await?;
    let mut found = BTreeMap::new();
    for container in containers {
        if let Some(holding) = holding(&mut found, container.labels.unwrap_or_default()) {
            holding.containers += 1;
        }
    }
    for volume in volumes.volumes.unwrap_or_default() {
        if let Some(holding) = holding(&mut found, volume.labels) {
            holding.volumes += 1;
        }
    }
    Ok(found.into_values().collect())
}

fn holding(
    found: &mut BTreeMap<String, Holding>,
    labels: HashMap<String, String>,
) -> Option<&mut Holding> {
    let identity = identity(labels)?;
    let holding = found.entry(identity.id.clone());
    Some(holding.or_insert(Holding {
        identity,
        containers: 0,
        volumes: 0,
    }))
}

fn identity(mut labels: HashMap<String, String>) -> Option<Identity> {
    Some(Identity {
        id: labels.remove(IDENTITY)?,
        project: labels.remove(PROJECT)?,
        root: labels.remove(ROOT)?,
    })
}

/// The identity that containers, else volumes, of this folder have. `None` when there is neither.
pub async fn identity_at(
    endpoint: &Endpoint,
    root: &str,
) -> Result<Option<Identity>, RuntimeError> {
    let engine = Engine::new(endpoint)?;
    let filters = HashMap::from([("label".to_owned(), vec![format!("{ROOT}={root}")])]);
    let containers = engine.containers(&filters).await?;
    let mut labels = containers
        .into_iter()
        .find_map(|container| container.labels);
    if labels.is_none() {
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = engine.client().list_volumes(Some(options)).await;
        let volumes = volumes.map_err(|error| engine.fail("list volumes", error))?;
        let mut volumes = volumes.volumes.unwrap_or_default().into_iter();
        labels = volumes.next().map(|volume| volume.labels);
    }
    Ok(labels.and_then(identity))
}
