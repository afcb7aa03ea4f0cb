//! Who made what a folder has on the engine, from the labels alone.

use std::collections::HashMap;

use bollard::query_parameters::ListVolumesOptionsBuilder;

use super::{
    engine::Engine,
    label::{IDENTITY, PROJECT, ROOT},
};
use crate::{
    runtime::{Identity, RuntimeError},
    sys::docker_host::Endpoint,
};

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
    Ok(labels.and_then(|mut labels| {
        Some(Identity {
            id: labels.remove(IDENTITY)?,
            project: labels.remove(PROJECT)?,
            root: root.to_owned(),
        })
    }))
}
