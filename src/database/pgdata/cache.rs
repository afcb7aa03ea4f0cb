//! Prepared data directories on disk, shared by all projects of this user. A damaged one counts as absent.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::PgdataError;
use crate::{plan::Digest, sys::paths};

/// Parts that are unpacked at once: one for each database of a new server.
pub(super) const FILES: usize = 4;

/// Entries kept; the oldest go first.
pub(super) const KEEP: usize = 8;

/// The prepared data directories of this user, shared by all projects.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// A data directory, ready to be copied into a new volume.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    pub parts: Vec<Part>,
    /// The superuser's password in it, until it is provisioned.
    pub bootstrap_password: String,
}

/// A tar archive of some of its files, compressed with zstd. The first has all folders; the others can be unpacked at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub packed: Arc<[u8]>,
    /// Before compression, in bytes.
    pub size: u64,
}

/// Never shows the password.
impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({} parts)", self.parts.len())
    }
}

/// First line of an entry; the parts follow, compressed.
#[derive(Serialize, Deserialize)]
struct Header {
    key: Digest,
    /// Of all that follows.
    digest: Digest,
    /// Of each part its size before and after compression.
    parts: Vec<(u64, usize)>,
    bootstrap_password: String,
}

impl Cache {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// In the user's cache folder.
    pub fn of_user() -> Result<Self, PgdataError> {
        let dir = paths::cache_dir().ok_or(PgdataError::NoHome)?;
        Ok(Self::new(dir.join("pgdata")))
    }

    /// `None` when there is none or it is damaged: a damaged one is removed. Blocks.
    pub fn get(&self, key: &Digest) -> Option<Prepared> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        let prepared = unpack(key, &bytes);
        if prepared.is_none() {
            // Made again by the next put, which also replaces it if it cannot be removed.
            let _ = fs::remove_file(&path);
        }
        prepared
    }

    /// Whether there is an entry, without reading all of it.
    pub fn contains(&self, key: &Digest) -> bool {
        self.path(key).is_file()
    }

    /// Keeps a tar archive, readable by this user only. The whole entry appears at once, or not at all. Blocks.
    pub fn put(
        &self,
        key: &Digest,
        archive: &[u8],
        bootstrap: &str,
    ) -> Result<Prepared, PgdataError> {
        let path = self.path(key);
        let prepared = self.write(&path, key, archive, bootstrap);
        let prepared = prepared.map_err(|source| PgdataError::Write { path, source })?;
        self.prune(key);
        Ok(prepared)
    }

    fn write(
        &self,
        path: &Path,
        key: &Digest,
        archive: &[u8],
        bootstrap: &str,
    ) -> io::Result<Prepared> {
        let parts = split(archive)?;
        let all = parts
            .iter()
            .map(|part| &*part.packed)
            .collect::<Vec<_>>()
            .concat();
        let header = Header {
            key: *key,
            digest: Digest::of(&all),
            parts: parts
                .iter()
                .map(|part| (part.size, part.packed.len()))
                .collect(),
            bootstrap_password: bootstrap.to_owned(),
        };
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir)?;
        // A temporary file has mode 0600.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        serde_json::to_writer(&mut file, &header)?;
        file.write_all(b"\n")?;
        file.write_all(&all)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(Prepared {
            parts,
            bootstrap_password: bootstrap.to_owned(),
        })
    }

    /// Removes the oldest entries, and what a killed run left in them. Failures do not matter: the next put tries again.
    fn prune(&self, newest: &Digest) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut old: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let written = path.metadata().ok()?.modified().ok()?;
                (path.file_name()?.to_str()? != newest.to_hex()).then_some((written, path))
            })
            .collect();
        old.sort();
        let surplus = old.len().saturating_sub(KEEP - 1);
        for (_, path) in old.into_iter().take(surplus) {
            let _ = fs::remove_dir_all(path);
        }
    }

    pub(super) fn path(&self, key: &Digest) -> PathBuf {
        self.dir.join(key.to_hex()).join("prepared")
    }
}

fn unpack(key: &Digest, bytes: &[u8]) -> Option<Prepared> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(&bytes[..line]).ok()?;
    let mut rest = &bytes[line + 1..];
    if header.key != *key || header.digest != Digest::of(rest) {
        return None;
    }
    let mut parts = Vec::new();
    for (size, length) in header.parts {
        let (packed, after) = rest.split_at_checked(length)?;
        rest = after;
        parts.push(Part {
            packed: packed.into(),
            size,
        });
    }
    Some(Prepared {
        parts,
        bootstrap_password: header.bootstrap_password,
    })
}

/// Cuts the archive of a folder into [`FILES`] parts of as many files, and one before them with everything else.
/// Neighbours stay together: two processes that fill one folder would wait for each other.
pub(super) fn split(archive: &[u8]) -> io::Result<Vec<Part>> {
    let is_file = |entry: &io::Result<tar::Entry<'_, _>>| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.header().entry_type().is_file())
    };
    let files = tar::Archive::new(archive)
        .entries()?
        .filter(is_file)
        .count();
    let mut parts: Vec<_> = (0..=FILES).map(|_| tar::Builder::new(Vec::new())).collect();
    let mut seen = 0;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        let path = entry.path()?.into_owned();
        if header.entry_type().is_file() {
            parts[1 + seen * FILES / files].append_data(&mut header, path, &mut entry)?;
            seen += 1;
        } else if let Some(target) = entry.link_name()? {
            parts[0].append_link(&mut header, path, target)?;
        } else {
            parts[0].append_data(&mut header, path, &mut entry)?;
        }
    }
    let pack = |part: tar::Builder<Vec<u8>>| {
        let archive = part.into_inner()?;
        Ok(Part {
            packed: zstd::encode_all(&archive[..], 3)?.into(),
            size: archive.len() as u64,
        })
    };
    parts.into_iter().map(pack).collect()
}
