//! Root file systems of Debian packages: mmdebstrap makes one, the cache keeps it, a configuration makes it an image.
//!
//! The package set alone decides the cached layer; extra files and the configuration are laid on when it is loaded.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    ImageError, ImageInfo, Images, KEY_LABEL, SOURCE_LABEL, Source, TAG_LABEL,
    archive::{Entries, ImageTar, Layer, Meter, write_entries},
    blocking,
    context::{hash_file, lay, lay_all},
    sources::Machine,
};
use crate::{
    config::{Debian, Image},
    event::StepEvents,
    plan::{Digest, Inputs},
    sys::{
        fs::{Lock, TryLock, write_atomic},
        process::{ProcessError, Spawn, terminate_with_argument},
    },
};

/// Raised whenever the same definition makes another image.
const FORMAT: &str = "1";

/// The search path when the definition names none; what Debian's own images have.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// 2020-01-01: file times in the image. Not zero, which some programs take for "unset".
const SOURCE_DATE_EPOCH: &str = "1577836800";

/// How often a lock held by another run is tried again.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Lines of mmdebstrap's output in the error.
const TAIL: usize = 12;

/// Not wanted in a container, as in Debian's own slim images; copyright files stay.
const EXCLUDE: [&str; 7] = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/groff/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "force-unsafe-io",
];

