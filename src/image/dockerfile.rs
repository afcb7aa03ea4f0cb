//! Images built by the engine from a Dockerfile: BuildKit where the engine has it, the classic builder elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    ImageError, ImageInfo, Images, KEY_LABEL, SOURCE_LABEL, Source, TAG_LABEL,
    bases::{self, Bases},
    blocking,
    context::{Context, Sent, hash_file},
    error::cause,
    failure::{Texts, explain},
    trace::Trace,
    unless,
};
use crate::{
    config::Dockerfile,
    event::StepEvents,
    plan::{Digest, Inputs},
    sys::{chunks::produced, paths::plain},
};

/// Which builder of the engine builds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Builder {
    /// BuildKit where the engine has it.
    #[default]
    Auto,
    BuildKit,
    Classic,
}

/// What a build is to give.
#[derive(Debug, Clone, Default)]
pub struct DockerfileBuild {
    pub tag: String,
    /// Resolved build arguments.
    pub args: BTreeMap<String, String>,
    /// Images of the file that the Dockerfile may name.
    pub bases: Bases,
    /// Labels beside devenv's own.
    pub labels: BTreeMap<String, String>,
    pub builder: Builder,
}

impl DockerfileBuild {
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            ..Self::default()
        }
    }
}

/// The files a build reads, relative to the project: those of the context that are sent, and the Dockerfile wherever it is.
/// Reads the folder, not the files. Blocks.
pub fn context_files(root: &Path, dockerfile: &Dockerfile) -> Result<Vec<String>, ImageError> {
    let context = Context::read(root, dockerfile)?;
    let folder = Path::new(&dockerfile.context);
    let files = context.entries.iter();
    Ok(files
        .filter(|(_, sent)| !matches!(sent, Sent::Folder))
        .map(|(name, _)| match *name == context.dockerfile {
            true => dockerfile.path.clone(),
            false => plain(folder.join(name)).display().to_string(),
        })
        .collect())
}

/// What a build depends on, field by field. Its key is the image's key label. Values of arguments are only digests.
pub fn dockerfile_inputs(
    root: &Path,
    dockerfile: &Dockerfile,
    args: &BTreeMap<String, String>,
    bases: &Bases,
) -> Result<Inputs, ImageError> {
    inputs_of(&Context::read(root, dockerfile)?, dockerfile, args, bases)
}

fn inputs_of(
    context: &Context,
    dockerfile: &Dockerfile,
    args: &BTreeMap<String, String>,
    bases: &Bases,
) -> Result<Inputs, ImageError> {
    let mut inputs = Inputs::default();
    for (reference, base) in bases::used(&context.text, args, bases) {
        inputs.content(format!("image.{reference}"), Digest::of(&base.id));
    }
    inputs.text("dockerfile", &context.dockerfile);
    if let Some(target) = &dockerfile.target {
        inputs.text("target", target);
    }
    for (name, value) in args {
        inputs.content(format!("args.{name}"), Digest::of(value));
    }
    for (path, sent) in &context.entries {
        let field = format!("file.{path}");
        match sent {
            Sent::Folder => inputs.text(format!("{field}/"), "folder"),
            Sent::Link { target } => inputs.text(field, format!("→ {}", target.display())),
            Sent::File { from, .. } => inputs.content(field, hash_file(from)?),
            Sent::Text(text) => inputs.content(field, Digest::of(text)),
        };
    }
    Ok(inputs)
}

impl Images {
    /// Builds and tags the image.
    pub async fn dockerfile(
        &self,
        root: &Path,
        dockerfile: &Dockerfile,
        build: DockerfileBuild,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        events.message("Reading the build context");
        let (owned, def, args) = (root.to_owned(), dockerfile.clone(), build.args.clone());
        let bases = build.bases.clone();
        let (mut context, key) = blocking(move || {
            let context = Context::read(&owned, &def)?;
            let key = inputs_of(&context, &def, &args, &bases)?.key();
            Ok((context, key))
        })
        .await?;
        let renamed = bases::rename(&context.text, &build.args, &build.bases);
        if renamed != context.text {
            context.replace_dockerfile(renamed);
        }
        let mut labels: HashMap<_, _> = build.labels.clone().into_iter().collect();
        labels.insert(SOURCE_LABEL.into(), Source::Dockerfile.as_str().into());
        labels.insert(KEY_LABEL.into(), key.to_hex());
        labels.insert(TAG_LABEL.into(), build.tag.clone());
        self.build(dockerfile, context, &build, labels, events, cancel)
            .await?;
        self.sweep(&build.tag).await;
        self.present(&build.tag).await
    }

    pub(super) async fn build(
        &self,
        dockerfile: &Dockerfile,
        context: Context,
        build: &DockerfileBuild,
        labels: HashMap<String, String>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<(), ImageError> {
        let buildkit = match build.builder {
            Builder::Auto => self.has_buildkit().await,
            Builder::BuildKit => true,
            Builder::Classic => false,
        };
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&context.dockerfile)
            .t(&build.tag)
            .rm(true)
            .forcerm(true)
            .target(dockerfile.target.as_deref().unwrap_or_default())
            .buildargs(&build.args.clone().into_iter().collect())
            .labels(&labels);
        if buildkit {
            options = options
                .version(BuilderVersion::BuilderBuildKit)
                .session(&session());
        }
        let texts = Texts {
            written: context.text.clone(),
            sent: context.sent_dockerfile().to_owned(),
        };
        let body = bollard::body_try_stream(produced(move |out| context.write(out)));
        let mut stream = self.docker.build_image(options.build(), None, Some(body));
        let mut trace = Trace::new(events);
        while let Some(info) = unless(cancel, stream.next()).await? {
            match info {
                Ok(info) => {
                    trace.apply(info);
                    unless(cancel, events.room()).await?;
                }
                Err(error) => {
                    let failure = trace.fail(cause(&error));
                    return Err(explain(dockerfile, &texts, &build.args, failure));
                }
            }
        }
        Ok(())
    }

    /// Engines have had BuildKit since API 1.39; Podman speaks a newer API but builds by itself.
    async fn has_buildkit(&self) -> bool {
        let Ok(version) = self.docker.version().await else {
            return false;
        };
        let numbers = version.api_version.unwrap_or_default();
        let minor = numbers
            .split_once('.')
            .and_then(|(_, minor)| minor.parse().ok());
        let podman = json!(version.components).to_string().contains("Podman");
        !podman && minor.unwrap_or(0) >= 39 && version.os.as_deref() == Some("linux")
    }
}

/// A name for the connection over which BuildKit asks back, unlike any other at the engine.
fn session() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = jiff::Timestamp::now().as_nanosecond();
    format!("devenv-{}-{count}-{time}", std::process::id())
}
