//! Room for new results: those that were not used for the longest time go, and objects that no entry names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Results, entry};
use crate::{
    plan::Digest,
    sys::fs::{Lock, TryLock},
};

/// What nothing names and is younger may be of one that is being written, or was killed while it was: the next time tells.
const FRESH: Duration = Duration::from_hours(1);

/// A file of the cache.
struct Kept {
    path: PathBuf,
    name: String,
    size: u64,
    used: SystemTime,
}

impl Results {
    /// Best effort. Does nothing while another process uses the cache: who comes last prunes.
    pub(super) fn prune(&self) {
        let objects = files(&self.dir.join("objects"));
        let entries = files(&self.dir.join("entries"));
        let size: u64 = objects.iter().chain(&entries).map(|kept| kept.size).sum();
        if size <= self.limit {
            return;
        }
        let lock = Lock::try_acquire(&self.dir.join("lock"), "");
        if let Ok(TryLock::Locked(_lock)) = lock {
            self.remove_oldest(entries, objects, size);
        }
    }

    fn remove_oldest(&self, mut entries: Vec<Kept>, objects: Vec<Kept>, mut size: u64) {
        entries.sort_by_key(|kept| std::cmp::Reverse(kept.used));
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        let mut oldest: Vec<_> = entries
            .into_iter()
            .map(|kept| (objects_of(&kept), kept))
            .collect();
        for name in oldest.iter().flat_map(|(names, _)| names) {
            *uses.entry(name.clone()).or_default() += 1;
        }
        let mut objects: BTreeMap<_, _> = objects
            .into_iter()
            .map(|kept| (kept.name.clone(), kept))
            .collect();
        let mut remove = |kept: Kept| {
            if fs::remove_file(&kept.path).is_ok() {
                size = size.saturating_sub(kept.size);
            }
            size
        };
        let unnamed = |kept: &Kept| {
            let age = kept.used.elapsed().unwrap_or_default();
            !uses.contains_key(&kept.name) && age > FRESH
        };
        let orphans: Vec<_> = objects.extract_if(.., |_, kept| unnamed(kept)).collect();
        let mut left = size_after(orphans, &mut remove, self.limit + 1);
        // To nine tenths, so that it is not done again the next time.
        while left > self.limit / 10 * 9 {
            let Some((names, kept)) = oldest.pop() else {
                return;
            };
            left = remove(kept);
            for name in names {
                let uses = uses.entry(name.clone()).or_default();
                *uses = uses.saturating_sub(1);
                if *uses == 0
                    && let Some(kept) = objects.remove(&name)
                {
                    left = remove(kept);
                }
            }
        }
    }
}

/// Names of the objects that an entry is of.
fn objects_of(entry: &Kept) -> BTreeSet<String> {
    let bytes = fs::read(&entry.path).unwrap_or_default();
    let key = Digest::from_hex(&entry.name);
    let Some(result) = key.and_then(|key| entry::decode(&bytes, &key)) else {
        return BTreeSet::new();
    };
    let objects = result.objects();
    objects.map(|(_, digest)| digest.to_hex()).collect()
}

fn size_after(
    orphans: Vec<(String, Kept)>,
    remove: &mut impl FnMut(Kept) -> u64,
    size: u64,
) -> u64 {
    let removed = orphans.into_iter().map(|(_, kept)| remove(kept));
    removed.last().unwrap_or(size)
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push(Kept {
                path: entry.path(),
                name: entry.file_name().to_string_lossy().into_owned(),
                size: metadata.len(),
                used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
    }
    all
}
