//! Image archives as `docker load` reads them: a configuration, layers, a manifest.
//!
//! Format: <https://github.com/moby/docker-image-spec>, "Combined Image JSON + Filesystem Changeset Format".
//! The same layers and configuration give the same bytes, and so the same image id.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{ImageError, Images, unless};
use crate::{
    event::{Progress, StepEvents, Unit},
    sys::chunks::produced,
};

/// The time of everything devenv makes: the image id must not depend on the clock.
const EPOCH: &str = "1970-01-01T00:00:00Z";

type Write1 = Arc<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync>;

/// One layer: an uncompressed tar.
#[derive(Clone)]
pub(super) struct Layer {
    /// `sha256:…` of the tar.
    pub diff_id: String,
    pub size: u64,
    /// `None` when the engine has it and it need not be sent.
    write: Option<Write1>,
}

impl Layer {
    /// A layer the engine already has.
    pub(super) fn known(diff_id: &str) -> Self {
        Self {
            diff_id: diff_id.to_owned(),
            size: 0,
            write: None,
        }
    }

    /// A layer measured earlier.
    pub(super) fn stored(
        diff_id: String,
        size: u64,
        write: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            diff_id,
            size,
            write: Some(Arc::new(write)),
        }
    }

    /// Runs `write` once to learn digest and size; it is run again to send it.
    pub(super) fn measure(
        write: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut meter = Meter::default();
        write(&mut meter)?;
        let (diff_id, size) = meter.finish();
        Ok(Self::stored(diff_id, size, write))
    }
}

/// Counts and hashes what goes through.
#[derive(Default)]
pub(super) struct Meter {
    hash: Sha256,
    size: u64,
}

impl Meter {
    /// `sha256:…` and the number of bytes.
    pub(super) fn finish(self) -> (String, u64) {
        (
            format!("sha256:{}", hex::encode(self.hash.finalize())),
            self.size,
        )
    }
}

impl Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is laid into a layer: a folder's or a file's path in the image, without a leading slash.
pub(super) type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Clone)]
pub(super) enum Entry {
    Folder,
    File { from: PathBuf, mode: u32 },
}

/// Adds a file and the folders above it.
pub(super) fn add_file(entries: &mut Entries, path: &str, from: PathBuf, mode: u32) {
    let path = path.trim_matches('/');
    for (end, _) in path.match_indices('/') {
        entries
            .entry(path[..end].to_owned())
            .or_insert(Entry::Folder);
    }
    entries.insert(path.to_owned(), Entry::File { from, mode });
}

/// Writes a tar that holds nothing of this machine: owner root, time zero, sorted.
pub(super) fn write_entries(entries: &Entries, out: &mut dyn Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for (path, entry) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        match entry {
            Entry::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                tar.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Entry::File { from, mode } => {
                let file = File::open(from)?;
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(*mode);
                header.set_size(file.metadata()?.len());
                tar.append_data(&mut header, path, file)?;
            }
        }
    }
    tar.into_inner()?.flush()
}

/// How often an image that is removed while it is loaded is sent.
const LOADS: usize = 10;

/// A whole image, ready to be loaded.
#[derive(Clone)]
pub(super) struct ImageTar {
    pub architecture: String,
    pub variant: Option<String>,
    pub os: String,
    /// The run configuration.
    pub config: Value,
    /// Lowest first, each with what its history says.
    pub layers: Vec<(Layer, &'static str)>,
    pub tag: String,
}

impl ImageTar {
    fn config_json(&self) -> Vec<u8> {
        let history: Vec<_> = self
            .layers
            .iter()
            .map(|(_, made_by)| json!({ "created": EPOCH, "created_by": made_by }))
            .collect();
        let diff_ids: Vec<_> = self
            .layers
            .iter()
            .map(|(layer, _)| &layer.diff_id)
            .collect();
        let mut config = json!({
            "architecture": self.architecture,
            "config": self.config,
            "created": EPOCH,
            "history": history,
            "os": self.os,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        serde_json::to_vec(&sorted(config)).expect("a JSON value serialises")
    }

    fn size(&self) -> u64 {
        self.layers.iter().map(|(layer, _)| layer.size).sum()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        append(&mut tar, "config.json", &self.config_json())?;
        let names: Vec<_> = (0..self.layers.len())
            .map(|index| format!("layer-{index}.tar"))
            .collect();
        for ((layer, _), name) in self.layers.iter().zip(&names) {
            let Some(write) = &layer.write else { continue };
            let mut header = header(layer.size);
            header.set_path(name)?;
            header.set_cksum();
            let out = tar.get_mut();
            out.write_all(header.as_bytes())?;
            write(out)?;
            let padding = (512 - layer.size % 512) % 512;
            out.write_all(&[0; 512][..padding as usize])?;
        }
        let manifest =
            json!([{ "Config": "config.json", "Layers": names, "RepoTags": [self.tag] }]);
        let manifest = serde_json::to_vec(&manifest).expect("a JSON value serialises");
        append(&mut tar, "manifest.json", &manifest)?;
        tar.into_inner()?.flush()
    }
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), name, bytes)
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// The value with the keys of every object in order.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        value => value,
    }
}

