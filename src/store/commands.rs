//! The commands that change this worktree or its tools, one file each under `.devenv/commands` while they run. Its command holds the
//! lock of the file, so a file whose lock is free is of one that was killed.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, remove_file};
use crate::{
    config::StepId,
    sys::{
        fs::{Lock, absent_is_fine},
        left_over::Starter,
    },
};

/// A command that runs, until this is dropped.
#[derive(Debug)]
pub struct Begun {
    /// None where nothing would be found by it.
    lock: Option<Lock>,
}

/// A run that has a container, until this is dropped.
#[derive(Debug)]
pub struct BegunContainer {
    path: PathBuf,
}

/// A command that was killed.
#[derive(Debug)]
pub struct Killed {
    /// As the user knows it: `up`.
    pub command: String,
    pub starter: Starter,
    pub inside: Option<Inside>,
    path: PathBuf,
}

/// A command that runs inside what runs: no child of devenv, so it is known by more than its starter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    pub runtime: String,
    pub step: StepId,
    pub command: String,
    pub user: Option<String>,
    /// In its environment.
    pub mark: String,
}

#[derive(Serialize, Deserialize)]
struct Known {
    command: String,
    starter: Starter,
    #[serde(default)]
    inside: Option<Inside>,
}

impl Store {
    /// Before the command starts its first process.
    pub fn begin_command(&self, command: &str) -> Result<Begun, StoreError> {
        self.keep_begun(command, None)
    }

    /// As [`Store::begin_command`], for one that runs inside what runs.
    pub fn begin_inside(&self, command: &str, inside: Inside) -> Result<Begun, StoreError> {
        self.keep_begun(command, Some(inside))
    }

    fn keep_begun(&self, command: &str, inside: Option<Inside>) -> Result<Begun, StoreError> {
        let Some(starter) = Starter::own() else {
            return Ok(Begun { lock: None });
        };
        self.prepare()?;
        let path = self.commands().join(&starter.mark);
        let known = Known {
            command: command.to_owned(),
            starter,
            inside,
        };
        let bytes = serde_json::to_vec(&known).expect("plain data");
        match Lock::create(&path, &bytes) {
            Ok(lock) => Ok(Begun { lock: Some(lock) }),
            Err(source) => Err(StoreError::Lock { path, source }),
        }
    }

    /// Commands of this worktree that did not come to their end. Looks at no process.
    pub fn killed_commands(&self) -> Vec<Killed> {
        let entries = fs::read_dir(self.commands())
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let killed = |path: PathBuf| {
            let known: Known = self.read(&path)?;
            let killed = !Lock::is_held(&path).ok()?;
            killed.then_some(Killed {
                command: known.command,
                starter: known.starter,
                inside: known.inside,
                path,
            })
        };
        paths.into_iter().filter_map(killed).collect()
    }

    /// While a container of the step may be there that only this run removes.
    pub fn begin_container(&self, step: &StepId) -> Result<BegunContainer, StoreError> {
        let path = self.containers().join(step.to_string());
        self.write_bytes(&path, b"")?;
        Ok(BegunContainer { path })
    }

    /// Whether a killed run may have left containers, asked while no run goes on.
    pub fn may_have_left_containers(&self) -> bool {
        let mut entries = fs::read_dir(self.containers()).into_iter().flatten();
        entries.next().is_some()
    }

    /// When none of them is left.
    pub fn forget_containers(&self) -> Result<(), StoreError> {
        let path = self.containers();
        absent_is_fine(fs::remove_dir_all(&path))
            .map_err(|source| StoreError::Write { path, source })
    }

    fn containers(&self) -> PathBuf {
        self.dir.join("one-shots")
    }

    fn commands(&self) -> PathBuf {
        self.dir.join("commands")
    }
}

impl Killed {
    /// When nothing of it is left.
    pub fn forget(self) -> Result<(), StoreError> {
        remove_file(self.path)
    }
}

impl Drop for BegunContainer {
    fn drop(&mut self) {
        // The next command looks in vain, no more.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // The next command looks in vain, no more.
            let _ = fs::remove_file(&lock.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    #[test]
    fn one_that_runs_or_has_ended_was_not_killed() {
        let (_dir, store) = store();
        let begun = store.begin_command("up").expect("written");
        assert_eq!(store.killed_commands().len(), 0);
        drop(begun);
        assert_eq!(store.killed_commands().len(), 0);
        let left = fs::read_dir(store.commands()).expect("the folder");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn one_whose_lock_is_free_was_killed_until_that_is_seen_to() {
        let (_dir, store) = store();
        let mut begun = store.begin_command("up").expect("written");
        // What the kernel does to a killed one: the file stays, its lock does not.
        drop(begun.lock.take());
        let [killed] = store.killed_commands().try_into().expect("one");
        assert_eq!(killed.command, "up");
        assert_eq!(Some(&killed.starter), Starter::own().as_ref());
        killed.forget().expect("removed");
        assert_eq!(store.killed_commands().len(), 0);
    }
}
