//! Whether a checkout holds just the files of a tree, or of an earlier moment.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    GitError, Oid, Repository,
    ask::{Ask, LOCAL_VARIABLES},
};
use crate::sys::fs::absent_is_fine;

impl Repository {
    /// Whether index and files are those of the tree, with no file beside them that git does not ignore, and no submodule that
    /// is changed. What git was told not to look at (a sparse checkout, `assume-unchanged`) is not known to be.
    pub async fn is_checked_out(&self, tree: &Oid) -> Result<bool, GitError> {
        if self.top.is_none() || self.other_index.is_some() {
            return Ok(false);
        }
        let index = Ask::of(
            self,
            &[
                "diff-index",
                "--cached",
                "--quiet",
                "--ignore-submodules=none",
                tree.as_str(),
                "--",
            ],
        );
        let status = Ask::of(
            self,
            &[
                "--no-optional-locks",
                "status",
                "--porcelain",
                "-z",
                "--untracked-files=normal",
                "--ignore-submodules=none",
                "--no-renames",
            ],
        );
        let flags = Ask::of(self, &["ls-files", "-v", "-z"]);
        let (index, status, flags) =
            tokio::try_join!(index.question(), status.answer(b""), flags.answer(b""))?;
        let is_as_index = entries(&status).all(|entry| entry.get(1) == Some(&b' '));
        Ok(index && is_as_index && entries(&flags).all(|entry| entry.starts_with(b"H ")))
    }

    /// Remembers tracked files as they are now, in a folder of its own. Nothing of the repository is written.
    pub async fn snapshot(&self, folder: PathBuf) -> Result<Snapshot, GitError> {
        let snapshot = Snapshot { folder };
        snapshot.begin(&self.git_dir.join("index"))?;
        let mut ask = Ask::of(self, &["-c", "core.safecrlf=false", "add", "--update"]);
        ask.env_remove = LOCAL_VARIABLES.map(Into::into).to_vec();
        ask.env.extend(snapshot.variables(self));
        ask.answer(b"").await?;
        Ok(snapshot)
    }

    /// How tracked files differ from what they were, as a unified diff; from the worktree's own index when nothing else was remembered.
    pub async fn diff(&self, before: Option<&Snapshot>) -> Result<String, GitError> {
        let mut args = vec![
            "--no-optional-locks",
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-renames",
            "--src-prefix=a/",
            "--dst-prefix=b/",
        ];
        // What a submodule's own files were is not remembered.
        args.extend(before.map(|_| "--ignore-submodules=dirty"));
        let mut ask = Ask::of(self, &args);
        // A hook is told of the index of another one.
        ask.env_remove = LOCAL_VARIABLES.map(Into::into).to_vec();
        ask.env
            .extend(before.into_iter().flat_map(|it| it.variables(self)));
        let diff = ask.answer(b"").await?;
        Ok(String::from_utf8_lossy(&diff).into_owned())
    }

    /// Whether git ignores the path. It does not know of one behind a link.
    pub async fn is_ignored(&self, path: &Path) -> Result<bool, GitError> {
        let path = path.display().to_string();
        let ask = Ask::of(self, &["check-ignore", "--quiet", "--", &path]);
        match ask.question().await {
            Err(GitError::Failed { .. }) => Ok(false),
            answer => answer,
        }
    }
}

/// What tracked files of a checkout were at one moment: an index, and the objects that only it has. Gone when it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
}

impl Snapshot {
    /// With the repository's index, so that git need not read what it knows.
    fn begin(&self, index: &Path) -> Result<(), GitError> {
        let write = |path: &Path, source| GitError::Write {
            path: path.to_owned(),
            source,
        };
        let objects = self.folder.join("objects");
        absent_is_fine(fs::remove_dir_all(&self.folder))
            .and_then(|()| fs::create_dir_all(&objects))
            .map_err(|source| write(&objects, source))?;
        let own = self.folder.join("index");
        // Nothing was ever added where there is none.
        absent_is_fine(copy(index, &own)).map_err(|source| write(&own, source))
    }

    fn variables(&self, repository: &Repository) -> [(String, OsString); 3] {
        let objects = repository.common_dir.join("objects");
        [
            ("GIT_INDEX_FILE", self.folder.join("index")),
            ("GIT_OBJECT_DIRECTORY", self.folder.join("objects")),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects),
        ]
        .map(|(name, path)| (name.to_owned(), path.into()))
    }
}

/// With its time: what was changed in the moment in which an index was written, git tells by that.
fn copy(index: &Path, own: &Path) -> io::Result<()> {
    fs::copy(index, own)?;
    let written = index.metadata()?.modified()?;
    File::options().write(true).open(own)?.set_modified(written)
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // The next one begins with an empty folder anyway.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn entries(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = answer.split(|byte| *byte == 0);
    entries.filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::sys::git::testing::git;

    /// Same size, same second: git takes such a file for the one it knows, but for the time of its index.
    #[tokio::test]
    async fn what_was_changed_just_after_it_was_added_is_remembered_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let top = dir.path();
        let (file, index) = (top.join("a"), top.join(".git/index"));
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let age = |path: &Path| {
            let file = File::options().write(true).open(path).expect("it is there");
            file.set_modified(then).expect("aged");
        };
        git(top, &["init", "-q"]);
        fs::write(&file, "one\n").expect("written");
        age(&file);
        git(top, &["add", "a"]);
        fs::write(&file, "two\n").expect("written");
        age(&file);
        age(&index);
        let before = fs::read(&index).expect("it is there");
        let repository = Repository::at(top).expect("a repository");
        let folder = top.join(".git/before");
        let snapshot = repository.snapshot(folder.clone()).await.expect("taken");
        let diff = repository.diff(Some(&snapshot)).await.expect("a diff");
        assert_eq!(diff, "");
        fs::write(&file, "three\n").expect("written");
        let diff = repository.diff(Some(&snapshot)).await.expect("a diff");
        assert!(diff.contains("-two\n+three\n"), "{diff}");
        drop(snapshot);
        assert!(!folder.exists());
        assert_eq!(fs::read(&index).expect("it is there"), before);
    }
}
