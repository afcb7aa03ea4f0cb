//! A program built on the host, laid on a base image as one layer: the same program on the same base is the same image.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    DockerfileBuild, ImageError, ImageInfo, Images, KEY_LABEL, SOURCE_LABEL, Source, TAG_LABEL,
    archive::{Entries, Entry, ImageTar, Layer, add_file, write_entries},
    blocking,
    context::{Context, Sent, hash_file, inside, lay, lay_all},
    elf::{self, Elf},
    unless,
};
use crate::{
    config::{Dockerfile, HostBuild},
    event::StepEvents,
    plan::Inputs,
};

/// Raised whenever the same artifact and base make another image.
const FORMAT: &str = "2";

/// Where the program goes.
const FOLDER: &str = "app";

/// What the image of a host build depends on, given the base it is laid on. Its key is the image's key label.
pub fn artifact_inputs(
    root: &Path,
    build: &HostBuild,
    base: &ImageInfo,
) -> Result<Inputs, ImageError> {
    let mut inputs = Inputs::default();
    inputs
        .text("format", FORMAT)
        .text("base", &base.id)
        .text("user", &build.user)
        .text("name", name_of(build))
        .content("artifact", hash_file(&artifact_path(root, build)?)?);
    for (path, from) in lay_all(root, &build.files)? {
        inputs.content(format!("files./{path}"), hash_file(&from)?);
    }
    Ok(inputs)
}

/// The files that are laid beside the artifact, relative to the project. Reads folders, not files. Blocks.
pub fn laid_files(root: &Path, build: &HostBuild) -> Result<Vec<String>, ImageError> {
    let files = lay_all(root, &build.files)?;
    let inside = |path: &PathBuf| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    Ok(files.values().map(inside).collect())
}

fn name_of(build: &HostBuild) -> String {
    let name = Path::new(&build.artifact).file_name();
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn artifact_path(root: &Path, build: &HostBuild) -> Result<PathBuf, ImageError> {
    let path = inside(root, &build.artifact)?;
    let shown = || PathBuf::from(&build.artifact);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImageError::NoArtifact { path: shown() });
        }
        Err(error) => return Err(ImageError::read(shown())(error)),
    };
    if !metadata.is_file() {
        return Err(ImageError::NoArtifact { path: shown() });
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(ImageError::NotExecutable { path: shown() });
    }
    Ok(path)
}

/// The base's configuration with what the program changes.
fn run_config(base: &Value, name: &str, user: &str, labels: &BTreeMap<String, String>) -> Value {
    let mut config = match base {
        Value::Object(map) => map.clone(),
        _ => serde_json::Map::new(),
    };
    let mut all = super::strings(config.get("Labels"));
    all.extend(labels.clone());
    config.insert("Entrypoint".into(), json!([format!("/{FOLDER}/{name}")]));
    config.insert("WorkingDir".into(), json!(format!("/{FOLDER}")));
    config.insert("User".into(), json!(user));
    config.insert("Labels".into(), json!(all));
    // The base's own command would become the program's arguments, its health check knows another program.
    config.remove("Cmd");
    config.remove("Healthcheck");
    Value::Object(config)
}

impl Images {
    /// Lays the artifact on its base, which must be on the engine, and tags the image.
    pub async fn artifact(
        &self,
        root: &Path,
        build: &HostBuild,
        base: Base<'_>,
        tag: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let base = ImageInfo {
            reference: base.tag.to_owned(),
            ..self.present(base.id).await?
        };
        let plan = prepare(root, build, &base, tag).await?;
        if let Some(elf) = &plan.elf {
            unless(cancel, self.check(build, &base, elf)).await??;
        }
        // The key holds the artifact and the base: the same key is the same image.
        let laid = self.inspect(tag).await?;
        let same = |image: &ImageInfo| image.labels.get(KEY_LABEL) == plan.labels.get(KEY_LABEL);
        if let Some(image) = laid.filter(same) {
            return Ok(image);
        }
        events.message(format!("Laying {} on {}", build.artifact, build.base));
        if !self
            .lay_by_load(&plan, &base, build, tag, events, cancel)
            .await?
        {
            self.lay_by_build(plan, &base, build, tag, events, cancel)
                .await?;
        }
        self.sweep(tag).await;
        self.present(tag).await
    }

