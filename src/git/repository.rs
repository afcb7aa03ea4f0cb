//! Where a repository and its checkout are, read from files alone: <https://git-scm.com/docs/gitrepository-layout>.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// What git tells a hook of its repository, in the environment.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The folder that relative paths start at.
    pub cwd: PathBuf,
    pub git_dir: Option<OsString>,
    pub work_tree: Option<OsString>,
    pub common_dir: Option<OsString>,
    pub index_file: Option<OsString>,
}

impl Given {
    pub fn from_env(cwd: PathBuf) -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            cwd,
            git_dir: var("GIT_DIR"),
            work_tree: var("GIT_WORK_TREE"),
            common_dir: var("GIT_COMMON_DIR"),
            index_file: var("GIT_INDEX_FILE"),
        }
    }

    fn path(&self, value: &Option<OsString>) -> Option<PathBuf> {
        value.as_ref().map(|value| self.cwd.join(value))
    }
}

/// A repository as one of its worktrees sees it. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where its HEAD and index are.
    pub git_dir: PathBuf,
    /// Shared by all of its worktrees.
    pub common_dir: PathBuf,
    /// Its files; `None` in a bare repository.
    pub top: Option<PathBuf>,
    /// The index that git gave the hook, if it is another than the worktree's own: of `commit -a`, or of `commit -- PATH`.
    pub other_index: Option<PathBuf>,
}

impl Repository {
    /// The repository that git named, else the nearest at the folder or above it.
    pub fn find(given: &Given) -> Option<Self> {
        let (git_dir, top) = match given.path(&given.git_dir) {
            Some(dir) => named(dir, given)?,
            None => nearest(&given.cwd)?,
        };
        let top = given.path(&given.work_tree).or(top);
        let common_dir = given.path(&given.common_dir);
        let common_dir = common_dir.unwrap_or_else(|| common_dir_of(&git_dir));
        let index = given.path(&given.index_file);
        Some(Self {
            other_index: index.filter(|index| !is_same(index, &git_dir.join("index"))),
            top: top.map(|top| real(&top)),
            common_dir: real(&common_dir),
            git_dir: real(&git_dir),
        })
    }

    /// The nearest at the folder or above it, whatever git told a hook.
    pub fn at(folder: &Path) -> Option<Self> {
        Self::find(&Given {
            cwd: folder.to_owned(),
            ..Given::default()
        })
    }

    /// The repository of a submodule that is checked out here, or that was.
    pub fn submodule(&self, path: &str) -> Option<Self> {
        let top = self.top.as_ref().map(|top| top.join(path));
        let git = top.map(|top| top.join(".git"));
        let own = git.and_then(|git| match git.is_file() {
            true => pointed_to(&git),
            false => Some(git),
        });
        let kept = self.common_dir.join("modules").join(path);
        let git_dir = own.filter(|dir| is_repository(dir)).unwrap_or(kept);
        is_repository(&git_dir).then(|| Self {
            common_dir: real(&common_dir_of(&git_dir)),
            git_dir: real(&git_dir),
            top: None,
            other_index: None,
        })
    }

    /// What hooks keep: passes, private worktrees.
    pub fn state(&self) -> PathBuf {
        self.common_dir.join("devenv/hooks")
    }
}

/// Where git said that the repository is; hooks start in its worktree, or in it when there is none.
fn named(dir: PathBuf, given: &Given) -> Option<(PathBuf, Option<PathBuf>)> {
    let dir = match dir.is_file() {
        true => pointed_to(&dir)?,
        false => dir,
    };
    let is_inside = real(&given.cwd).starts_with(real(&dir));
    let top = (!is_inside).then(|| given.cwd.clone());
    Some((dir, top))
}

fn nearest(start: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    start.ancestors().find_map(|dir| {
        let git = dir.join(".git");
        let top = Some(dir.to_path_buf());
        if git.is_file() {
            return Some((pointed_to(&git)?, top));
        }
        if is_repository(&git) {
            return Some((git, top));
        }
        is_repository(dir).then(|| (dir.to_path_buf(), None))
    })
}

/// What the `.git` file of a linked worktree or a submodule says.
fn pointed_to(file: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    let path = text.strip_prefix("gitdir:")?.trim();
    Some(file.parent()?.join(path))
}

fn is_repository(dir: &Path) -> bool {
    let has_all = || dir.join("objects").is_dir() && dir.join("refs").is_dir();
    dir.join("HEAD").symlink_metadata().is_ok() && (has_all() || dir.join("commondir").is_file())
}

fn common_dir_of(git_dir: &Path) -> PathBuf {
    match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim()),
        Err(_) => git_dir.to_path_buf(),
    }
}

/// Links resolved, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let parts = |path: &Path| Some((real(path.parent()?), path.file_name()?.to_owned()));
    parts(one) == parts(other)
}

#[cfg(test)]
mod tests;
