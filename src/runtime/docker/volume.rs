//! Named volumes of the worktree. Only volumes with this worktree's label are ever used or removed.

use std::collections::HashMap;

use bollard::{
    models::VolumeCreateRequest,
    query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions},
};

use super::{Docker, engine::status, label};
use crate::runtime::RuntimeError;

/// What was found when a volume was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeState {
    /// Made now: nothing can be in it.
    New,
    Old,
}

impl Docker {
    /// Makes the volume unless it is there.
    pub(super) async fn ensure_volume(&self, short: &str) -> Result<VolumeState, RuntimeError> {
        let name = label::volume_name(&self.identity().id, short);
        let action = || format!("create volume `{name}`");
        match self.engine().client().inspect_volume(&name).await {
            Ok(volume) if !self.labels().are_on(Some(&volume.labels)) => {
                return Err(RuntimeError::Foreign {
                    what: "volume",
                    name,
                });
            }
            Ok(_) => return Ok(VolumeState::Old),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(self.engine().fail(action(), error)),
        }
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(self.labels().with([])),
            ..VolumeCreateRequest::default()
        };
        let created = self.engine().client().create_volume(request).await;
        created.map_err(|error| self.engine().fail(action(), error))?;
        Ok(VolumeState::New)
    }

    pub(super) async fn own_volumes(&self) -> Result<Vec<String>, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), vec![self.labels().identity_filter()])]);
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = self.engine().client().list_volumes(Some(options)).await;
        let volumes = volumes.map_err(|error| self.engine().fail("list volumes", error))?;
        let prefix = label::volume_name(&self.identity().id, "");
        let mut names: Vec<_> = volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|volume| Some(volume.name.strip_prefix(&prefix)?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn remove_own_volume(&self, short: &str) -> Result<(), RuntimeError> {
        let name = label::volume_name(&self.identity().id, short);
        let action = || format!("remove volume `{name}`");
        match self.engine().client().inspect_volume(&name).await {
            Ok(volume) if self.labels().are_on(Some(&volume.labels)) => {}
            Ok(_) => {
                return Err(RuntimeError::Foreign {
                    what: "volume",
                    name,
                });
            }
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(self.engine().fail(action(), error)),
        }
        let removed = self
            .engine()
            .client()
            .remove_volume(&name, None::<RemoveVolumeOptions>)
            .await;
        self.engine().tolerate(removed, &[404], action)
    }
}
