//! The content store: `tools/<key>/` under the XDG data folder, shared by all projects of a user.
//!
//! An entry is made in a temporary folder beside it and renamed, so it is whole or absent. A lock per key makes two installs at once
//! safe; what a killed install left is removed by the next one.

mod shared;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Run, ToolchainError};
use crate::{
    plan::Digest,
    sys::{
        fs::{Lock, TryLock},
        paths,
    },
};

pub use shared::{is_stored, within_reach};

const TEMP: &str = ".tmp-";

/// How often a lock that another process holds is tried again.
const POLL: Duration = Duration::from_millis(50);

pub struct ContentStore {
    dir: PathBuf,
}

/// A folder that is being filled. Dropped without [`Build::commit`], it is removed.
pub struct Build {
    temp: tempfile::TempDir,
    target: PathBuf,
    _lock: Lock,
}

impl ContentStore {
    pub fn open() -> Result<Self, ToolchainError> {
        let dir = paths::data_dir().ok_or(ToolchainError::NoHome)?;
        Ok(Self {
            dir: dir.join("tools"),
        })
    }

    /// A name for an entry that depends on all of these.
    pub fn key(parts: &[&str]) -> String {
        let digest = Digest::of(parts.join("\0"));
        // Long enough, and short enough for the first line of a script that lives below it.
        format!("{digest:.32}")
    }

    pub fn entry(&self, key: &str) -> PathBuf {
        self.dir.join(key)
    }

    /// The right to make the entry, once no other process makes it. `None` when it is there and `good` by then.
    pub async fn build(
        &self,
        key: &str,
        run: &Run<'_>,
        good: impl Fn(&Path) -> bool,
    ) -> Result<Option<Build>, ToolchainError> {
        let path = self.dir.join(format!("{key}.lock"));
        let say = || run.events.message("Waiting for another install of it");
        let lock = acquire(&path, run.cancel, say).await?;
        self.sweep(key);
        let target = self.entry(key);
        if good(&target) {
            return Ok(None);
        }
        let temp = tempfile::Builder::new()
            .prefix(&format!("{TEMP}{key}-"))
            .tempdir_in(&self.dir)
            .map_err(|source| failed(&self.dir, source))?;
        Ok(Some(Build {
            temp,
            target,
            _lock: lock,
        }))
    }

    /// Removes what killed installs left: of this key, whose lock we hold, and of every key whose lock is free.
    fn sweep(&self, ours: &str) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Some((key, _)) = name.strip_prefix(TEMP).and_then(|n| n.rsplit_once('-')) else {
                continue;
            };
            let _lock = if key == ours {
                None
            } else {
                let path = self.dir.join(format!("{key}.lock"));
                match Lock::try_acquire(&path, &holder()) {
                    Ok(TryLock::Locked(lock)) => Some(lock),
                    Ok(TryLock::Held { .. }) | Err(_) => continue,
                }
            };
            // Best effort: what cannot be removed now is tried again by the next install.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Build {
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// Where [`Build::commit`] puts it.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the folder `name` in the temporary one the entry, in the place of a broken one.
    pub fn commit(self, name: &str) -> Result<(), ToolchainError> {
        if fs::symlink_metadata(&self.target).is_ok() {
            let old = self.temp.path().join("replaced");
            fs::rename(&self.target, &old).map_err(|source| failed(&self.target, source))?;
        }
        fs::rename(self.temp.path().join(name), &self.target)
            .map_err(|source| failed(&self.target, source))
    }
}

/// Waits for a lock, telling once that it waits.
pub async fn acquire(
    path: &Path,
    cancel: &CancellationToken,
    waiting: impl Fn(),
) -> Result<Lock, ToolchainError> {
    let mut told = false;
    loop {
        if let TryLock::Locked(lock) =
            Lock::try_acquire(path, &holder()).map_err(|source| failed(path, source))?
        {
            return Ok(lock);
        }
        if !told {
            waiting();
            told = true;
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(ToolchainError::Cancelled),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

pub fn failed(path: &Path, source: io::Error) -> ToolchainError {
    ToolchainError::Store {
        path: path.into(),
        source,
    }
}

fn holder() -> String {
    format!("devenv, process {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{StepId, StepKind},
        event::Events,
    };

    #[tokio::test]
    async fn removes_what_kills_left_and_nothing_that_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let store = ContentStore {
            dir: dir.path().into(),
        };
        for name in [".tmp-ours-1", ".tmp-free-1", ".tmp-held-1", "entry"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let held = Lock::acquire_blocking(&dir.path().join("held.lock")).unwrap();
        let cancel = CancellationToken::new();
        let events = Events::channel().0;
        let run = Run {
            events: &events.of(&StepId::new(StepKind::Toolchain, "t")),
            cancel: &cancel,
        };
        let build = store.build("ours", &run, Path::is_dir).await.unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir() && path != build.as_ref().unwrap().dir())
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        left.sort();
        assert_eq!(left, [".tmp-held-1", "entry"]);

        // The lock that is held is waited for, and a cancel ends the wait.
        cancel.cancel();
        let waited = store.build("held", &run, Path::is_dir).await;
        assert!(matches!(waited, Err(ToolchainError::Cancelled)));
        drop(held);
    }

    #[tokio::test]
    async fn an_entry_is_whole_and_replaces_a_broken_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = ContentStore {
            dir: dir.path().into(),
        };
        let cancel = CancellationToken::new();
        let events = Events::channel().0;
        let run = Run {
            events: &events.of(&StepId::new(StepKind::Toolchain, "t")),
            cancel: &cancel,
        };
        let good = |path: &Path| path.join("good").is_file();
        fs::create_dir(store.entry("key")).unwrap();
        let build = store.build("key", &run, good).await.unwrap().unwrap();
        fs::create_dir(build.dir().join("tree")).unwrap();
        fs::write(build.dir().join("tree/good"), "").unwrap();
        build.commit("tree").unwrap();
        assert!(store.build("key", &run, good).await.unwrap().is_none());
        let dirs = fs::read_dir(dir.path()).unwrap().flatten();
        assert_eq!(dirs.filter(|entry| entry.path().is_dir()).count(), 1);
    }
}
