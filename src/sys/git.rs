//! Where git keeps what all worktrees of a repository share, read from its files: no git process.
//!
//! Source: gitrepository-layout(5), `gitdir` files and `commondir`.

mod index;

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The folder that all worktrees of the repository share, and the worktree's own root. `None` outside of a repository.
///
/// `.git` is a folder, or a file `gitdir: <path>` in worktrees and submodules; a worktree's own folder names the shared one in `commondir`.
pub fn repository(path: &Path) -> Option<Repository> {
    let (root, dot_git) = path
        .ancestors()
        .map(|dir| (dir, dir.join(".git")))
        .find(|(_, dot_git)| dot_git.symlink_metadata().is_ok())?;
    let own = match dot_git.is_dir() {
        true => dot_git,
        false => line_of(&dot_git, "gitdir: ").map(|line| root.join(line))?,
    };
    let common = match line_of(&own.join("commondir"), "") {
        Some(line) => own.join(line),
        None => own.clone(),
    };
    // What only looks like one, such as an empty `.git`, is none.
    common.join("HEAD").is_file().then_some(())?;
    Some(Repository {
        own: own.canonicalize().ok()?,
        common: common.canonicalize().ok()?,
        root: root.to_owned(),
    })
}

/// A project's folder in its repository; empty at its top, and without a repository.
pub fn folder_of(project: &Path) -> PathBuf {
    let folder = repository(project).and_then(|found| {
        let folder = project.strip_prefix(found.root).ok()?;
        Some(folder.to_owned())
    });
    folder.unwrap_or_default()
}

/// A repository, as seen from one of its worktrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where HEAD and the index are, of this worktree.
    pub own: PathBuf,
    /// Where objects and references are, for all worktrees.
    pub common: PathBuf,
    /// The worktree's folder.
    pub root: PathBuf,
}

/// What git tracks in a worktree. The index is read when it is asked for first.
#[derive(Debug)]
pub struct Tracked {
    repository: Repository,
    /// Relative to the worktree, sorted.
    names: OnceLock<Vec<Vec<u8>>>,
}

impl Tracked {
    pub fn of(repository: Repository) -> Self {
        Self {
            repository,
            names: OnceLock::new(),
        }
    }

    /// Whether it is a file that git tracks, or a folder with one in it.
    pub fn has(&self, path: &Path) -> bool {
        let Ok(name) = path.strip_prefix(&self.repository.root) else {
            return false;
        };
        let names = self
            .names
            .get_or_init(|| index::names(&self.repository.own));
        let name = name.as_os_str().as_bytes();
        let folder = [name, b"/"].concat();
        let next = |name: &[u8]| {
            let at = names.partition_point(|found| found.as_slice() < name);
            names.get(at)
        };
        next(name).is_some_and(|found| found == name)
            || next(&folder).is_some_and(|found| found.starts_with(&folder))
    }
}

/// The first line of a file, after these words.
fn line_of(path: &Path, words: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.strip_prefix(words)?.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
pub(crate) mod testing {
    use std::{path::Path, process::Command};

    #[track_caller]
    pub fn git(dir: &Path, args: &[&str]) {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        let status = Command::new("git")
            .args(identity)
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(dir)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .expect("git");
        assert!(status.status.success(), "git {args:?}: {status:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::git, *};

    #[test]
    fn worktrees_share_and_submodules_do_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().canonicalize().expect("a path");
        assert_eq!(repository(&path), None);
        let main = path.join("main");
        fs::create_dir_all(main.join("sub/folder")).expect("made");
        git(&main, &["init", "--quiet"]);
        git(&main, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        let found = repository(&main.join("sub/folder")).expect("a repository");
        let expected = Repository {
            own: main.join(".git"),
            common: main.join(".git"),
            root: main.clone(),
        };
        assert_eq!(found, expected);

        git(&main, &["worktree", "add", "--quiet", "../second"]);
        let second = repository(&path.join("second")).expect("a worktree");
        assert_eq!(second.common, main.join(".git"));
        assert_eq!(second.root, path.join("second"));

        let other = path.join("other");
        fs::create_dir(&other).expect("made");
        git(&other, &["init", "--quiet"]);
        git(&other, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        git(
            &main,
            &["submodule", "--quiet", "add", "../other", "module"],
        );
        let module = repository(&main.join("module")).expect("a submodule");
        assert_eq!(module.common, main.join(".git/modules/module"));

        let empty = path.join("empty");
        fs::create_dir_all(empty.join(".git")).expect("made");
        assert_eq!(repository(&empty), None);
    }

    #[test]
    fn a_project_is_in_a_folder_of_its_repository() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let top = dir.path().canonicalize().expect("it is there");
        assert_eq!(folder_of(&top), Path::new(""));
        for folder in ["apps/one", ".git/objects", ".git/refs"] {
            fs::create_dir_all(top.join(folder)).expect("made");
        }
        fs::write(top.join(".git/HEAD"), "ref: refs/heads/main\n").expect("written");
        assert_eq!(folder_of(&top), Path::new(""));
        assert_eq!(folder_of(&top.join("apps/one")), Path::new("apps/one"));
    }
}
