//! Trees that have passed a hook, so that none is checked twice: small files under `<git common dir>/devenv/hooks/passed`.
//!
//! A pass is one of the tree, its own devenv.toml and lock included, with the facts beside it: who pushes it again, from wherever,
//! runs nothing, and devenv.toml is not even read.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Needed};
use crate::{
    git::Oid,
    sys::{fs::write_private, random},
};

/// A pass that nobody asked for in so long is forgotten.
const KEPT: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// And so are the oldest of more than these.
const MOST: usize = 1000;
/// How often a pass that is asked for is marked as such.
const MARKED: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the passes of one hook of one project are.
pub struct Passed {
    dir: PathBuf,
    /// Told apart in the name, as one repository may have several projects.
    project: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pass {
    /// Random, for digests that tell nothing.
    key: [u8; 32],
    facts: Facts,
}

impl Passed {
    pub fn of(state: &Path, hook: &str, project: &str) -> Self {
        Self {
            dir: state.join("passed").join(hook),
            project: match project {
                "" => String::new(),
                project => format!(".{}", &blake3::hash(project.as_bytes()).to_hex()[..8]),
            },
        }
    }

    /// Whether the tree has passed with all as it is now.
    pub fn contains(&self, tree: &Oid, project: Option<&Path>) -> bool {
        let path = self.path(tree);
        let pass = fs::read(&path).ok();
        let Some(pass) = pass.and_then(|bytes| serde_json::from_slice::<Pass>(&bytes).ok()) else {
            return false;
        };
        let holds = Facts::find(&pass.facts.needed(), project, &pass.key) == pass.facts;
        if holds && age(&path).is_some_and(|age| age > MARKED) {
            // Best effort: at worst it is checked once more some day.
            let file = fs::File::options().append(true).open(&path);
            let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
        }
        holds
    }

    /// Best effort: without it the tree is checked again.
    pub fn add(&self, tree: &Oid, needed: &Needed, project: Option<&Path>) {
        let Ok(key) = random::key() else {
            return;
        };
        let facts = Facts::find(needed, project, &key);
        if let Ok(bytes) = serde_json::to_vec(&Pass { key, facts }) {
            let _ = write_private(&self.path(tree), &bytes);
        }
        self.prune();
    }

    fn path(&self, tree: &Oid) -> PathBuf {
        self.dir.join(format!("{tree}{}.json", self.project))
    }

    fn prune(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut passes: Vec<_> = entries
            .filter_map(|entry| Some((age(&entry.path())?, entry.path())))
            .collect();
        passes.sort();
        let is_old =
            |(index, (age, _)): &(usize, (Duration, PathBuf))| *age > KEPT || *index >= MOST;
        for (_, (_, path)) in passes.into_iter().enumerate().filter(is_old) {
            let _ = fs::remove_file(path);
        }
    }
}

/// `None` also of what was made in the future.
fn age(path: &Path) -> Option<Duration> {
    path.metadata().ok()?.modified().ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(number: usize) -> Oid {
        Oid::parse(&format!("{number:040x}")).expect("a name")
    }

    #[test]
    fn a_pass_is_of_a_tree_a_hook_and_a_project() {
        let dir = tempfile::tempdir().expect("a folder");
        let of = |hook, project| Passed::of(dir.path(), hook, project);
        let needed = Needed {
            files: [".env".to_owned()].into(),
            ..Needed::default()
        };
        of("pre-push", "").add(&tree(1), &needed, None);
        assert!(of("pre-push", "").contains(&tree(1), None));
        assert!(!of("pre-push", "").contains(&tree(2), None));
        assert!(!of("pre-push", "sub").contains(&tree(1), None));
        assert!(!of("pre-commit", "").contains(&tree(1), None));

        fs::write(dir.path().join(".env"), "A=1").expect("written");
        assert!(!of("pre-push", "").contains(&tree(1), Some(dir.path())));
    }

    #[test]
    fn a_broken_file_is_no_pass_and_old_ones_are_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let passed = Passed::of(dir.path(), "pre-push", "");
        passed.add(&tree(1), &Needed::default(), None);
        let old = fs::File::options().append(true).open(passed.path(&tree(1)));
        let long_ago = SystemTime::now() - KEPT - MARKED;
        old.expect("a file").set_modified(long_ago).expect("set");
        passed.add(&tree(2), &Needed::default(), None);
        assert!(!passed.path(&tree(1)).exists());
        fs::write(passed.path(&tree(2)), "{").expect("written");
        assert!(!passed.contains(&tree(2), None));
    }
}
