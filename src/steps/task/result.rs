//! Results of tasks that are kept: what a task printed and left comes back when all it depends on is as it was then.

use std::collections::BTreeMap;

use super::{
    super::{Cx, blocking, inputs::Known, record::digests},
    own::{Meets, Own},
};
use crate::{
    config::Task,
    event::{Explain, Fault, count, quoted},
    plan::{Acted, Digest, Input, Inputs, Output},
    store::{Restored, ResultsError, TaskResult},
};

/// Stands in a record for an input that changed while the task ran: no file has this digest.
const MOVED: &str = "changed while it ran";

/// The same for a file that the task once wrote and somebody else changed: it is a reason to run until the task writes it.
const FOREIGN: &str = "changed by somebody else";

impl Cx<'_> {
    /// What was kept under these inputs.
    pub(super) async fn kept_result(&self, inputs: &Inputs) -> Result<Option<TaskResult>, Fault> {
        let (results, key) = (self.steps.store.results(), inputs.key());
        blocking(move || Ok::<_, ResultsError>(results.find(&key))).await
    }

    /// Brings back the outputs and shows what was printed; `None` when the result turns out to be damaged or cannot be put there.
    pub(super) async fn reuse(&self, task: &Task, known: &Known) -> Result<Option<Acted>, Fault> {
        let Some(result) = self.kept_result(&known.inputs).await? else {
            return Ok(None);
        };
        let Meets {
            present,
            stale,
            obstacles,
        } = Meets::of(self, task, &result).await?;
        if let Some(obstacle) = obstacles.first() {
            self.events.log(format!(
                "its kept result is of no use, so it runs: {obstacle}"
            ));
            return Ok(None);
        }
        self.begin()?;
        let results = self.steps.store.results();
        let (root, key) = (self.steps.root.clone(), known.inputs.key());
        let restored = {
            let (key, result) = (key, result.clone());
            let restore = move || {
                Ok::<_, ResultsError>(results.restore(&key, &result, &root, &present, &stale))
            };
            blocking(restore).await?
        };
        let Restored { written, removed } = match restored {
            Ok(restored) => restored,
            Err(error) => {
                let why = error.explain();
                self.events
                    .log(format!("its kept result is of no use, so it runs: {why}"));
                return Ok(None);
            }
        };
        for path in removed {
            self.events
                .log(format!("removed {path}: the task did not write it"));
        }
        self.replay(&result).await;
        self.steps.store.results().touch(&key);
        let outputs = digests(&result.outputs);
        self.record(known.inputs.clone(), outputs, result.output.clone())?;
        let files = match written {
            0 => String::new(),
            written => format!(" and restored {}", count(written, "file")),
        };
        Ok(Some(Acted {
            output: result.output,
            summary: format!("Reused the result of `{}`{files}", task.run),
        }))
    }

    /// Shows what a task that is up to date printed when it ran.
    pub(super) async fn replay_kept(&self) -> Result<(), Fault> {
        let Some(record) = self.steps.store.record(self.id()) else {
            return Ok(());
        };
        if let Some(result) = self.kept_result(&record.inputs).await? {
            self.replay(&result).await;
            self.steps.store.results().touch(&record.inputs.key());
        }
        Ok(())
    }

    async fn replay(&self, result: &TaskResult) {
        if !result.lines.is_empty() {
            self.events.log("(what it printed when it ran)");
        }
        for line in &result.lines {
            self.events.output(line).await;
        }
    }

    /// Remembers a success, and keeps its result unless its inputs changed meanwhile: nobody knows which of them it has read.
    pub(super) async fn remember(
        &self,
        task: &Task,
        before: Inputs,
        own: Own,
        lines: Vec<String>,
    ) -> Result<Output, Fault> {
        let mut outputs = digests(&own.outputs);
        let key = before.key();
        let output = Output {
            digest: output_digest(&key, &outputs).to_hex(),
            ..Output::default()
        };
        let foreign = own.doubtful.iter();
        outputs.extend(foreign.map(|path| (path.clone(), Digest::of(FOREIGN))));
        if !task.is_cached() {
            self.record(before, outputs, output.clone())?;
            return Ok(output);
        }
        let after = super::inputs(self, task).await?.inputs;
        let moved = moved(&before, &after);
        if let Some(path) = own.doubtful.first() {
            self.events.log(format!(
                "its result is not kept: somebody changed `{path}`, and it left it so"
            ));
        } else if moved.is_empty() {
            let result = TaskResult {
                lines,
                outputs: own.outputs,
                beside: own.beside,
                output: output.clone(),
            };
            self.keep(&key, result).await?;
        } else {
            self.tell_moved(task, &moved);
        }
        let mut inputs = before;
        for field in moved {
            inputs.content(field, Digest::of(MOVED));
        }
        self.record(inputs, outputs, output.clone())?;
        Ok(output)
    }

    /// The task has succeeded, whether that can be remembered or not.
    async fn keep(&self, key: &Digest, result: TaskResult) -> Result<(), Fault> {
        let (results, root) = (self.steps.store.results(), self.steps.root.clone());
        let key = *key;
        let save = move || Ok::<_, ResultsError>(results.save(&key, &result, &root));
        if let Err(error) = blocking(save).await? {
            let why = error.explain();
            self.events
                .notice(format!("the result of `{}` is not kept: {why}", self.id()));
        }
        Ok(())
    }

    fn tell_moved(&self, task: &Task, moved: &[String]) {
        let files = moved
            .iter()
            .map(|field| field.strip_prefix("file.").unwrap_or(field));
        let own = |file: &&str| {
            let mut outputs = task.outputs.iter().map(|path| path.trim_end_matches('/'));
            outputs.any(|path| {
                file.strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let own: Vec<_> = files.filter(own).take(3).collect();
        let why = match own.is_empty() {
            true => format!("{} changed while it ran", quoted(moved.iter().take(3))),
            false => format!(
                "it writes {}, which its `inputs` name: take it out of them with `!`, or it runs once more",
                quoted(own)
            ),
        };
        self.events.log(format!("its result is not kept: {why}"));
    }
}

/// What a task hands to those after it: all that it depended on, and what it left.
fn output_digest(key: &Digest, outputs: &BTreeMap<String, Digest>) -> Digest {
    let all: String = outputs.values().map(Digest::to_string).collect();
    Digest::of(format!("{key}{all}"))
}

/// Fields that are not as they were.
fn moved(before: &Inputs, after: &Inputs) -> Vec<String> {
    let all = before.0.keys().chain(after.0.keys());
    let mut moved: Vec<_> = all
        .filter(|field| before.0.get(*field) != after.0.get(*field))
        .cloned()
        .collect();
    moved.sort();
    moved.dedup();
    moved
}

/// The value of a variable is no text to be shown: it may be a secret.
pub(super) fn passed<S: AsRef<str>>(
    names: impl IntoIterator<Item = S>,
) -> impl Iterator<Item = (String, Input)> {
    names.into_iter().map(|name| {
        let name = name.as_ref();
        let value = std::env::var_os(name);
        let value = value.map(|value| Digest::of(value.as_encoded_bytes()));
        (
            format!("env.{name}"),
            value.map_or(Input::Absent, Input::Content),
        )
    })
}
