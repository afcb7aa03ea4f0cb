//! Puts files into a container that was created but never ran.
//!
//! Only then, so a kill in between needs no mark: what was never started gets its files again, whole.

use bollard::query_parameters::UploadToContainerOptionsBuilder;

use super::{Docker, archive};
use crate::{
    config::StepId,
    runtime::{RuntimeError, SpecFile},
    sys::chunks::produced,
};

impl Docker {
    pub(super) async fn put_files(
        &self,
        step: &StepId,
        container: &str,
        files: &[SpecFile],
    ) -> Result<(), RuntimeError> {
        if files.is_empty() {
            return Ok(());
        }
        let files = files.to_vec();
        let packed = produced(move |out| archive::files(&files, out));
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        self.engine()
            .patient()
            .upload_to_container(container, Some(options), bollard::body_try_stream(packed))
            .await
            .map_err(|error| {
                let action = format!("put files into the container of `{step}`");
                self.engine().fail(action, error)
            })
    }
}