impl Images {
    /// Sends an image to the engine, which tags it.
    ///
    /// Between the two it is an image without a name, and another run that removes such may take it away: then it is sent again.
    pub(super) async fn load(
        &self,
        image: ImageTar,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<(), ImageError> {
        for _ in 0..LOADS {
            self.send(image.clone(), events, cancel).await?;
            if self.inspect(&image.tag).await?.is_some() {
                return Ok(());
            }
        }
        Err(ImageError::Vanished {
            reference: image.tag,
        })
    }

    async fn send(
        &self,
        image: ImageTar,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<(), ImageError> {
        let total = image.size();
        let mut done = 0;
        let events = events.clone();
        let body = produced(move |out| image.write(out)).inspect_ok(move |chunk| {
            done += chunk.len() as u64;
            events.progress(Progress {
                message: "Loading".into(),
                done: Some(done.min(total)),
                total: Some(total),
                unit: Unit::Bytes,
            });
        });
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut stream = std::pin::pin!(self.docker.import_image_stream(options, body, None));
        while let Some(answer) = unless(cancel, stream.next()).await? {
            answer.map_err(|error| ImageError::engine("load an image", error))?;
        }
        Ok(())
    }

    /// Whether the engine keeps an image's layers by their digest, so that those it has need not be sent.
    pub(super) async fn knows_layers(&self) -> bool {
        if self.whole {
            return false;
        }
        let Ok(info) = self.docker.info().await else {
            return false;
        };
        // The containerd image store wants every blob of an archive in the archive.
        !info
            .driver_status
            .unwrap_or_default()
            .iter()
            .flatten()
            .any(|text| text.contains("io.containerd.snapshotter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &Entries) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entries(entries, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_layer_holds_nothing_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("hello");
        std::fs::write(&from, "hi").unwrap();
        let mut entries = Entries::new();
        add_file(&mut entries, "/app/bin/hello", from.clone(), 0o755);
        let first = tar_of(&entries);
        let late = std::time::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000);
        File::options()
            .write(true)
            .open(&from)
            .unwrap()
            .set_modified(late)
            .unwrap();
        assert_eq!(first, tar_of(&entries));

        let listing: Vec<_> = tar::Archive::new(first.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap())
            })
            .collect();
        assert_eq!(
            listing,
            [
                ("app/".into(), 0o755, 0),
                ("app/bin/".into(), 0o755, 0),
                ("app/bin/hello".to_string(), 0o755, 0)
            ]
        );
    }

    #[test]
    fn an_image_leaves_out_the_layers_the_engine_has() {
        let layer = Layer::measure(|out| out.write_all(b"0123456789")).unwrap();
        let image = ImageTar {
            architecture: "amd64".into(),
            variant: None,
            os: "linux".into(),
            config: json!({ "User": "1" }),
            layers: vec![(Layer::known("sha256:aa"), "base"), (layer, "app")],
            tag: "x:1".into(),
        };
        let mut bytes = Vec::new();
        image.write(&mut bytes).unwrap();
        let mut names = Vec::new();
        let mut config = String::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if name == "config.json" {
                io::Read::read_to_string(&mut entry, &mut config).unwrap();
            }
            names.push(name);
        }
        assert_eq!(names, ["config.json", "layer-1.tar", "manifest.json"]);
        expect_test::expect![[r#"{"architecture":"amd64","config":{"User":"1"},"created":"1970-01-01T00:00:00Z","history":[{"created":"1970-01-01T00:00:00Z","created_by":"base"},{"created":"1970-01-01T00:00:00Z","created_by":"app"}],"os":"linux","rootfs":{"diff_ids":["sha256:aa","sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"],"type":"layers"}}"#]].assert_eq(&config);
    }
}