/// What tells two builds or two machines apart, keys that all containers would share, and for `extract` what dpkg did not leave out.
const CLEAN: &str = r#"set -eu
cd "$1"
rm -rf etc/hostname etc/resolv.conf etc/machine-id var/lib/dbus/machine-id etc/ssh/ssh_host_* \
    etc/ssl/private/ssl-cert-snakeoil.key etc/ssl/certs/ssl-cert-snakeoil.pem var/lib/systemd/random-seed \
    var/cache/ldconfig/aux-cache var/cache/debconf/*-old var/lib/dpkg/*-old etc/passwd- etc/group- etc/shadow- etc/gshadow- \
    usr/share/man/* usr/share/info/* usr/share/groff/* usr/share/lintian/*
if test -d var/log; then find var/log -type f -delete; fi
if test -d usr/share/doc; then find usr/share/doc -type f ! -name copyright -delete; fi
"#;

/// The database cluster that Debian's package makes by itself is never used here: 40 MB and some seconds.
const NO_CLUSTER: &str = r#"mkdir -p "$1/etc/postgresql-common/createcluster.d" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.d/devenv.conf""#;

/// What a definition by packages depends on. Its key is the image's key label.
pub fn debian_inputs(root: &Path, debian: &Debian) -> Result<Inputs, ImageError> {
    let mut inputs = rootfs_inputs(debian);
    for (path, from) in lay_all(root, &debian.files)? {
        inputs.content(format!("files./{path}"), hash_file(&from)?);
    }
    let mut text = |field: &str, value: &Option<String>| {
        if let Some(value) = value {
            inputs.text(field, value);
        }
    };
    text("user", &debian.user);
    text("workdir", &debian.workdir);
    if !debian.entrypoint.is_empty() {
        inputs.text("entrypoint", json!(debian.entrypoint).to_string());
    }
    if !debian.command.is_empty() {
        inputs.text("command", json!(debian.command).to_string());
    }
    for (name, value) in &debian.env {
        inputs.text(format!("env.{name}"), value);
    }
    Ok(inputs)
}

/// What the layer of packages depends on.
fn rootfs_inputs(debian: &Debian) -> Inputs {
    let mut packages = debian.packages.clone();
    packages.sort();
    packages.dedup();
    let mut inputs = Inputs::default();
    inputs
        .text("format", FORMAT)
        .text("arch", std::env::consts::ARCH)
        .text("suite", &debian.suite)
        .text("variant", &debian.variant)
        .text("packages", packages.join(" "));
    inputs
}

fn run_config(debian: &Debian, key: &Digest, tag: &str, labels: BTreeMap<String, String>) -> Value {
    let mut env = debian.env.clone();
    env.entry("PATH".into()).or_insert_with(|| PATH.into());
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut config = json!({
        "Env": env,
        "Labels": { KEY_LABEL: key, SOURCE_LABEL: Source::Debian.as_str(), TAG_LABEL: tag },
    });
    for (name, value) in labels {
        config["Labels"][name] = json!(value);
    }
    let mut set = |name: &str, value: Value| {
        config[name] = value;
    };
    if let Some(user) = &debian.user {
        set("User", json!(user));
    }
    if let Some(workdir) = &debian.workdir {
        set("WorkingDir", json!(workdir));
    }
    if !debian.entrypoint.is_empty() {
        set("Entrypoint", json!(debian.entrypoint));
    }
    if !debian.command.is_empty() {
        set("Cmd", json!(debian.command));
    }
    config
}

/// What the cache knows of a compressed root file system, written after it.
#[derive(Serialize, Deserialize)]
struct Stored {
    diff_id: String,
    size: u64,
}

impl Images {
    /// Builds the image from its packages, or from the cache, and tags it. It gets these labels beside devenv's own.
    pub async fn debian(
        &self,
        root: &Path,
        image: &Image,
        labels: BTreeMap<String, String>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let Some(debian) = image.debian.clone() else {
            return Err(ImageError::NotDefined {
                reference: image.reference.clone(),
            });
        };
        let base = self.rootfs(&debian, events, cancel).await?;
        let owned = root.to_owned();
        let (key, files, debian) = blocking(move || {
            let key = debian_inputs(&owned, &debian)?.key();
            let files = files_layer(&owned, &debian)?;
            Ok((key, files, debian))
        })
        .await?;
        let base = self.known(&image.reference, base).await?;
        let mut layers = vec![(base, "mmdebstrap")];
        layers.extend(files.map(|layer| (layer, "devenv: files")));
        let tar = ImageTar {
            architecture: go_arch(std::env::consts::ARCH).to_owned(),
            variant: None,
            os: "linux".to_owned(),
            config: run_config(&debian, &key, &image.reference, labels),
            layers,
            tag: image.reference.clone(),
        };
        self.load(tar, events, cancel).await?;
        self.sweep(&image.reference).await;
        self.present(&image.reference).await
    }

    /// The layer, not to be sent when the image that has the tag now is made of it.
    async fn known(&self, reference: &str, layer: Layer) -> Result<Layer, ImageError> {
        let old = self.inspect(reference).await?;
        let same = old.is_some_and(|old| old.layers.first() == Some(&layer.diff_id));
        Ok(if same && self.knows_layers().await {
            Layer::known(&layer.diff_id)
        } else {
            layer
        })
    }

    /// The layer of packages, from the cache or made now. Two at once make it once.
    async fn rootfs(
        &self,
        debian: &Debian,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<Layer, ImageError> {
        let key = rootfs_inputs(debian).key();
        let dir = self.cache_dir();
        let archive = dir.join(format!("{key}.tar.zst"));
        let facts = dir.join(format!("{key}.json"));
        if let Some(layer) = cached(&archive, &facts) {
            events.log(format!("root file system {} is cached", key.short()));
            return Ok(layer);
        }
        let _lock = lock(&dir.join(format!("{key}.lock")), events, cancel).await?;
        if let Some(layer) = cached(&archive, &facts) {
            return Ok(layer);
        }
        let raw = Raw(dir.join(format!("{key}.building")));
        bootstrap(debian, &raw.0, events, cancel).await?;
        events.message("Caching the root file system");
        let (to, facts_path) = (archive.clone(), facts.clone());
        blocking(move || store(&raw.0, &to, &facts_path).map_err(ImageError::cache(to))).await?;
        cached(&archive, &facts).ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            ImageError::cache(archive)(gone)
        })
    }

    pub(super) fn cache_dir(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| {
            // No home: still shared between runs of this user.
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("devenv-images-{user}"))
        })
    }
}

/// mmdebstrap's own output, removed however the build ends.
struct Raw(PathBuf);

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn cached(archive: &Path, facts: &Path) -> Option<Layer> {
    let stored: Stored = serde_json::from_slice(&fs::read(facts).ok()?).ok()?;
    archive.exists().then_some(())?;
    let archive = archive.to_owned();
    let write = move |out: &mut dyn Write| {
        let mut zst = zstd::Decoder::new(File::open(&archive)?)?;
        io::copy(&mut zst, out).map(drop)
    };
    Some(Layer::stored(stored.diff_id, stored.size, write))
}

/// Compresses the tar into the cache; the facts come last and say that it is whole.
fn store(raw: &Path, archive: &Path, facts: &Path) -> io::Result<()> {
    let dir = archive.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new()
        .prefix(".devenv-")
        .tempfile_in(dir)?;
    let mut zst = zstd::Encoder::new(temp.as_file_mut(), 1)?;
    let mut meter = Meter::default();
    let mut raw = File::open(raw)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = raw.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        meter.write_all(&buffer[..read])?;
        zst.write_all(&buffer[..read])?;
    }
    zst.finish()?;
    temp.persist(archive).map_err(|error| error.error)?;
    let (diff_id, size) = meter.finish();
    let stored = serde_json::to_vec(&Stored { diff_id, size }).expect("two plain fields");
    write_atomic(facts, &stored)
}

/// Waits for a lock that another run of this user may hold.
pub(super) async fn lock(
    path: &Path,
    events: &StepEvents,
    cancel: &CancellationToken,
) -> Result<Lock, ImageError> {
    let holder = format!("pid {}", std::process::id());
    let mut waiting = false;
    loop {
        match Lock::try_acquire(path, &holder).map_err(ImageError::cache(path))? {
            TryLock::Locked(lock) => return Ok(lock),
            TryLock::Held { holder } => {
                if !waiting {
                    events.message(format!("Waiting for the build by {holder}"));
                }
                waiting = true;
            }
        }
        super::unless(cancel, tokio::time::sleep(LOCK_POLL)).await?;
    }
}

/// Runs mmdebstrap into the tar at `to`.
async fn bootstrap(
    debian: &Debian,
    to: &Path,
    events: &StepEvents,
    cancel: &CancellationToken,
) -> Result<(), ImageError> {
    let work = Work::new(to, cancel).await?;
    let mut spawn = Spawn::new(arguments(debian, &to.to_string_lossy()));
    spawn.env = [
        ("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH.into()),
        ("TMPDIR", work.0.clone().into_os_string()),
        ("LC_ALL", "C.UTF-8".into()),
        ("DEBIAN_FRONTEND", "noninteractive".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    events.message(format!("Building {} from packages", debian.suite));
    let mut tail = Vec::new();
    let finished = spawn
        .run(cancel, |line| {
            let told = events.output(line);
            if let Some(stage) = stage(line) {
                events.message(stage);
            }
            if tells(line) {
                tail.push(line.to_owned());
            }
            told
        })
        .await;
    clear(&work.0).await;
    match finished {
        Ok(finished) if finished.status.success() => Ok(()),
        Ok(_) => Err(ImageError::Debian {
            suite: debian.suite.clone(),
            tail: tail.split_off(tail.len().saturating_sub(TAIL)),
        }),
        Err(ProcessError::Cancelled { .. }) => Err(ImageError::Cancelled),
        Err(ProcessError::Spawn { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(ImageError::NoMmdebstrap)
        }
        Err(error) => Err(ImageError::Process(error)),
    }
}

fn arguments(debian: &Debian, to: &str) -> Vec<String> {
    let mut args = vec![
        "mmdebstrap".to_owned(),
        "--verbose".to_owned(),
        "--format=tar".to_owned(),
        // Not every engine may make device nodes, and containers get their own /dev.
        "--skip=output/dev,output/mknod".to_owned(),
        format!("--variant={}", debian.variant),
        "--aptopt=Acquire::Languages \"none\"".to_owned(),
    ];
    args.extend(EXCLUDE.map(|option| format!("--dpkgopt={option}")));
    if !debian.packages.is_empty() {
        args.push(format!("--include={}", debian.packages.join(",")));
    }
    if debian
        .packages
        .iter()
        .any(|name| name.starts_with("postgresql"))
    {
        args.push(format!("--setup-hook={NO_CLUSTER}"));
    }
    args.push(format!("--customize-hook={CLEAN}"));
    args.extend(["--".to_owned(), debian.suite.clone(), to.to_owned()]);
    args.extend(Machine::read().mirrors(&debian.suite));
    args
}

/// mmdebstrap's stage lines: `I: downloading packages with apt...`.
fn stage(line: &str) -> Option<String> {
    let stage = line.strip_prefix("I: ")?.strip_suffix("...")?;
    (!stage.contains('/')).then(|| stage.to_owned())
}

/// Lines that say why, not what was being done.
fn tells(line: &str) -> bool {
    ![
        "I: ",
        "Get:",
        "Hit:",
        "Selecting ",
        "Preparing ",
        "Unpacking ",
        "(Reading ",
    ]
    .iter()
    .any(|prefix| line.starts_with(prefix))
}

/// mmdebstrap's TMPDIR. Its name is fixed by what is built, so that what a killed run left is found by the next.
struct Work(PathBuf);

impl Work {
    /// Must be reachable by the package manager's own user, so not below a home folder.
    async fn new(output: &Path, cancel: &CancellationToken) -> Result<Self, ImageError> {
        let user = rustix::process::getuid().as_raw();
        let digest = Digest::of(output.as_os_str().as_encoded_bytes());
        let name = format!("devenv-image-{user}-{}", digest.short());
        let path = std::env::temp_dir().join(name);
        let argument = output.to_owned();
        // A killed devenv leaves its mmdebstrap running; the lock is ours, so nobody wants it.
        blocking(move || terminate_with_argument(argument.as_os_str())).await;
        let mut tries = 0;
        loop {
            clear(&path).await;
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // It still writes there while it ends.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 50 => {
                    tries += 1;
                    super::unless(cancel, tokio::time::sleep(LOCK_POLL)).await?;
                }
                Err(error) => return Err(ImageError::cache(&path)(error)),
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn clear(path: &Path) {
    let owned = path.to_owned();
    if blocking(move || fs::remove_dir_all(owned)).await.is_err() && path.exists() {
        // Without root, what a killed mmdebstrap left belongs to mapped users: it has a way to become them.
        let path = path.to_string_lossy();
        let rm = Spawn::new(["mmdebstrap", "--unshare-helper", "rm", "-rf", "--", &path]);
        let _ = rm.output().await;
    }
}

/// The layer of extra files; `None` when there are none.
fn files_layer(root: &Path, debian: &Debian) -> Result<Option<Layer>, ImageError> {
    let mut entries = Entries::new();
    lay(root, &debian.files, &mut entries)?;
    if entries.is_empty() {
        return Ok(None);
    }
    let layer = Layer::measure(move |out| write_entries(&entries, out));
    layer.map(Some).map_err(ImageError::read(root))
}

/// Go's name of an architecture, which images use.
pub(super) fn go_arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
