//! State under `.devenv/`: records of finished steps, what was seen to be ready, the worktree's id, sticky ports, digests of secrets, run lock and logs.
//!
//! A cache of the truth: deleting it loses no data, and the next run converges.

mod commands;
mod ready;
mod results;
mod run_log;
mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    config::StepId,
    event::{Explain, Fault, FaultClass},
    plan::{Digest, Inputs, Output},
    sys::{
        fs::{Lock, TryLock, absent_is_fine, write_atomic},
        user::other_owner,
    },
};

pub use commands::{Begun, BegunContainer, Inside, Killed};
pub use ready::Readiness;
pub use results::{Restored, Results, ResultsError, TaskResult, is_temporary};
pub use run_log::RunLog;

/// The `.devenv/` folder of one worktree.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot lock `{}`", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot get random bytes from the system")]
    Random {
        #[source]
        source: io::Error,
    },
}

impl Explain for StoreError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self).class(FaultClass::Environment);
        let (path, source) = match self {
            StoreError::Write { path, source } | StoreError::Lock { path, source } => {
                (path, source)
            }
            StoreError::Random { .. } => return fault,
        };
        let is_state = |path: &&Path| path.file_name().is_some_and(|name| name == DIR);
        let state = path.ancestors().find(is_state);
        if let Some(file) = state.filter(|state| state.is_file()) {
            return Fault::new(self.to_string())
                .class(FaultClass::Environment)
                .note(format!("`{}` is a file", file.display()))
                .help("move it away: devenv keeps its state in a folder of that name");
        }
        let owner = path.parent().and_then(other_owner);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                fault.help("free some disk space and run the command again")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => match owner {
                Some(owner) => fault.help(format!(
                    "`.devenv/` of the project belongs to user `{owner}`: run devenv as that user, or in a clone of your own"
                )),
                None => fault.help(
                    "devenv keeps its state in `.devenv/` of the project: let this user write there",
                ),
            },
            _ => fault,
        }
    }
}

/// What a host step left when it last succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub inputs: Inputs,
    /// Path relative to the project → digest of what the step wrote there.
    pub outputs: BTreeMap<String, Digest>,
    pub output: Output,
    #[serde(default)]
    pub since: Since,
}

/// What has come after the success that a record tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    #[default]
    Nothing,
    /// A run that failed, was killed, or goes on: what the step left may be changed.
    Unfinished,
}

/// In the project's folder.
const DIR: &str = ".devenv";
const IDENTITY: &str = "identity.json";
const FORMER: &str = "former.json";

/// `kind.name/port` → host port.
pub type Ports = BTreeMap<String, u16>;

