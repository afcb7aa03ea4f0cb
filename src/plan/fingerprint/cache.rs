//! Digests of files as they were last seen, so that an unchanged file is not read again.

mod format;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{FingerprintError, place::Stamp};
use crate::{plan::Digest, sys::fs::write_atomic};
use format::Known;

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
    /// As it was when this was loaded.
    known: Known,
    /// What has become of files since; `None` is forgotten.
    learned: RwLock<HashMap<String, Option<Entry>>>,
    /// Whether anything was: threads that only look things up do not wait for each other.
    has_learned: AtomicBool,
}

/// A file's content as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub stamp: Stamp,
    pub digest: Digest,
}

impl Stamp {
    /// True when a write after `now` cannot leave this same stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let second = 1_000_000_000;
        let whole = self.modified % second == 0 && self.changed % second == 0;
        let tick = if whole { WHOLE_SECONDS } else { TICK };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as i128);
        i128::from(self.modified.max(self.changed)) + (tick.as_nanos() as i128) < now
    }
}

impl FileCache {
    /// The cache at `path` for the project at `root`; empty when there is none or it is damaged.
    pub fn load(root: &Path, path: &Path) -> Self {
        let known = fs::read(path).ok().and_then(Known::decode);
        Self {
            root: root.to_owned(),
            path: path.to_owned(),
            known: known.unwrap_or_default(),
            learned: RwLock::default(),
            has_learned: AtomicBool::new(false),
        }
    }

    /// Writes it, when it has learned something. Files that are gone are forgotten.
    pub fn save(&self) -> Result<(), FingerprintError> {
        let learned = self.learned.read().expect(NO_PANIC);
        if learned.is_empty() {
            return Ok(());
        }
        let known = self.known.iter();
        let known = known.filter(|(name, _)| {
            !learned.contains_key(*name) && self.root.join(name).symlink_metadata().is_ok()
        });
        let learned_now = learned.iter();
        let learned_now = learned_now.filter_map(|(name, entry)| Some((name.as_str(), (*entry)?)));
        let bytes = format::encode(known.chain(learned_now).collect());
        write_atomic(&self.path, &bytes).map_err(|source| FingerprintError::SaveCache {
            path: self.path.clone(),
            source,
        })?;
        Ok(())
    }

    /// What was there when the file was last read, and its digest.
    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        let learned = match self.has_learned.load(Ordering::Acquire) {
            true => self.learned.read().expect(NO_PANIC).get(name).copied(),
            false => None,
        };
        match learned {
            Some(learned) => learned,
            None => self.known.get(name),
        }
    }

    /// What was learned of files of these names by looks that began after `now`.
    pub(super) fn remember<'f>(
        &self,
        files: impl Iterator<Item = (&'f str, &'f Entry)>,
        now: SystemTime,
    ) {
        let mut files = files.peekable();
        if files.peek().is_none() {
            return;
        }
        let mut learned = self.learned.write().expect(NO_PANIC);
        self.has_learned.store(true, Ordering::Release);
        for (name, entry) in files {
            if entry.stamp.is_settled(now) {
                learned.insert(name.to_owned(), Some(*entry));
            } else if self.known.get(name).is_some() || learned.contains_key(name) {
                learned.insert(name.to_owned(), None);
            }
        }
    }
}

const NO_PANIC: &str = "no panic while the lock is held";
