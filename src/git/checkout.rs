//! Whether a checkout holds just the files of a tree.

use std::path::Path;

use super::{
    GitError, Oid, Repository,
    ask::{Ask, LOCAL_VARIABLES},
};

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

    /// How tracked files differ from the worktree's own index, as a unified diff.
    pub async fn diff(&self) -> Result<String, GitError> {
        let mut ask = Ask::of(
            self,
            &[
                "--no-optional-locks",
                "diff",
                "--no-color",
                "--no-ext-diff",
                "--no-renames",
                "--src-prefix=a/",
                "--dst-prefix=b/",
            ],
        );
        // A hook is told of the index of another one.
        ask.env_remove = LOCAL_VARIABLES.map(Into::into).to_vec();
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

fn entries(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = answer.split(|byte| *byte == 0);
    entries.filter(|entry| !entry.is_empty())
}