impl Store {
    /// The store of the project at `root`. Makes nothing until something is written.
    pub fn new(root: &Path) -> Self {
        Self {
            dir: root.join(DIR),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where digests of files are remembered.
    pub fn file_cache(&self) -> PathBuf {
        self.dir.join("cache").join("files")
    }

    /// Results of tasks, by what they depended on.
    pub fn results(&self) -> Results {
        let root = self.dir.parent().unwrap_or(&self.dir);
        Results::of(root, &self.dir.join("cache").join("results"))
    }

    /// `None` when there is none, or it cannot be read: then the step runs again.
    pub fn record(&self, step: &StepId) -> Option<StepRecord> {
        self.read(&self.record_path(step))
    }

    pub fn save_record(&self, step: &StepId, record: &StepRecord) -> Result<(), StoreError> {
        self.write(&self.record_path(step), record)
    }

    /// Before a step runs, so that a kill in between leaves it to be run again. What it last succeeded with stays known.
    pub fn begin(&self, step: &StepId) -> Result<(), StoreError> {
        match self.record(step) {
            Some(record) => self.save_record(
                step,
                &StepRecord {
                    since: Since::Unfinished,
                    ..record
                },
            ),
            None => Ok(()),
        }
    }

    /// Forgets a step that is no more.
    pub fn forget(&self, step: &StepId) -> Result<(), StoreError> {
        let path = self.record_path(step);
        remove_file(path)
    }

    /// The prefix of the names of what was made for this worktree, though its project may have been renamed since.
    pub fn identity(&self) -> Option<String> {
        self.read(&self.dir.join(IDENTITY))
    }

    /// The one it had until now stays known, with what was made under it.
    pub fn save_identity(&self, id: &str) -> Result<(), StoreError> {
        match self.identity() {
            Some(kept) if kept == id => return Ok(()),
            Some(kept) => self.add_former(&kept)?,
            None => {}
        }
        self.write(&self.dir.join(IDENTITY), &id)
    }

    /// When nothing of that name is left.
    pub fn forget_identity(&self, id: &str) -> Result<(), StoreError> {
        if self.identity().as_deref() == Some(id) {
            remove_file(self.dir.join(IDENTITY))?;
        }
        let _lock = self.lock_former()?;
        let mut former = self.former();
        match former.remove(id) {
            true => self.write(&self.dir.join(FORMER), &former),
            false => Ok(()),
        }
    }

    /// Ids of this folder that the user was told of: each is taken up again when the project gets its name back.
    pub fn former(&self) -> BTreeSet<String> {
        self.read(&self.dir.join(FORMER)).unwrap_or_default()
    }

    pub fn add_former(&self, id: &str) -> Result<(), StoreError> {
        let _lock = self.lock_former()?;
        let mut former = self.former();
        match former.insert(id.to_owned()) {
            true => self.write(&self.dir.join(FORMER), &former),
            false => Ok(()),
        }
    }

    fn lock_former(&self) -> Result<Lock, StoreError> {
        self.lock_file("former.lock")
    }

    pub fn ports(&self) -> Ports {
        self.read(&self.dir.join("ports.json")).unwrap_or_default()
    }

    /// Adds these ports to the remembered ones.
    pub fn save_ports(&self, ports: &Ports) -> Result<(), StoreError> {
        let path = self.dir.join("ports.json");
        let _lock = self.lock_file("ports.lock")?;
        let mut all = self.ports();
        all.extend(ports.iter().map(|(name, port)| (name.clone(), *port)));
        self.write(&path, &all)
    }

    /// While a file of the folder is read, changed and written.
    fn lock_file(&self, name: &str) -> Result<Lock, StoreError> {
        let path = self.dir.join(name);
        Lock::acquire_blocking(&path).map_err(|source| StoreError::Lock { path, source })
    }

    /// Tries to become the one run that changes this worktree's things.
    pub fn try_lock(&self, holder: &str) -> Result<TryLock, StoreError> {
        let path = self.dir.join("lock");
        self.prepare()?;
        Lock::try_acquire(&path, holder).map_err(|source| StoreError::Lock { path, source })
    }

    /// Makes the folder, with a `.gitignore` that keeps it out of commits.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let ignore = self.dir.join(".gitignore");
        if ignore.exists() {
            return Ok(());
        }
        self.write_bytes(&ignore, b"*\n")
    }

    fn record_path(&self, step: &StepId) -> PathBuf {
        self.dir.join("steps").join(format!("{step}.json"))
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), StoreError> {
        self.prepare()?;
        let bytes = serde_json::to_vec(value).expect("maps of strings serialise");
        self.write_bytes(path, &bytes)
    }

    fn write_bytes(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        write_atomic(path, bytes).map_err(|source| StoreError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// No error when there is none.
fn remove_file(path: PathBuf) -> Result<(), StoreError> {
    let removed = absent_is_fine(fs::remove_file(&path));
    removed.map_err(|source| StoreError::Write { path, source })
}

#[cfg(test)]
mod testing {
    use super::Store;

    /// Of a folder that goes with what is returned first.
    pub fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::new(dir.path());
        (dir, store)
    }
}
