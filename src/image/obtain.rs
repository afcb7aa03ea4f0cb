//! How a reference becomes an image: on the engine, pulled, built as the file says, else one error that names all that was tried.

use std::{collections::BTreeMap, path::Path};

use tokio_util::sync::CancellationToken;

use super::{
    DockerfileBuild, ImageError, ImageInfo, Images, Tried, blocking, debian_inputs,
    dockerfile_inputs, pull::Silence,
};
use crate::{
    config::Image,
    event::StepEvents,
    plan::{Digest, Inputs},
};

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// The project's folder.
    pub root: &'a Path,
    pub reference: &'a str,
    /// The digest devenv.lock has for it.
    pub pinned: Option<&'a str>,
    /// Its `[image.*]` table.
    pub definition: Option<&'a Image>,
    /// Resolved build arguments of a definition by Dockerfile.
    pub args: &'a BTreeMap<String, String>,
}

/// Whether an image on the engine is the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    Yes,
    /// devenv built it from a definition that has changed since.
    OtherDefinition,
    /// It was pulled with this digest, devenv.lock wants another.
    OtherDigest(String),
}

impl ImageInfo {
    /// Compares with the key of the definition as it is now, and with the pinned digest.
    /// An image devenv did not build, or whose definition is gone, is taken as it is.
    pub fn fit(&self, key: Option<&Digest>, pinned: Option<&str>) -> Fit {
        match (self.key(), key, &self.repo_digest, pinned) {
            (Some(built), Some(wanted), _, _) if built != *wanted => Fit::OtherDefinition,
            (None, _, Some(has), Some(pinned)) if has != pinned => Fit::OtherDigest(has.clone()),
            _ => Fit::Yes,
        }
    }
}

/// What an image's definition depends on, field by field; its key is the image's key label.
/// `None` when it is only pulled. Reads files: call it on a blocking thread.
pub fn definition_inputs(
    root: &Path,
    image: &Image,
    args: &BTreeMap<String, String>,
) -> Result<Option<Inputs>, ImageError> {
    if let Some(debian) = &image.debian {
        return debian_inputs(root, debian).map(Some);
    }
    match &image.dockerfile {
        Some(dockerfile) => dockerfile_inputs(root, dockerfile, args).map(Some),
        None => Ok(None),
    }
}

impl Images {
    /// The image, from the first place that has it.
    pub async fn obtain(
        &self,
        want: Want<'_>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let key = definition_key(want).await?;
        let mut tried = Vec::new();
        match self.inspect(want.reference).await? {
            None => tried.push(("on the engine", "not there".to_owned())),
            Some(image) => match image.fit(key.as_ref(), want.pinned) {
                Fit::Yes => return Ok(image),
                // It was built because nothing else had it: build it again.
                Fit::OtherDefinition => return self.define(want, events, cancel).await,
                Fit::OtherDigest(has) => tried.push((
                    "on the engine",
                    format!("has {has}, devenv.lock wants another"),
                )),
            },
        }
        let silence = match key {
            Some(_) => Silence::Short,
            None => Silence::Engine,
        };
        let pulled = self.pull_within(want.reference, want.pinned, silence, events, cancel);
        match pulled.await {
            Ok(image) => return Ok(image),
            Err(ImageError::Pull { fault, cause, .. }) => {
                // Without another way to have it, the failure itself says so.
                if key.is_some() {
                    events.log(format!("cannot pull {}: {fault}: {cause}", want.reference));
                }
                tried.push(("pulled", format!("{fault}: {cause}")));
            }
            Err(error) => return Err(error),
        }
        if key.is_some() {
            match self.define(want, events, cancel).await {
                Err(ImageError::NoMmdebstrap) => tried.push((
                    "built from Debian packages",
                    "`mmdebstrap` is not installed: run `apt-get install mmdebstrap`".to_owned(),
                )),
                done => return done,
            }
        } else {
            tried.push((
                "built",
                format!("no `[image.…]` table has `ref = \"{}\"`", want.reference),
            ));
        }
        Err(ImageError::Unobtainable {
            reference: want.reference.to_owned(),
            tried: tried
                .into_iter()
                .map(|(what, why)| Tried {
                    what: what.to_owned(),
                    why,
                })
                .collect(),
        })
    }

    /// Builds it as its table says.
    async fn define(
        &self,
        want: Want<'_>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let image = want
            .definition
            .expect("only called with a key, which comes from the definition");
        match &image.dockerfile {
            Some(dockerfile) if image.debian.is_none() => {
                let build = DockerfileBuild {
                    args: want.args.clone(),
                    ..DockerfileBuild::tagged(want.reference)
                };
                self.dockerfile(want.root, dockerfile, build, events, cancel)
                    .await
            }
            _ => self.debian(want.root, image, events, cancel).await,
        }
    }
}

async fn definition_key(want: Want<'_>) -> Result<Option<Digest>, ImageError> {
    let Some(image) = want.definition.cloned() else {
        return Ok(None);
    };
    let (root, args) = (want.root.to_owned(), want.args.clone());
    let inputs = blocking(move || definition_inputs(&root, &image, &args)).await?;
    Ok(inputs.map(|inputs| inputs.key()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::KEY_LABEL;

    fn image(key: Option<&str>, digest: Option<&str>) -> ImageInfo {
        ImageInfo {
            id: "sha256:0".into(),
            reference: "x:1".into(),
            repo_digest: digest.map(Into::into),
            architecture: "amd64".into(),
            variant: None,
            os: "linux".into(),
            origin: None,
            labels: key
                .map(|key| (KEY_LABEL.to_owned(), key.to_owned()))
                .into_iter()
                .collect(),
            layers: Vec::new(),
            config: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_a_known_difference_is_a_misfit() {
        let key = Digest("k".into());
        let fit = |image: ImageInfo, pinned| image.fit(Some(&key), pinned);
        assert_eq!(fit(image(Some("k"), None), None), Fit::Yes);
        assert_eq!(fit(image(Some("old"), None), None), Fit::OtherDefinition);
        // The user's own image, and a definition that is gone.
        assert_eq!(fit(image(None, None), Some("sha256:1")), Fit::Yes);
        assert_eq!(image(Some("old"), None).fit(None, None), Fit::Yes);
        assert_eq!(
            fit(image(None, Some("sha256:2")), Some("sha256:1")),
            Fit::OtherDigest("sha256:2".into())
        );
        // Built here though the lock has a digest from elsewhere.
        assert_eq!(fit(image(Some("k"), None), Some("sha256:1")), Fit::Yes);
    }
}
