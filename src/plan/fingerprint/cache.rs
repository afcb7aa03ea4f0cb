//! Digests of files as they were last seen, so that an unchanged file is not read again.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::FingerprintError;
use crate::{plan::Digest, sys::fs::write_atomic};

/// First bytes of the file; the number is the format's version.
const MAGIC: &[u8] = b"devenv-files-1\n";
/// Longest tick of a kernel clock that stamps files.
const TICK: Duration = Duration::from_millis(20);
/// Longest tick of a file system that stores whole seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// What the file system said of each file when it was read, and the digest it had.
///
/// A file changed within the clock's tick in which it was read would keep its stamp, so a file that is younger than a tick when it is read
/// is not remembered. Load it once per run, share it, save it once.
#[derive(Debug)]
pub struct FileCache {
    root: PathBuf,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    stamp: Stamp,
    digest: [u8; 32],
}

/// All that must be equal for a file to count as unchanged. The change time cannot be set back by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
    mode: u32,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            mode: metadata.mode(),
        }
    }

    /// True when a write after `now` cannot leave this same stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let second = 1_000_000_000;
        let whole = self.modified % second == 0 && self.changed % second == 0;
        let tick = if whole { WHOLE_SECONDS } else { TICK };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as i128);
        self.modified.max(self.changed) + (tick.as_nanos() as i128) < now
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

impl FileCache {
    /// The cache at `path` for the project at `root`; empty when there is none or it is damaged.
    pub fn load(root: &Path, path: &Path) -> Self {
        let entries = fs::read(path)
            .ok()
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default();
        Self {
            root: root.to_owned(),
            path: path.to_owned(),
            state: Mutex::new(State {
                entries,
                changed: false,
            }),
        }
    }

    /// Writes it, when it has learned something. Files that are gone are forgotten.
    pub fn save(&self) -> Result<(), FingerprintError> {
        let mut state = self.lock();
        if !state.changed {
            return Ok(());
        }
        state
            .entries
            .retain(|name, _| self.root.join(name).symlink_metadata().is_ok());
        write_atomic(&self.path, &encode(&state.entries)).map_err(|source| {
            FingerprintError::SaveCache {
                path: self.path.clone(),
                source,
            }
        })?;
        state.changed = false;
        Ok(())
    }

    pub(super) fn get(&self, name: &str, metadata: &Metadata) -> Option<Digest> {
        let state = self.lock();
        let entry = state.entries.get(name)?;
        (entry.stamp == Stamp::of(metadata))
            .then(|| Digest(blake3::Hash::from_bytes(entry.digest).to_hex().to_string()))
    }

    /// Remembers a digest taken of a file whose metadata were read after `now`.
    pub(super) fn insert(&self, name: &str, metadata: &Metadata, digest: &Digest, now: SystemTime) {
        let stamp = Stamp::of(metadata);
        let Ok(hash) = blake3::Hash::from_hex(&digest.0) else {
            return;
        };
        let mut state = self.lock();
        if stamp.is_settled(now) {
            let digest = *hash.as_bytes();
            state
                .entries
                .insert(name.to_owned(), Entry { stamp, digest });
            state.changed = true;
        } else if state.entries.remove(name).is_some() {
            state.changed = true;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the lock is held")
    }
}

/// Magic, digest of the rest, then per file: length of the name (u32), name, size, modified, changed, inode, mode, digest; little-endian.
fn encode(entries: &HashMap<String, Entry>) -> Vec<u8> {
    let mut body = Vec::with_capacity(entries.len() * 160);
    for (name, Entry { stamp, digest }) in entries {
        body.extend((name.len() as u32).to_le_bytes());
        body.extend(name.as_bytes());
        body.extend(stamp.size.to_le_bytes());
        body.extend(stamp.modified.to_le_bytes());
        body.extend(stamp.changed.to_le_bytes());
        body.extend(stamp.inode.to_le_bytes());
        body.extend(stamp.mode.to_le_bytes());
        body.extend(digest);
    }
    [MAGIC, blake3::hash(&body).as_bytes(), &body].concat()
}

/// `None` when it is not exactly what [`encode`] writes.
fn decode(bytes: &[u8]) -> Option<HashMap<String, Entry>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, mut body) = rest.split_first_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let mut entries = HashMap::new();
    while !body.is_empty() {
        let length = u32::from_le_bytes(take(&mut body)?) as usize;
        let (name, rest) = body.split_at_checked(length)?;
        body = rest;
        let stamp = Stamp {
            size: u64::from_le_bytes(take(&mut body)?),
            modified: i128::from_le_bytes(take(&mut body)?),
            changed: i128::from_le_bytes(take(&mut body)?),
            inode: u64::from_le_bytes(take(&mut body)?),
            mode: u32::from_le_bytes(take(&mut body)?),
        };
        let digest = take(&mut body)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        entries.insert(name, Entry { stamp, digest });
    }
    Some(entries)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