    /// Sends the one new layer. False when the engine wants all of them.
    async fn lay_by_load(
        &self,
        plan: &Prepared,
        base: &ImageInfo,
        build: &HostBuild,
        tag: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<bool, ImageError> {
        if !self.knows_layers().await {
            return Ok(false);
        }
        match self.load(plan.tar(base, build, tag), events, cancel).await {
            Ok(()) => Ok(true),
            Err(ImageError::Engine { cause, .. }) => {
                events.log(format!("the engine cannot load a single layer: {cause}"));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The same image made by the engine's builder, for engines that cannot load part of one.
    async fn lay_by_build(
        &self,
        plan: Prepared,
        base: &ImageInfo,
        build: &HostBuild,
        tag: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<(), ImageError> {
        let name = &plan.name;
        let from = &base.reference;
        let text = format!(
            "FROM {from}\nCOPY root/ /\nWORKDIR /{FOLDER}\nUSER {}\nENTRYPOINT {}\nCMD []\nHEALTHCHECK NONE\n",
            build.user,
            json!([format!("/{FOLDER}/{name}")]),
        );
        let mut entries = BTreeMap::from([
            ("Dockerfile".to_owned(), Sent::Text(text.clone())),
            ("root".to_owned(), Sent::Folder),
        ]);
        for (path, entry) in plan.entries {
            let sent = match entry {
                Entry::Folder => Sent::Folder,
                Entry::File { from, mode } => Sent::File { from, mode },
            };
            entries.insert(format!("root/{path}"), sent);
        }
        let context = Context {
            entries,
            dockerfile: "Dockerfile".into(),
            text,
        };
        let definition = Dockerfile {
            path: "Dockerfile".into(),
            context: ".".into(),
            target: None,
            args: BTreeMap::new(),
        };
        let labels: HashMap<_, _> = plan.labels.into_iter().collect();
        self.build(
            &definition,
            context,
            &DockerfileBuild::tagged(tag),
            labels,
            events,
            cancel,
        )
        .await
    }

    /// Whether the program can run on the base.
    async fn check(
        &self,
        build: &HostBuild,
        base: &ImageInfo,
        elf: &Elf,
    ) -> Result<(), ImageError> {
        let (artifact, base_name) = (build.artifact.clone(), build.base.clone());
        if elf.machine.go_arch() != Some(base.architecture.as_str()) {
            return Err(ImageError::Architecture {
                artifact,
                base: base_name,
                has: elf.machine.name(),
                wants: base.architecture.clone(),
            });
        }
        let Some(interpreter) = &elf.interpreter else {
            return Ok(());
        };
        let libc = self.libc(base).await?;
        let missing = |musl| ImageError::Interpreter {
            artifact: build.artifact.clone(),
            base: build.base.clone(),
            interpreter: interpreter.clone(),
            musl,
        };
        if interpreter.contains("ld-musl") {
            return if libc.musl {
                Ok(())
            } else {
                Err(missing(false))
            };
        }
        let text = |(major, minor): elf::Version| format!("{major}.{minor}");
        match (libc.glibc, elf.glibc) {
            (None, _) => Err(missing(libc.musl)),
            (Some(has), Some(needs)) if needs > has => Err(ImageError::Glibc {
                artifact,
                base: base_name,
                needs: text(needs),
                has: text(has),
            }),
            _ => Ok(()),
        }
    }
}

/// The image an artifact is laid on.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    pub id: &'a str,
    /// By which a Dockerfile can name it.
    pub tag: &'a str,
}

/// Everything read from the project.
struct Prepared {
    name: String,
    entries: Entries,
    layer: Layer,
    labels: BTreeMap<String, String>,
    /// `None` for a script.
    elf: Option<Elf>,
}

impl Prepared {
    fn tar(&self, base: &ImageInfo, build: &HostBuild, tag: &str) -> ImageTar {
        let mut layers: Vec<_> = base
            .layers
            .iter()
            .map(|diff_id| (Layer::known(diff_id), "base"))
            .collect();
        layers.push((self.layer.clone(), "devenv: artifact"));
        ImageTar {
            architecture: base.architecture.clone(),
            variant: base.variant.clone(),
            os: base.os.clone(),
            config: run_config(&base.config, &self.name, &build.user, &self.labels),
            layers,
            tag: tag.to_owned(),
        }
    }
}

async fn prepare(
    root: &Path,
    build: &HostBuild,
    base: &ImageInfo,
    tag: &str,
) -> Result<Prepared, ImageError> {
    let (root, build, base, tag) = (root.to_owned(), build.clone(), base.clone(), tag.to_owned());
    blocking(move || {
        let path = artifact_path(&root, &build)?;
        let elf = elf::read_file(&path)?;
        let name = name_of(&build);
        let mut entries = Entries::new();
        lay(&root, &build.files, &mut entries)?;
        add_file(
            &mut entries,
            &format!("{FOLDER}/{name}"),
            path.clone(),
            0o755,
        );
        let laid = entries.clone();
        let layer = Layer::measure(move |out| write_entries(&laid, out));
        let key = artifact_inputs(&root, &build, &base)?.key();
        Ok(Prepared {
            name,
            entries,
            layer: layer.map_err(ImageError::read(path))?,
            labels: [
                (KEY_LABEL.to_owned(), key.to_hex()),
                (
                    SOURCE_LABEL.to_owned(),
                    Source::Artifact.as_str().to_owned(),
                ),
                (TAG_LABEL.to_owned(), tag),
            ]
            .into(),
            elf,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bases_configuration_stays_but_for_what_runs() {
        let base = json!({
            "Cmd": ["sh"], "Env": ["PATH=/bin"], "Healthcheck": { "Test": ["NONE"] },
            "Labels": { "a": "1" }, "User": "root",
        });
        let labels = [("b".to_owned(), "2".to_owned())].into();
        let config = run_config(&base, "hello", "65532:65532", &labels);
        assert_eq!(
            config,
            json!({
                "Entrypoint": ["/app/hello"], "Env": ["PATH=/bin"], "Labels": { "a": "1", "b": "2" },
                "User": "65532:65532", "WorkingDir": "/app",
            })
        );
    }
}
