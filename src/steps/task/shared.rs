//! Outputs that lie in what another step writes as well: each of them has its own files there, and leaves the others' alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::super::Cx;
use crate::{event::Fault, plan::Tree, sys::paths::plain};

/// What was at the task's shared outputs before it ran.
pub(super) struct Shared {
    paths: BTreeSet<String>,
    before: BTreeMap<PathBuf, Tree>,
}

impl Shared {
    pub(super) async fn before(cx: &Cx<'_>, outputs: &[String]) -> Result<Self, Fault> {
        let shared = outputs.iter().filter(|path| is_shared(cx, path));
        let paths: Vec<_> = shared.cloned().collect();
        let before = leaves(cx.output_trees(&paths).await?);
        Ok(Self {
            paths: paths.into_iter().collect(),
            before: before.map(|(path, tree)| (plain(path), tree)).collect(),
        })
    }

    /// What is the task's own of what is there now: of shared outputs each file for itself, without those that it left as they were and
    /// another step says it wrote.
    pub(super) fn own(
        &self,
        cx: &Cx<'_>,
        mut after: BTreeMap<String, Tree>,
    ) -> BTreeMap<String, Tree> {
        let shared: BTreeMap<_, _> = after
            .extract_if(.., |path, _| self.paths.contains(path))
            .collect();
        if shared.is_empty() {
            return after;
        }
        let claimed = claimed(cx);
        let own = leaves(shared).filter(|(path, tree)| {
            let path = plain(path);
            !claimed.contains(&path) || self.before.get(&path) != Some(tree)
        });
        after.extend(own);
        after
    }
}

fn leaves(trees: BTreeMap<String, Tree>) -> impl Iterator<Item = (String, Tree)> {
    trees
        .into_iter()
        .flat_map(|(path, tree)| tree.leaves(&path))
}

fn is_shared(cx: &Cx<'_>, path: &str) -> bool {
    let path = plain(path);
    let mut others = cx.steps.plan.steps.values();
    others.any(|step| step.id != *cx.id() && step.may_write(&path))
}

/// What the other steps that share it have written.
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
