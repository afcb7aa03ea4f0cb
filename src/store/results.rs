//! Results of tasks by what they depended on: what they printed, and the files they left. All worktrees of a repository share them.
//!
//! A cache: entries under `entries/<key>` name objects under `objects/<digest>`; both are written whole or not at all, and what is
//! damaged or half there is no result. Who adds or takes something shares a lock, who removes something holds it alone.

mod entry;
mod object;
mod prune;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    event::{Explain, Fault, FaultClass},
    plan::{Digest, Node, Tree, joined, link_on_the_way},
    sys::{
        fs::{Lock, absent_is_fine, may_write},
        git::repository,
    },
};

pub use entry::TaskResult;
pub use object::is_temporary;

/// What all results together may take: past it, those that were not used for the longest time are removed.
const LIMIT: u64 = 4 << 30;

/// The results of a repository, or of a project that is in none.
#[derive(Debug, Clone)]
pub struct Results {
    dir: PathBuf,
    limit: u64,
}

/// What a restore did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many files were written.
    pub written: usize,
    pub removed: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("cannot keep the result in `{}`", path.display())]
    Keep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot restore `{path}`")]
    Restore {
        path: String,
        #[source]
        source: io::Error,
    },
    /// It is removed, and is no result any more.
    #[error("the kept content of `{path}` is damaged")]
    Damaged { path: String },
    #[error("`{path}` changed while it was kept")]
    Changed { path: String },
    #[error(
        "`{path}` cannot be kept: it is neither a file, a folder nor a link inside the project"
    )]
    Odd { path: String },
    #[error("its outputs are larger than all results may be")]
    TooLarge,
}

impl Explain for ResultsError {
    fn explain(&self) -> Fault {
        Fault::from_error(self).class(FaultClass::Environment)
    }
}

impl Results {
    /// Those of the project at `root`: beside the repository's objects, where this user may write there, else in the project's own `fallback`.
    pub fn of(root: &Path, fallback: &Path) -> Self {
        let shared = repository(root).map(|found| found.common.join("devenv").join("results"));
        let shared = shared.filter(|dir| may_write(dir));
        Self {
            dir: shared.unwrap_or_else(|| fallback.to_owned()),
            limit: LIMIT,
        }
    }

    /// What was kept under the key, if all of it is there. A damaged entry is removed.
    pub fn find(&self, key: &Digest) -> Option<TaskResult> {
        let path = self.entry(key);
        let bytes = fs::read(&path).ok()?;
        let result = entry::decode(&bytes, key);
        let whole = result.filter(|result| {
            result
                .objects()
                .all(|(size, digest)| self.has(digest, size))
        });
        if whole.is_none() {
            // Another may have done so already.
            let _ = fs::remove_file(&path);
        }
        whole
    }

    /// Keeps what a success left: the files of the project at `root` that are named in it.
    ///
    /// # Errors
    /// What cannot be kept, or was changed meanwhile: then nothing is kept under the key.
    pub fn save(&self, key: &Digest, result: &TaskResult, root: &Path) -> Result<(), ResultsError> {
        if result.size() > self.limit / 2 {
            return Err(ResultsError::TooLarge);
        }
        if let Some(odd) = result.outputs.values().find_map(|tree| tree.odd.clone()) {
            return Err(ResultsError::Odd { path: odd });
        }
        let shared = self.share()?;
        for (path, tree) in &result.outputs {
            for (below, node) in &tree.nodes {
                if let Node::File(mode, size, digest) = node {
                    self.keep(&root.join(joined(path, below)), (*mode, *size), digest)?;
                }
            }
        }
        let path = self.entry(key);
        let written = object::write(&path, &mut entry::encode(result, key).as_slice());
        written.map_err(|source| ResultsError::Keep { path, source })?;
        drop(shared);
        self.prune();
        Ok(())
    }

    /// Writes what was kept and is missing or another, and removes what is `stale`: files, links and empty folders. All else stays.
    /// `present` is what is there now, each file, link and folder by itself.
    ///
    /// # Errors
    /// A kept file that is damaged: the entry is removed, and the outputs are partly restored. A path that a link leads away from.
    pub fn restore(
        &self,
        key: &Digest,
        result: &TaskResult,
        root: &Path,
        present: &BTreeMap<String, Tree>,
        stale: &[String],
    ) -> Result<Restored, ResultsError> {
        let _shared = self.share()?;
        let mut restored = Restored::default();
        // What is in a folder comes after it.
        for path in stale.iter().rev() {
            if remove(root, path, result)? {
                restored.removed.push(path.clone());
            }
        }
        for (path, wanted) in &result.outputs {
            if present
                .get(path)
                .is_some_and(|now| now.nodes == wanted.nodes)
            {
                continue;
            }
            for node in wanted.nodes.values() {
                let made = self.make(root, path, node);
                if let Err(ResultsError::Damaged { .. }) = &made {
                    self.forget(key, result);
                }
                restored.written += made?;
            }
        }
        Ok(restored)
    }

    /// It was of use: it is not the first to go when room is needed.
    pub fn touch(&self, key: &Digest) {
        object::touch(&self.entry(key));
    }

    /// How many files it wrote.
    fn make(&self, root: &Path, path: &str, node: &Node) -> Result<usize, ResultsError> {
        let fail = |source| ResultsError::Restore {
            path: path.to_owned(),
            source,
        };
        let place = root.join(path);
        inside(root, path)?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        match node {
            Node::Folder => fs::create_dir_all(&place).map_err(fail)?,
            Node::Link(target) => object::link(&place, target).map_err(fail)?,
            Node::File(mode, _, digest) => {
                let whole = self.copy_out(digest, *mode, &place).map_err(fail)?;
                if !whole {
                    let path = path.to_owned();
                    return Err(ResultsError::Damaged { path });
                }
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Removes the entry, and all of its objects that are damaged.
    fn forget(&self, key: &Digest, result: &TaskResult) {
        let _ = fs::remove_file(self.entry(key));
        for node in result.outputs.values().flat_map(|tree| tree.nodes.values()) {
            if let Node::File(mode, _, digest) = node {
                self.check(digest, *mode);
            }
        }
    }

    fn share(&self) -> Result<Lock, ResultsError> {
        let path = self.dir.join("lock");
        Lock::share_blocking(&path).map_err(|source| ResultsError::Keep { path, source })
    }

    fn entry(&self, key: &Digest) -> PathBuf {
        self.dir.join("entries").join(key.to_hex())
    }
}

/// No link leads away from the folder of the path.
fn inside(root: &Path, path: &str) -> Result<(), ResultsError> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match link_on_the_way(root, folder) {
        Some(path) => Err(ResultsError::Odd { path }),
        None => Ok(()),
    }
}

/// With the folders that it leaves empty, as far as the result does not hold them. False for a folder that holds something.
fn remove(root: &Path, path: &str, result: &TaskResult) -> Result<bool, ResultsError> {
    inside(root, path)?;
    let place = root.join(path);
    if fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
        return Ok(fs::remove_dir(&place).is_ok());
    }
    absent_is_fine(fs::remove_file(&place)).map_err(|source| ResultsError::Restore {
        path: path.to_owned(),
        source,
    })?;
    let mut above = path;
    while let Some((folder, _)) = above.rsplit_once('/') {
        if result.outputs.contains_key(folder) || fs::remove_dir(root.join(folder)).is_err() {
            break;
        }
        above = folder;
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
