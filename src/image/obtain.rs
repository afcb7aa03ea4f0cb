//! How a reference becomes an image: on the engine, pulled, built as the file says, else one error that names all that was tried.

use std::{collections::BTreeMap, path::Path};

use tokio_util::sync::CancellationToken;

use super::{
    BUILDER_LABEL, Bases, DockerfileBuild, Found, ImageError, ImageInfo, Images, Place, Tried,
    blocking, builder, debian::lock, debian_inputs, dockerfile_inputs, pull::Silence,
};
use crate::{
    config::Image,
    event::StepEvents,
    plan::{Digest, Inputs},
    sys::fs::Lock,
};

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// The project's folder.
    pub root: &'a Path,
    pub reference: &'a str,
    /// The tag of this worktree's own, for when another's definition has the reference.
    pub own_tag: &'a str,
    /// The id of this worktree.
    pub builder: &'a str,
    /// The digest devenv.lock has for it.
    pub pinned: Option<&'a str>,
    /// Its `[image.*]` table.
    pub definition: Option<&'a Image>,
    /// Resolved build arguments of a definition by Dockerfile.
    pub args: &'a BTreeMap<String, String>,
    /// Images of the file that its Dockerfile may name.
    pub bases: &'a Bases,
}

/// An image and how it came to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Obtained {
    pub image: ImageInfo,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was there, perhaps since another run built it just now.
    Found,
    Pulled,
    Built,
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
    bases: &Bases,
) -> Result<Option<Inputs>, ImageError> {
    if let Some(debian) = &image.debian {
        return debian_inputs(root, debian).map(Some);
    }
    match &image.dockerfile {
        Some(dockerfile) => dockerfile_inputs(root, dockerfile, args, bases).map(Some),
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
    ) -> Result<Obtained, ImageError> {
        let key = definition_key(want).await?;
        let lock = match key {
            Some(_) => Some(self.lock_reference(want.reference, events, cancel).await?),
            None => None,
        };
        let mut tried = Vec::new();
        match self.find(want, key.as_ref()).await? {
            Found::Fits(image) => {
                return Ok(Obtained {
                    image: *image,
                    how: How::Found,
                });
            }
            // It was built because nothing else had it: build it again.
            Found::Changed {
                place: Place::Reference,
                ..
            } => {
                return self
                    .define(want, Place::Reference, &key, events, cancel)
                    .await;
            }
            Found::Changed {
                place: Place::Own, ..
            }
            | Found::Taken => {
                // Nobody else has this tag.
                drop(lock);
                return self.define(want, Place::Own, &key, events, cancel).await;
            }
            Found::Nothing => tried.push(("on the engine", "not there".to_owned())),
            Found::OtherDigest(has) => tried.push((
                "on the engine",
                format!("has {has}, devenv.lock wants another"),
            )),
        }
        let silence = match key {
            Some(_) => Silence::Short,
            None => Silence::Engine,
        };
        let pulled = self.pull_within(want.reference, want.pinned, silence, events, cancel);
        match pulled.await {
            Ok(image) => {
                return Ok(Obtained {
                    image,
                    how: How::Pulled,
                });
            }
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
            match self
                .define(want, Place::Reference, &key, events, cancel)
                .await
            {
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

    /// Held while it is seen who has the reference and an image is built for it: of two at once one comes first.
    async fn lock_reference(
        &self,
        reference: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<Lock, ImageError> {
        // Some share a lock, so that references that are no more leave no file each.
        let name = format!("reference-{:.2}.lock", Digest::of(reference));
        lock(&self.cache_dir().join(name), events, cancel).await
    }

    /// Builds it as its table says.
    async fn define(
        &self,
        want: Want<'_>,
        place: Place,
        key: &Option<Digest>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<Obtained, ImageError> {
        let how = How::Built;
        if place == Place::Reference {
            let image = self.build_for(want.reference, want, events, cancel).await?;
            // Another user's run, which holds another lock, may have come first after all.
            if image.key() == *key {
                return Ok(Obtained { image, how });
            }
        }
        let image = self.build_for(want.own_tag, want, events, cancel).await?;
        Ok(Obtained { image, how })
    }

    async fn build_for(
        &self,
        tag: &str,
        want: Want<'_>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let image = want
            .definition
            .expect("only called with a key, which comes from the definition");
        let labels = [(BUILDER_LABEL.to_owned(), builder(want.builder, tag))].into();
        match &image.dockerfile {
            Some(dockerfile) if image.debian.is_none() => {
                let build = DockerfileBuild {
                    args: want.args.clone(),
                    bases: want.bases.clone(),
                    labels,
                    ..DockerfileBuild::tagged(tag)
                };
                self.dockerfile(want.root, dockerfile, build, events, cancel)
                    .await
            }
            _ => {
                let tagged = Image {
                    reference: tag.to_owned(),
                    ..image.clone()
                };
                self.debian(want.root, &tagged, labels, events, cancel)
                    .await
            }
        }
    }
}

async fn definition_key(want: Want<'_>) -> Result<Option<Digest>, ImageError> {
    let Some(image) = want.definition.cloned() else {
        return Ok(None);
    };
    let (root, args) = (want.root.to_owned(), want.args.clone());
    let bases = want.bases.clone();
    let inputs = blocking(move || definition_inputs(&root, &image, &args, &bases)).await?;
    Ok(inputs.map(|inputs| inputs.key()))
}

#[cfg(test)]
pub(super) mod testing {
    use super::ImageInfo;
    use crate::{image::KEY_LABEL, plan::Digest};

    pub fn image(key: Option<&str>, digest: Option<&str>) -> ImageInfo {
        ImageInfo {
            id: "sha256:0".into(),
            reference: "x:1".into(),
            repo_digest: digest.map(Into::into),
            architecture: "amd64".into(),
            variant: None,
            os: "linux".into(),
            origin: None,
            labels: key
                .map(|key| (KEY_LABEL.to_owned(), Digest::of(key).to_hex()))
                .into_iter()
                .collect(),
            layers: Vec::new(),
            config: serde_json::Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::image, *};

    #[test]
    fn only_a_known_difference_is_a_misfit() {
        let key = Digest::of("k");
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
