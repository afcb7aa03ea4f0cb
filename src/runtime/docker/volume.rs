//! Named volumes of the worktree. Only volumes with this worktree's label are ever used or removed.

use std::collections::HashMap;

use bollard::{
    models::{Volume, VolumeCreateRequest},
    query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions},
};

use super::{
    Docker,
    engine::status,
    label::{self, IDENTITY},
};
use crate::runtime::{FormerVolume, RuntimeError};

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

    /// Volumes of this folder that have one of these short names under another identity. Asks only when a volume was made.
    pub(super) async fn former_volumes(
        &self,
        new: &[String],
    ) -> Result<Vec<FormerVolume>, RuntimeError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let volumes = self.labelled_volumes(self.labels().root_filter()).await?;
        let former = |volume: Volume| {
            let identity = volume.labels.get(IDENTITY)?.clone();
            let mut names = new.iter().map(|short| label::volume_name(&identity, short));
            let is_former = !self.labels().are_on(Some(&volume.labels))
                && names.any(|name| name == volume.name);
            is_former.then_some(FormerVolume {
                name: volume.name,
                identity,
            })
        };
        Ok(volumes.into_iter().filter_map(former).collect())
    }

    async fn labelled_volumes(&self, label: String) -> Result<Vec<Volume>, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        self.engine().answers().await?;
        let volumes = self.engine().client().list_volumes(Some(options)).await;
        let volumes = volumes.map_err(|error| self.engine().fail("list volumes", error))?;
        Ok(volumes.volumes.unwrap_or_default())
    }

    pub(super) async fn own_volumes(&self) -> Result<Vec<String>, RuntimeError> {
        let own = self.labels().identity_filter();
        let volumes = self.labelled_volumes(own).await?;
        let prefix = label::volume_name(&self.identity().id, "");
        let mut names: Vec<_> = volumes
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
