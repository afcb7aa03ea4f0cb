//! A folder with the files of a tree, and a repository in it whose HEAD is the commit: for checks of what is not checked out.
//!
//! It is no entry of `git worktree list` and nothing of it is registered: its `.git` leads to a folder beside it that names the
//! repository's own as the common one. Removing the folders removes all of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{GitError, Oid, Repository, Tip, ask::Ask};
use crate::sys::fs::{Lock, TryLock, absent_is_fine};

/// What the HEAD of a private worktree says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    Commit(Oid),
    /// The branch, which has no commit yet.
    Unborn(String),
}

/// A place for a private worktree. Its name is used again, so that what is cached by path stays of use; while this is there,
/// nobody else uses it.
#[derive(Debug)]
pub struct Worktree {
    dir: PathBuf,
    _lock: Lock,
}

impl Repository {
    /// The HEAD before the first commit.
    pub async fn unborn_head(&self) -> Result<Head, GitError> {
        let answer = Ask::of(self, &["symbolic-ref", "HEAD"]).answer(b"").await?;
        let branch = String::from_utf8_lossy(&answer);
        Ok(Head::Unborn(branch.trim_end().to_owned()))
    }

    /// Whether HEAD is kept in a table of refs, and no file.
    fn has_reftable(&self) -> bool {
        self.common_dir.join("reftable").is_dir()
    }
}

impl Worktree {
    /// The first place that is free and empty.
    pub fn reserve(state: &Path) -> Result<Self, GitError> {
        let folder = state.join("work");
        for number in 0.. {
            let place = Self::lock(&folder, &number.to_string())?;
            // What could not be taken down yet stays until it can.
            if let Some(place) = place.filter(|place| !place.dir.exists()) {
                return Ok(place);
            }
        }
        unreachable!("one of so many is free")
    }

    /// Those that killed runs left.
    pub fn abandoned(state: &Path) -> Result<Vec<Self>, GitError> {
        let folder = state.join("work");
        let Ok(entries) = fs::read_dir(&folder) else {
            return Ok(Vec::new());
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| name.parse::<u32>().is_ok());
        let places = names.map(|name| Self::lock(&folder, &name));
        places.filter_map(Result::transpose).collect()
    }

    fn lock(folder: &Path, name: &str) -> Result<Option<Self>, GitError> {
        let path = folder.join(format!("{name}.lock"));
        let holder = format!("pid {}", std::process::id());
        match Lock::try_acquire(&path, &holder).map_err(|source| write(&path, source))? {
            TryLock::Locked(lock) => Ok(Some(Self {
                dir: folder.join(name),
                _lock: lock,
            })),
            TryLock::Held { .. } => Ok(None),
        }
    }

    /// Where its files are.
    pub fn top(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Checks the tree out, with its submodules as far as the user has them. The place must be empty.
    pub async fn fill(
        &self,
        repository: &Repository,
        head: &Head,
        tree: &Oid,
    ) -> Result<(), GitError> {
        let files = Files {
            git_dir: self.dir.join("git"),
            top: self.top(),
        };
        files.lay(repository, head, tree).await
    }

    /// Removes all of it. Links are removed, what they lead to is not.
    pub fn clear(&self) -> Result<(), GitError> {
        let removed = absent_is_fine(fs::remove_dir_all(&self.dir));
        removed.map_err(|source| write(&self.dir, source))
    }
}

/// A checkout and the folder of its HEAD and index.
struct Files {
    git_dir: PathBuf,
    top: PathBuf,
}

impl Files {
    async fn lay(&self, repository: &Repository, head: &Head, tree: &Oid) -> Result<(), GitError> {
        let line = match head {
            // What git writes where the table has it.
            _ if repository.has_reftable() => "ref: refs/heads/.invalid\n".to_owned(),
            Head::Commit(commit) => format!("{commit}\n"),
            Head::Unborn(branch) => format!("ref: {branch}\n"),
        };
        let common = format!("{}\n", repository.common_dir.display());
        let pointer = format!("gitdir: {}\n", self.git_dir.display());
        let files = [
            (self.git_dir.join("HEAD"), line),
            (self.git_dir.join("commondir"), common),
            (self.top.join(".git"), pointer),
        ];
        for (path, text) in files {
            self.write(&path, &text)?;
        }
        if repository.has_reftable() {
            self.write(&self.git_dir.join("reftable/tables.list"), "")?;
            self.set_head(head).await?;
        }
        let args = [
            "-c",
            "core.sparseCheckout=false",
            "-c",
            "core.fsmonitor=false",
            "read-tree",
            "--reset",
            "-u",
            tree.as_str(),
        ];
        self.ask(&args).answer(b"").await?;
        match self.top.join(".gitmodules").exists() {
            true => self.lay_submodules(repository).await,
            false => Ok(()),
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), GitError> {
        let dir = path.parent().unwrap_or(&self.top);
        let written = fs::create_dir_all(dir).and_then(|()| fs::write(path, text));
        written.map_err(|source| write(path, source))
    }

    async fn set_head(&self, head: &Head) -> Result<(), GitError> {
        let ask = match head {
            Head::Commit(commit) => {
                self.ask(&["update-ref", "--no-deref", "HEAD", commit.as_str()])
            }
            Head::Unborn(branch) => self.ask(&["symbolic-ref", "HEAD", branch]),
        };
        ask.answer(b"").await.map(drop)
    }

    /// Those that the user has not, or not yet this commit of, stay empty.
    async fn lay_submodules(&self, repository: &Repository) -> Result<(), GitError> {
        let index = self.ask(&["ls-files", "--stage", "-z"]).answer(b"").await?;
        let index = String::from_utf8_lossy(&index);
        let links = index.split('\0').filter_map(|entry| {
            let (what, path) = entry.split_once('\t')?;
            Some((what.strip_prefix("160000 ")?.split(' ').next()?, path))
        });
        for (number, (commit, path)) in links.enumerate() {
            let Some(module) = repository.submodule(path) else {
                continue;
            };
            let Some(Tip { commit, tree }) = module.tips(&[commit]).await?.pop().flatten() else {
                continue;
            };
            let files = Files {
                git_dir: self.git_dir.join("modules").join(number.to_string()),
                top: self.top.join(path),
            };
            Box::pin(files.lay(&module, &Head::Commit(commit), &tree)).await?;
        }
        Ok(())
    }

    fn ask(&self, args: &[&str]) -> Ask {
        let env = [
            (
                "GIT_INDEX_FILE".to_owned(),
                self.git_dir.join("index").into(),
            ),
            ("GIT_DIR".to_owned(), self.git_dir.clone().into()),
            ("GIT_WORK_TREE".to_owned(), self.top.clone().into()),
        ];
        let mut ask = Ask::at(self.top.clone(), env.into(), args);
        ask.env_remove.push("GIT_COMMON_DIR".into());
        ask
    }
}

fn write(path: &Path, source: io::Error) -> GitError {
    let path = path.to_owned();
    GitError::Write { path, source }
}
