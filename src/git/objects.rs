//! Commits and their trees.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GitError, Repository, ask::Ask};

/// The name of an object, of either hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Oid(String);

impl Oid {
    /// `None` for what is no object's name, and for the zeros that stand for none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_one =
            is_hex && matches!(text.len(), 40 | 64) && text.bytes().any(|byte| byte != b'0');
        is_one.then(|| Self(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As messages show it.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A commit and its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    pub commit: Oid,
    pub tree: Oid,
}

impl Repository {
    /// The commit that each name stands for, tags peeled; `None` for what is no commit, such as a tag of a file. One process.
    pub async fn tips(&self, names: &[&str]) -> Result<Vec<Option<Tip>>, GitError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let question = |name: &&str| format!("{name}^{{commit}}\n{name}^{{tree}}\n");
        let input: String = names.iter().map(question).collect();
        let ask = Ask::of(
            self,
            &["cat-file", "--batch-check=%(objectname) %(objecttype)"],
        );
        let answer = ask.answer(input.as_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer);
        let mut lines = answer.lines().map(|line| {
            let (oid, kind) = line.split_once(' ')?;
            Some((Oid::parse(oid)?, kind))
        });
        let tip = |_: &&str| {
            let (commit, tree) = (lines.next().flatten(), lines.next().flatten());
            let (commit, _) = commit.filter(|(_, kind)| *kind == "commit")?;
            let (tree, _) = tree.filter(|(_, kind)| *kind == "tree")?;
            Some(Tip { commit, tree })
        };
        Ok(names.iter().map(tip).collect())
    }

    /// The commit of HEAD; `None` before the first.
    pub async fn head(&self) -> Result<Option<Tip>, GitError> {
        Ok(self.tips(&["HEAD"]).await?.pop().flatten())
    }

    /// The tree of the index that git gave the hook: what a commit made now would have.
    pub async fn index_tree(&self) -> Result<Oid, GitError> {
        let ask = Ask::of(self, &["write-tree"]);
        let answer = ask.answer(b"").await?;
        let line = String::from_utf8_lossy(&answer);
        Oid::parse(line.trim()).ok_or_else(|| GitError::Answer {
            command: "git write-tree".to_owned(),
            line: line.into_owned(),
        })
    }

    /// Whether the tree has a file of this path.
    pub async fn has_file(&self, tree: &Oid, path: &str) -> Result<bool, GitError> {
        let ask = Ask::of(self, &["cat-file", "--batch-check=%(objecttype)"]);
        let answer = ask.answer(format!("{tree}:{path}\n").as_bytes()).await?;
        Ok(answer.trim_ascii() == b"blob")
    }
}
