//! Images: found on the engine, pulled, or built from Debian packages, a Dockerfile or a host-built artifact.
//!
//! Owns everything between a definition in the file and an image id on the engine, and the cache of built root file systems.
//! Runs no container but to read a file out of an image, and never starts one.

mod archive;
mod artifact;
mod bases;
mod choice;
mod context;
mod credentials;
mod debian;
mod dockerfile;
mod elf;
mod error;
mod failure;
mod glob;
mod libc;
mod obtain;
mod pull;
mod remove;
mod sources;
mod trace;

use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error as EngineError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use artifact::{Base, artifact_inputs, laid_files};
pub use bases::{BaseImage, Bases};
pub use choice::{Found, Place};
pub use debian::debian_inputs;
pub use dockerfile::{Builder, DockerfileBuild, context_files, dockerfile_inputs};
pub use error::{ImageError, PullFault, Tried};
pub use obtain::{Fit, How, Obtained, Want, definition_inputs};

use crate::{
    plan::{Digest, dockerfile::reference},
    sys::docker_host::{Address, Endpoint},
};

/// Label: the key of the definition an image was built from.
pub const KEY_LABEL: &str = "dev.devenv.key";
/// Label: how devenv built it.
pub const SOURCE_LABEL: &str = "dev.devenv.source";

/// Label: the tag an image was built for. It outlives the tag, and makes images of other tags other images: worktrees with the same
/// program share its layers but no image, so that none can remove another's.
pub const TAG_LABEL: &str = "dev.devenv.tag";

/// Label: the worktree that built an image, and for which tag. An image on top of it, of anybody, has the label too, but another tag.
pub const BUILDER_LABEL: &str = "dev.devenv.builder";

/// How long one request may stay without an answer: an engine reads a whole image before it says a word.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How devenv built an image: the value of [`SOURCE_LABEL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Debian,
    Dockerfile,
    Artifact,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Debian => "debian",
            Source::Dockerfile => "dockerfile",
            Source::Artifact => "artifact",
        }
    }
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInfo {
    /// The engine's id, `sha256:…`.
    pub id: String,
    /// The reference it was asked by.
    pub reference: String,
    /// `sha256:…` of the manifest, when it came from a registry or went to one.
    pub repo_digest: Option<String>,
    /// As Go names it: `amd64`.
    pub architecture: String,
    pub variant: Option<String>,
    pub os: String,
    /// `debian`, `dockerfile`, `artifact`; `registry` for a pulled one; `None` when nobody knows.
    pub origin: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Digests of the uncompressed layers, lowest first.
    pub layers: Vec<String>,
    /// The run configuration, keys as in the OCI image format (`User`, `Env`, `Entrypoint`, …), sorted.
    pub config: Value,
}

impl ImageInfo {
    /// The key of the definition it was built from, if devenv built it.
    pub fn key(&self) -> Option<Digest> {
        Digest::from_hex(self.labels.get(KEY_LABEL)?)
    }

    /// Whether the worktree of this id built it.
    pub fn is_built_by(&self, id: &str) -> bool {
        let tag = self.labels.get(TAG_LABEL);
        tag.is_some_and(|tag| self.labels.get(BUILDER_LABEL) == Some(&builder(id, tag)))
    }

    /// A variable of the image's environment.
    pub fn env(&self, name: &str) -> Option<&str> {
        let entries = self.config.get("Env")?.as_array()?;
        entries.iter().find_map(|entry| {
            let (key, value) = entry.as_str()?.split_once('=')?;
            (key == name).then_some(value)
        })
    }

    /// The user it runs as; `None` for root.
    pub fn user(&self) -> Option<&str> {
        let user = self.config.get("User")?.as_str()?;
        (!user.is_empty()).then_some(user)
    }
}

/// The value of [`BUILDER_LABEL`].
fn builder(id: &str, tag: &str) -> String {
    format!("{id} {tag}")
}

/// The images of one engine.
#[derive(Clone)]
pub struct Images {
    docker: Docker,
    cache: Option<PathBuf>,
    /// Never leave out layers the engine has.
    whole: bool,
}

impl Images {
    /// Opens no connection yet; fails only when the endpoint is a socket that does not exist.
    pub fn connect(endpoint: &Endpoint) -> Result<Self, ImageError> {
        let seconds = PATIENCE.as_secs();
        let docker = match &endpoint.address {
            Address::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            address @ Address::Tcp { .. } => {
                Docker::connect_with_http(&address.to_string(), seconds, API_DEFAULT_VERSION)
            }
        };
        let docker = docker.map_err(|error| ImageError::Connect {
            endpoint: endpoint.address.to_string(),
            cause: error::cause(&error),
        })?;
        Ok(Self::new(docker))
    }

    /// Over a connection that is there.
    pub fn new(docker: Docker) -> Self {
        Self {
            docker: docker.with_timeout(PATIENCE),
            cache: crate::sys::paths::cache_dir().map(|dir| dir.join("images")),
            whole: false,
        }
    }

    /// Keeps built root file systems in this folder instead of the user's cache.
    pub fn with_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self
    }

    /// Treats the engine as one that cannot load part of an image.
    pub fn with_whole_images(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The image as it is on the engine; `None` when it is not there.
    pub async fn inspect(&self, reference: &str) -> Result<Option<ImageInfo>, ImageError> {
        let image = match self.docker.inspect_image(reference).await {
            Ok(image) => image,
            Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(None),
            Err(error) => return Err(ImageError::engine("inspect an image", error)),
        };
        let config = image
            .config
            .map(|config| serde_json::to_value(config).expect("a map of strings serialises"))
            .unwrap_or_default();
        let labels = strings(config.get("Labels"));
        let repo_digest = reference::digest_of(reference, &image.repo_digests.unwrap_or_default());
        let origin = labels
            .get(SOURCE_LABEL)
            .cloned()
            .or_else(|| repo_digest.as_ref().map(|_| "registry".to_owned()));
        Ok(Some(ImageInfo {
            id: image.id.unwrap_or_default(),
            reference: reference.to_owned(),
            repo_digest,
            architecture: image.architecture.unwrap_or_default(),
            variant: image.variant.filter(|variant| !variant.is_empty()),
            os: image.os.unwrap_or_default(),
            origin,
            labels,
            layers: image
                .root_fs
                .and_then(|root| root.layers)
                .unwrap_or_default(),
            config: archive::sorted(config),
        }))
    }

    /// As [`Images::inspect`], after it was put there.
    async fn present(&self, reference: &str) -> Result<ImageInfo, ImageError> {
        self.inspect(reference)
            .await?
            .ok_or_else(|| ImageError::Vanished {
                reference: reference.to_owned(),
            })
    }
}

/// The future's value, unless the token is cancelled first.
async fn unless<T>(
    cancel: &CancellationToken,
    future: impl Future<Output = T>,
) -> Result<T, ImageError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ImageError::Cancelled),
        value = future => Ok(value),
    }
}

/// Blocking work that must not panic; a panic goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A JSON object of strings.
fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = value else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
