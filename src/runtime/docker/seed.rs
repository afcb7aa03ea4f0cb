//! Puts a prepared folder into a new volume, so that a kill at any moment is found by the next run.
//!
//! The volume itself says how far it is: a mark file is written as pending before the first file and as done after
//! the last, through a container that is created but not started. A container starts only on a done mark, so what is
//! behind a pending mark was never used and may be thrown away. A volume with content and no mark is somebody's data:
//! it is used as it is, never seeded.

use std::{io, path::Path};

use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::{StreamExt, pin_mut};

use super::{
    Docker,
    archive::{self, MARK, Mark},
    engine::status,
    volume::VolumeState,
};
use crate::{
    config::StepId,
    runtime::{RuntimeError, Seed},
    sys::chunks::produced,
};

/// Enough of a folder's archive to see whether anything is in it.
const GLANCE: usize = 64 * 1024;

/// Whether a container may be started on its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Ready,
    /// Half a seed is in it: the volume has to be made anew.
    HalfSeeded,
}

impl Docker {
    /// Makes the volume at `target` of a created container ready for its first start.
    pub(super) async fn settle_volume(
        &self,
        step: &StepId,
        container: &str,
        target: &str,
        state: VolumeState,
        seed: Option<&Seed>,
    ) -> Result<Settled, RuntimeError> {
        if state != VolumeState::New {
            match self.mark(container, target).await? {
                Some(Mark::Done) => return Ok(Settled::Ready),
                Some(Mark::Pending) => return Ok(Settled::HalfSeeded),
                None => {}
            }
            if seed.is_none() || self.has_content(container, target).await? {
                return Ok(Settled::Ready);
            }
        }
        if let Some(seed) = seed {
            self.put_seed(step, container, target, seed).await?;
        }
        Ok(Settled::Ready)
    }

    async fn put_seed(
        &self,
        step: &StepId,
        container: &str,
        target: &str,
        seed: &Seed,
    ) -> Result<(), RuntimeError> {
        let action = || format!("put the prepared data into the volume of `{step}`");
        let path = Path::new(target);
        let (Some(parent), Some(folder)) = (path.parent(), path.file_name()) else {
            return Err(RuntimeError::Engine {
                action: action(),
                cause: format!("`{target}` is no folder that a volume can be mounted on"),
            });
        };
        let folder = folder.to_string_lossy().into_owned();
        let bytes = seed.archive.clone();
        let packed = produced(move |out| {
            let inside = zstd::stream::read::Decoder::with_buffer(&bytes[..])?;
            archive::seed(inside, &folder, out)
        });
        let options = UploadToContainerOptionsBuilder::default()
            .path(&parent.to_string_lossy())
            .build();
        self.engine()
            .patient()
            .upload_to_container(container, Some(options), bollard::body_try_stream(packed))
            .await
            .map_err(|error| self.engine().fail(action(), error))
    }

    /// What the mark file in a volume says; `None` when there is none.
    async fn mark(&self, container: &str, target: &str) -> Result<Option<Mark>, RuntimeError> {
        let path = format!("{}/{MARK}", target.trim_end_matches('/'));
        match self.beginning(container, &path).await? {
            Some(bytes) => archive::read_mark(&bytes).map_err(|source| unreadable(&path, source)),
            None => Ok(None),
        }
    }

    async fn has_content(&self, container: &str, target: &str) -> Result<bool, RuntimeError> {
        let beginning = self.beginning(container, target).await?;
        Ok(beginning.is_some_and(|bytes| archive::shows_content(&bytes)))
    }

    /// The beginning of the archive of a path in a container; `None` when there is no such path.
    async fn beginning(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, RuntimeError> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let chunks = self
            .engine()
            .client()
            .download_from_container(container, Some(options));
        pin_mut!(chunks);
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) if status(&error) == Some(404) => return Ok(None),
                Err(error) => {
                    return Err(self.engine().fail(format!("read `{path}`"), error));
                }
            }
            if bytes.len() >= GLANCE {
                break;
            }
        }
        Ok(Some(bytes))
    }
}

fn unreadable(folder: &str, source: io::Error) -> RuntimeError {
    RuntimeError::Archive {
        folder: folder.to_owned(),
        source,
    }
}
