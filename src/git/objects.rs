//! Commits and their trees.

use std::{
    fmt, fs,
    io::{self, Read},
};

use flate2::read::ZlibDecoder;
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
    /// The commit that each name stands for, tags peeled; `None` for what is no commit, such as a tag of a file. One process, or
    /// none where all are commits that were made of late.
    pub async fn tips(&self, names: &[&str]) -> Result<Vec<Option<Tip>>, GitError> {
        let loose = names.iter().map(|name| self.loose_tip(name));
        match loose.collect::<Option<Vec<_>>>() {
            Some(tips) => Ok(tips.into_iter().map(Some).collect()),
            None => self.ask_tips(names).await,
        }
    }

    /// Of a commit in a file of its own, as it is until git packs it.
    fn loose_tip(&self, name: &str) -> Option<Tip> {
        let commit = Oid::parse(name)?;
        let (folder, file) = commit.as_str().split_at(2);
        let path = self.common_dir.join("objects").join(folder).join(file);
        let tree = loose_tree(fs::File::open(path).ok()?)?;
        // Of the same hash.
        (tree.as_str().len() == name.len()).then_some(Tip { commit, tree })
    }

    async fn ask_tips(&self, names: &[&str]) -> Result<Vec<Option<Tip>>, GitError> {
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

/// The tree of a loose commit: `commit <size>\0tree <name>\n`, deflated; see `git help gitformat-pack` and `git help cat-file`.
fn loose_tree(object: impl io::Read) -> Option<Oid> {
    let mut start = Vec::new();
    // The longest there is: 20 digits of a size, 64 of a name.
    ZlibDecoder::new(object)
        .take(128)
        .read_to_end(&mut start)
        .ok()?;
    let commit = start.strip_prefix(b"commit ")?;
    let end = commit.iter().position(|byte| *byte == 0)?;
    let tree = commit[end + 1..].strip_prefix(b"tree ")?;
    let line = tree.split(|byte| *byte == b'\n').next()?;
    Oid::parse(std::str::from_utf8(line).ok()?)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::Path, process::Command};

    use flate2::{Compression, write::ZlibEncoder};

    use super::*;

    fn deflated(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn only_a_whole_commit_has_a_tree() {
        let tree = |text: &str| loose_tree(&deflated(text.as_bytes())[..]).map(|oid| oid.0);
        for name in ["a".repeat(40), "b".repeat(64)] {
            let commit = format!("commit 300\0tree {name}\nparent {}", "c".repeat(400));
            assert_eq!(tree(&commit), Some(name.clone()));
            assert_eq!(tree(&commit.replace("commit", "tag")), None);
            assert_eq!(tree(&commit.replace("tree", "object")), None);
        }
        assert_eq!(loose_tree(&b"no zlib"[..]), None);
        assert_eq!(loose_tree(&deflated(b"commit 300\0tree abc")[..]), None);
        let cut = deflated(format!("commit 300\0tree {}", "a".repeat(40)).as_bytes());
        assert_eq!(loose_tree(&cut[..cut.len() / 2]), None);
    }

    fn git(dir: &Path, args: &[&str]) -> String {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let mut command = Command::new("git");
        let ran = command.args(identity).args(args).current_dir(dir);
        let ran = ran.output().expect("git");
        assert!(ran.status.success(), "git {args:?}: {ran:?}");
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    #[tokio::test]
    async fn a_commit_is_the_same_loose_and_packed() {
        for format in ["sha1", "sha256"] {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path();
            git(path, &["init", "-q", "--object-format", format]);
            fs::write(path.join("a"), "a").expect("written");
            git(path, &["add", "a"]);
            git(path, &["commit", "-q", "-m", "a"]);
            git(path, &["tag", "-a", "-m", "v1", "v1"]);
            git(path, &["tag", "-a", "-m", "file", "file", "HEAD:a"]);
            let repository = Repository::at(path).expect("a repository");
            let names = ["HEAD", "v1", "file"].map(|name| git(path, &["rev-parse", name]));
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let tree = git(path, &["rev-parse", "HEAD^{tree}"]);
            let expected = Tip {
                commit: Oid(names[0].to_owned()),
                tree: Oid(tree),
            };
            assert_eq!(repository.loose_tip(names[0]), Some(expected.clone()));
            for packed in [false, true] {
                if packed {
                    git(path, &["gc", "-q", "--prune=now"]);
                    assert_eq!(repository.loose_tip(names[0]), None);
                }
                let tips = repository.tips(&names).await.expect("git answers");
                assert_eq!(tips, [Some(expected.clone()), Some(expected.clone()), None]);
                let only = repository.tips(&names[..1]).await.expect("git answers");
                assert_eq!(only, [Some(expected.clone())]);
            }
        }
    }
}
