//! What a task has at its outputs: only what it wrote there itself. All else in a folder is the user's, or another step's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::super::Cx;
use crate::{
    config::Task,
    event::Fault,
    plan::{Digest, Reason, Tree},
    store::{TaskResult, is_temporary},
    sys::paths::plain,
};

/// Each file, link and folder by itself, by its path in the project.
pub(super) type Leaves = BTreeMap<String, Tree>;

/// Inode and time of the last change of its content: a file that was written again with the same content has others.
type Stamp = (u64, i64, i64);

/// What was at the task's outputs before it ran.
pub(super) struct Before {
    leaves: Leaves,
    stamps: BTreeMap<String, Stamp>,
    /// What the last recorded run wrote.
    recorded: BTreeMap<String, Digest>,
}

/// What is there after it ran.
#[derive(Default)]
pub(super) struct Own {
    pub outputs: Leaves,
    /// Files that nobody is known to have written, and that the run left as they were: it may have relied on them.
    pub beside: BTreeSet<String>,
    /// Files that the task once wrote, that somebody changed since, and that the run left so.
    pub doubtful: Vec<String>,
}

impl Before {
    pub(super) async fn of(cx: &Cx<'_>, outputs: &[String]) -> Result<Self, Fault> {
        let leaves = cx.output_leaves(outputs).await?;
        Ok(Self {
            stamps: stamps(&cx.steps.root, &leaves),
            leaves,
            recorded: recorded(cx),
        })
    }

    /// Sorts what is there now.
    pub(super) fn own(&self, cx: &Cx<'_>, task: &Task, after: Leaves) -> Own {
        let stamps = stamps(&cx.steps.root, &after);
        let claimed = claimed(cx);
        let roots: BTreeSet<_> = task.outputs.iter().map(plain).collect();
        let full = folders(&after);
        let mut own = Own::default();
        for (path, tree) in after {
            if is_temporary(&path) {
                continue;
            }
            let is_root = roots.contains(&plain(&path));
            if tree.is_folder() {
                let is_new = !full.contains(path.as_str())
                    && (self.recorded.contains_key(&path) || !self.leaves.contains_key(&path));
                if is_root || is_new {
                    own.outputs.insert(path, tree);
                }
                continue;
            }
            let was = self.leaves.get(&path).map(|was| &was.nodes);
            let written = was != Some(&tree.nodes) || self.stamps.get(&path) != stamps.get(&path);
            if !written && claimed.contains(&plain(&path)) {
                continue;
            }
            match self.recorded.get(&path) {
                Some(digest) if !written && *digest != tree.digest() => own.doubtful.push(path),
                None if !written && !is_root => drop(own.beside.insert(path)),
                Some(_) | None => drop(own.outputs.insert(path, tree)),
            }
        }
        own
    }
}

/// What restoring a result meets at the task's outputs.
pub(super) struct Meets {
    pub present: Leaves,
    /// What a recorded run of the task wrote, nobody changed since, and the result does not hold.
    pub stale: Vec<String>,
    /// Why the task runs instead.
    pub obstacles: Vec<Reason>,
}

impl Meets {
    pub(super) async fn of(cx: &Cx<'_>, task: &Task, result: &TaskResult) -> Result<Self, Fault> {
        let present = cx.output_leaves(&task.outputs).await?;
        let recorded = recorded(cx);
        let as_recorded =
            |path: &str, tree: &Tree| recorded.get(path).is_some_and(|is| *is == tree.digest());
        let in_the_way = |(path, wanted): &(&String, &Tree)| {
            present.get(*path).is_some_and(|now| {
                let alike = now.is_folder() == wanted.is_folder();
                let same = now.nodes == wanted.nodes;
                !(same || alike && !now.is_folder() && as_recorded(path, now))
            })
        };
        let changed = result.outputs.iter().filter(in_the_way);
        let changed = changed.map(|(path, _)| (path, "was changed since"));
        // What the task itself has written there meanwhile is not what it found there then.
        let other = result
            .beside
            .iter()
            .filter(|path| !present.contains_key(*path) || recorded.contains_key(*path));
        let other = other.map(|path| (path, "is not what was there when its result was kept"));
        let obstacles = changed.chain(other).map(|(path, state)| Reason::Output {
            path: path.clone(),
            state: state.into(),
        });
        let obstacles = obstacles.collect();
        let claimed = claimed(cx);
        let stale = present.iter().filter(|(path, tree)| {
            !result.outputs.contains_key(*path)
                && (as_recorded(path, tree) || is_temporary(path))
                && !claimed.contains(&plain(path))
        });
        let stale = stale.map(|(path, _)| path.clone()).collect();
        Ok(Self {
            present,
            stale,
            obstacles,
        })
    }
}

fn recorded(cx: &Cx<'_>) -> BTreeMap<String, Digest> {
    let record = cx.steps.store.record(cx.id());
    record.map(|record| record.outputs).unwrap_or_default()
}

/// Those that hold something.
fn folders(leaves: &Leaves) -> BTreeSet<String> {
    let above = leaves.keys().filter_map(|path| path.rsplit_once('/'));
    above.map(|(folder, _)| folder.to_owned()).collect()
}

fn stamps(root: &Path, leaves: &Leaves) -> BTreeMap<String, Stamp> {
    let stamp = |path: &String| {
        let found = fs::symlink_metadata(root.join(path)).ok()?;
        let stamp = (found.ino(), found.mtime(), found.mtime_nsec());
        Some((path.clone(), stamp))
    };
    leaves.keys().filter_map(stamp).collect()
}

/// What the other steps that write to the same places have written.
fn claimed(cx: &Cx<'_>) -> BTreeSet<PathBuf> {
    let others = cx.steps.plan.steps.values();
    let others = others.filter(|step| {
        step.id != *cx.id() && cx.step.writes.iter().any(|path| step.may_write(path))
    });
    let records = others.filter_map(|step| cx.steps.store.record(&step.id));
    records
        .flat_map(|record| record.outputs.into_keys())
        .map(plain)
        .collect()
}
