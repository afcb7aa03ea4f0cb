//! Steps that run on the host and leave files: skipped while a record says that nothing they read or wrote has changed.

use std::collections::BTreeMap;

use super::{Cx, blocking, inputs::Known};
use crate::{
    event::{Explain, Fault},
    plan::{
        Action, Digest, FingerprintError, Input, Inputs, Output, Reason, Tree, Verdict,
        fingerprint, fingerprint_files,
    },
    store::{Since, StepRecord},
};

impl Cx<'_> {
    /// Compares with the last successful run. `action` is what running means for this kind.
    pub(super) async fn judge_record(
        &self,
        known: &Known,
        action: Action,
    ) -> Result<Verdict, Fault> {
        self.judge(known, action, None).await
    }

    /// The same of a step that is told of each file that it wrote below these outputs.
    pub(super) async fn judge_leaves(
        &self,
        known: &Known,
        action: Action,
        outputs: &[String],
    ) -> Result<Verdict, Fault> {
        self.judge(known, action, Some(outputs)).await
    }

    async fn judge(
        &self,
        known: &Known,
        action: Action,
        below: Option<&[String]>,
    ) -> Result<Verdict, Fault> {
        let Some(record) = self.steps.store.record(self.id()) else {
            let mut reasons = vec![Reason::New {
                what: "finished run here".into(),
            }];
            reasons.extend(known.waiting.iter().cloned());
            return Ok(Verdict::act(action, reasons));
        };
        let mut reasons = known
            .inputs
            .changes_since(&without(&record.inputs, &self.waiting_fields(known)));
        reasons.extend(known.waiting.iter().cloned());
        match record.since {
            Since::Nothing => {
                let now = match below {
                    Some(outputs) => digests(&self.output_leaves(outputs).await?),
                    None => {
                        let paths: Vec<_> = record.outputs.keys().cloned().collect();
                        self.output_digests(&paths).await?
                    }
                };
                // What is read as well as written has been named.
                let named = |path: &String| {
                    let file = format!("file.{path}");
                    let mut named = reasons.iter();
                    named.any(
                        |reason| matches!(reason, Reason::Field { field, .. } if *field == file),
                    )
                };
                let changed = changed_outputs(&record.outputs, &now);
                let changed = changed.filter(|(path, _)| !named(path));
                let changed: Vec<_> = changed.map(|(_, reason)| reason).collect();
                reasons.extend(changed);
            }
            Since::Unfinished => reasons.push(Reason::State {
                what: "its last run failed or did not finish".into(),
            }),
        }
        if reasons.is_empty() {
            return Ok(Verdict::Keep(record.output));
        }
        Ok(Verdict::act(action, reasons))
    }

    /// Names of inputs that are not known yet: no reason to say that they were removed.
    fn waiting_fields(&self, known: &Known) -> Vec<String> {
        known
            .waiting
            .iter()
            .filter_map(|reason| match reason {
                Reason::Upstream { step } => Some(step.to_string()),
                _ => None,
            })
            .collect()
    }

    /// Digests of the files that globs name, by path.
    pub(super) async fn digests(&self, globs: &[String]) -> Result<BTreeMap<String, Input>, Fault> {
        let (root, globs) = (self.steps.root.clone(), globs.to_vec());
        let files = self.steps.files.clone();
        blocking(move || fingerprint(&root, &globs, &files)).await
    }

    /// Digests of these very files, by path.
    pub(super) async fn file_digests(
        &self,
        names: Vec<String>,
    ) -> Result<BTreeMap<String, Input>, Fault> {
        let (root, files) = (self.steps.root.clone(), self.steps.files.clone());
        blocking(move || fingerprint_files(&root, &names, &files)).await
    }

    /// What is at declared outputs now, each a file or a folder. What is not there is left out.
    pub(super) async fn output_trees(
        &self,
        paths: &[String],
    ) -> Result<BTreeMap<String, Tree>, Fault> {
        let (root, files) = (self.steps.root.clone(), self.steps.files.clone());
        let paths = paths.to_vec();
        blocking(move || {
            let mut trees = BTreeMap::new();
            for path in paths {
                if let Some(tree) = Tree::read(&root, &path, &files)? {
                    trees.insert(path, tree);
                }
            }
            Ok::<_, FingerprintError>(trees)
        })
        .await
    }

    /// Digests of declared outputs.
    pub(super) async fn output_digests(
        &self,
        paths: &[String],
    ) -> Result<BTreeMap<String, Digest>, Fault> {
        Ok(digests(&self.output_trees(paths).await?))
    }

    /// What is at and below declared outputs now: each file, link and folder by itself.
    pub(super) async fn output_leaves(
        &self,
        paths: &[String],
    ) -> Result<BTreeMap<String, Tree>, Fault> {
        Ok(leaves(self.output_trees(paths).await?))
    }

    /// Remembers a successful run.
    pub(super) fn record(
        &self,
        inputs: Inputs,
        outputs: BTreeMap<String, Digest>,
        output: Output,
    ) -> Result<(), Fault> {
        let record = StepRecord {
            inputs,
            outputs,
            output,
            since: Since::Nothing,
        };
        self.steps
            .store
            .save_record(self.id(), &record)
            .map_err(|error| error.explain())
    }

    /// Before it runs: a kill in between must not leave the old record standing.
    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.steps
            .store
            .begin(self.id())
            .map_err(|error| error.explain())
    }
}

pub(super) fn digests(trees: &BTreeMap<String, Tree>) -> BTreeMap<String, Digest> {
    let digests = trees.iter();
    digests
        .map(|(path, tree)| (path.clone(), tree.digest()))
        .collect()
}

/// Each file, link and folder of trees by itself.
pub(super) fn leaves(trees: BTreeMap<String, Tree>) -> BTreeMap<String, Tree> {
    let trees = trees.into_iter();
    trees.flat_map(|(path, tree)| tree.leaves(&path)).collect()
}

fn changed_outputs<'a>(
    recorded: &'a BTreeMap<String, Digest>,
    now: &'a BTreeMap<String, Digest>,
) -> impl Iterator<Item = (&'a String, Reason)> {
    let changed = recorded
        .iter()
        .filter(|(path, digest)| now.get(*path) != Some(digest));
    changed.map(|(path, _)| {
        let reason = Reason::Output {
            path: path.clone(),
            state: match now.contains_key(path) {
                true => "was changed since".into(),
                false => "is missing".into(),
            },
        };
        (path, reason)
    })
}

fn without(inputs: &Inputs, fields: &[String]) -> Inputs {
    let mut inputs = inputs.clone();
    inputs.0.retain(|field, _| !fields.contains(field));
    inputs
}
