//! `proto.*`: generated code is up to date, or gets generated.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::MutexGuard,
};

use tokio_util::sync::CancellationToken;

use super::{Cx, Mode, Steps, blocking, inputs::Known};
use crate::{
    config::{Proto, StepId, StepKind},
    event::{Explain, Fault, count},
    plan::{Acted, Action, Digest, Output, Outputs, Verdict},
    proto::{self, Changed, Existing, Generated, Leftover, Writers, Written},
    store::Since,
};

/// More lines of a diff are for `devenv proto --check`.
const SHOWN: usize = 60;

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let known = inputs(cx, table(cx)).await?;
    cx.judge_record(&known, Action::Run).await
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    match cx.steps.mode {
        Mode::Apply => apply(cx).await,
        Mode::Check => check(cx).await,
    }
}

async fn apply(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let made = made(cx).await?;
    let (written, output) = write(cx, made).await?;
    for path in &written.deleted {
        cx.events
            .log(format!("deleted {path}: nothing generates it any more"));
    }
    Ok(Acted {
        output,
        summary: written.to_string(),
    })
}

/// Compares with what is there and writes nothing. Who made a file that differs does not matter to that.
async fn check(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let Made { generated, .. } = made(cx).await?;
    let (root, state) = (cx.steps.root.clone(), cx.steps.store.dir().to_owned());
    let name = cx.id().name.clone();
    let (paths, total): (Vec<_>, _) = (
        generated.files.keys().cloned().collect(),
        generated.files.len(),
    );
    let mut diff = blocking(move || proto::check(&root, &name, &generated, &state)).await?;
    for file in &mut diff.files {
        if file.state == Existing::Foreign {
            file.state = Existing::Changed;
        }
    }
    let sums = Fault::all(proto::drift(&diff.files, Vec::new()).collect());
    if let Some(fault) = sums {
        let mut room = SHOWN;
        let files = diff.files.iter();
        return Err(fault.after(files.filter_map(|file| out_of_date(file, &mut room))));
    }
    let outputs = cx.output_digests(&paths).await?;
    Ok(Acted {
        output: output_of(&outputs),
        summary: format!("{} up to date", count(total, "file")),
    })
}

/// Where a file differs, with its diff while there is room for its lines. What was edited is told by another.
fn out_of_date(file: &Changed, room: &mut usize) -> Option<Fault> {
    let path = &file.path;
    let message = match file.state {
        Existing::Changed | Existing::Foreign => format!("`{path}` is not as generated"),
        Existing::Missing => format!("`{path}` is not there"),
        Existing::Stale => format!("nothing generates `{path}` any more"),
        Existing::Edited => return None,
    };
    let fault = Fault::new(message).at_file(path, first_difference(&file.diff), 1);
    let lines: Vec<_> = file.diff.lines().take(*room).collect();
    let more = file.diff.lines().count() - lines.len();
    *room -= lines.len();
    Some(match (lines.is_empty(), more) {
        (true, _) => fault,
        (false, 0) => fault.note(lines.join("\n")),
        (false, more) => fault.note(format!(
            "{}\n… {} more: `devenv proto --check` shows all",
            lines.join("\n"),
            count(more, "line")
        )),
    })
}

/// The first line on disk that a unified diff changes; 1 when there is nothing on disk.
fn first_difference(diff: &str) -> usize {
    let mut lines = diff.lines().skip_while(|line| !line.starts_with("@@ -"));
    let start = lines.next().and_then(|hunk| {
        let start = hunk.strip_prefix("@@ -")?.split([',', ' ']).next()?;
        start.parse::<usize>().ok()
    });
    let same = lines.take_while(|line| line.starts_with(' ')).count();
    (start.unwrap_or(1) + same).max(1)
}

async fn made(cx: &Cx<'_>) -> Result<Made, Fault> {
    let name = cx.id().name.clone();
    let mut made = cx.steps.generate(&[name], cx.outputs, &cx.cancel).await?;
    Ok(made.pop().expect("one table was asked for"))
}

/// A table's files in memory, with the inputs they were made from.
pub struct Made {
    pub id: StepId,
    pub generated: Generated,
    known: Known,
}

impl Steps {
    /// Generates these tables in memory, in this order, and makes sure that no other table writes one of their files.
    pub async fn generate(
        &self,
        names: &[String],
        outputs: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<Vec<Made>, Fault> {
        let mut all = Vec::new();
        for name in names {
            let id = StepId::new(StepKind::Proto, name);
            let cx = self.cx(&id, outputs, cancel);
            let at_table = |fault: Fault| fault.at_key(cx.step.site.clone());
            let known = inputs(&cx, table(&cx)).await.map_err(at_table)?;
            let generated = in_memory(&cx).await.map_err(at_table)?;
            let writers = generated.writers.clone();
            self.known_writers().insert(id.clone(), writers);
            all.push(Made {
                id,
                generated,
                known,
            });
        }
        let rivals = self.rivals(names, outputs, cancel).await?;
        let every = all
            .iter()
            .map(|made| &made.generated.writers)
            .chain(&rivals);
        proto::disjoint(&self.config.source, every).map_err(|error| error.explain())?;
        Ok(all)
    }

    /// What other tables write into the same folders. One that fails says so itself when its turn comes.
    async fn rivals(
        &self,
        names: &[String],
        outputs: &Outputs,
        cancel: &CancellationToken,
    ) -> Result<Vec<Writers>, Fault> {
        let rivals: BTreeSet<_> = names
            .iter()
            .flat_map(|name| proto::rivals(&self.config, name))
            .filter(|rival| !names.iter().any(|name| name == rival))
            .collect();
        let mut writers = Vec::new();
        for rival in rivals {
            let id = StepId::new(StepKind::Proto, rival);
            let known = self.known_writers().get(&id).cloned();
            if let Some(known) = known {
                writers.push(known);
                continue;
            }
            let cx = self.cx(&id, outputs, cancel);
            match in_memory(&cx).await {
                // A rival that was cut short has shown nothing, and what is not compared is not written.
                Err(fault) if cancel.is_cancelled() => return Err(fault),
                made => writers.extend(made.map(|made| made.writers)),
            }
        }
        Ok(writers)
    }

    /// Whether another table writes a file of this one, as far as that shows without running a plugin.
    pub async fn proto_collision(&self, id: &StepId) -> Option<Fault> {
        let tables = &self.config.proto;
        let has_rust = |name: &&str| tables.get(*name).is_some_and(|table| table.rust.is_some());
        let own = Some(id.name.as_str()).filter(|_| id.kind == StepKind::Proto);
        let own = own.filter(has_rust)?;
        let rivals = proto::rivals(&self.config, own).into_iter();
        let rivals: Vec<_> = rivals.filter(has_rust).collect();
        if rivals.is_empty() {
            return None;
        }
        let never = CancellationToken::new();
        let mut all = Vec::new();
        for name in rivals.into_iter().chain([own]) {
            let table = tables.get(name)?;
            // What cannot be compiled says so itself.
            all.extend(proto::rust_writers(&self.root, name, table, &never).await);
        }
        let found = proto::disjoint(&self.config.source, &all);
        found.err().map(|error| error.explain())
    }

    fn known_writers(&self) -> MutexGuard<'_, BTreeMap<StepId, Writers>> {
        self.writers
            .lock()
            .expect("no panic while the lock is held")
    }

    /// Brings the files to disk and remembers it, so that the step has nothing to do until something changes.
    pub async fn write(&self, made: Made, outputs: &Outputs) -> Result<Written, Fault> {
        let cancel = CancellationToken::new();
        let id = made.id.clone();
        let cx = self.cx(&id, outputs, &cancel);
        let written = write(&cx, made).await;
        let (written, _) = written.map_err(|fault| fault.at_key(cx.step.site.clone()))?;
        Ok(written)
    }

    /// What tables that the file no longer has left on disk.
    pub async fn generated_leftovers(&self) -> Result<Vec<Leftover>, Fault> {
        let (root, state) = (self.root.clone(), self.store.dir().to_owned());
        let config = self.config.clone();
        blocking(move || {
            let tables = config.proto.keys().map(String::as_str).collect();
            proto::leftovers(&root, &state, &tables)
        })
        .await
    }

    /// Files that were edited and that nothing generates any more: of tables that the file no longer has, and of these, as far as
    /// they are up to date.
    pub async fn edited_leftovers(&self, tables: &BTreeSet<StepId>) -> Result<Vec<String>, Fault> {
        let leftovers = self.generated_leftovers().await?.into_iter();
        let mut edited: BTreeSet<_> = leftovers.flat_map(|leftover| leftover.edited).collect();
        for id in tables {
            let record = self.store.record(id);
            let generated = match record.filter(|record| record.since == Since::Nothing) {
                Some(record) => record.outputs.into_keys().collect(),
                None => continue,
            };
            let (root, state) = (self.root.clone(), self.store.dir().to_owned());
            let (config, name) = (self.config.clone(), id.name.clone());
            let kept = move || match config.proto.get(&name) {
                Some(table) => proto::kept(&root, &state, &name, table, &generated),
                None => Ok(Vec::new()),
            };
            edited.extend(blocking(kept).await?);
        }
        Ok(edited.into_iter().collect())
    }

    /// Deletes what is as it was generated.
    pub async fn remove_generated(&self, leftover: &Leftover) -> Result<(), Fault> {
        let (root, state) = (self.root.clone(), self.store.dir().to_owned());
        let leftover = leftover.clone();
        blocking(move || proto::remove(&root, &state, &leftover)).await
    }
}

async fn in_memory(cx: &Cx<'_>) -> Result<Generated, Fault> {
    let path = cx.steps.host_env().remove("PATH").unwrap_or_default();
    let (root, name) = (&cx.steps.root, &cx.id().name);
    proto::generate(root, name, table(cx), &path, &cx.cancel)
        .await
        .map_err(|error| error.explain())
}

async fn write(cx: &Cx<'_>, made: Made) -> Result<(Written, Output), Fault> {
    let Made {
        generated, known, ..
    } = made;
    cx.begin()?;
    let paths: Vec<_> = generated.files.keys().cloned().collect();
    let (root, state) = (cx.steps.root.clone(), cx.steps.store.dir().to_owned());
    let name = cx.id().name.clone();
    let written = blocking(move || proto::write(&root, &name, &generated, &state)).await?;
    let outputs = cx.output_digests(&paths).await?;
    let output = output_of(&outputs);
    // With a tool that is not installed yet, it was made by another one than the step would use.
    if known.waiting.is_empty() {
        cx.record(known.inputs, outputs, output.clone())?;
    }
    Ok((written, output))
}

fn output_of(files: &BTreeMap<String, Digest>) -> Output {
    let all: String = files.values().map(Digest::to_string).collect();
    Output {
        digest: Digest::of(all).to_hex(),
        ..Output::default()
    }
}

async fn inputs(cx: &Cx<'_>, table: &Proto) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    let (root, table) = (cx.steps.root.clone(), table.clone());
    let files = blocking(move || proto::inputs(&root, &table)).await?;
    known.inputs.0.extend(cx.file_digests(files).await?);
    // Another version may generate other code from the same files.
    known.inputs.text("devenv", env!("CARGO_PKG_VERSION"));
    Ok(known)
}

fn table<'a>(cx: &Cx<'a>) -> &'a Proto {
    cx.steps
        .config
        .proto
        .get(&cx.id().name)
        .expect("the plan has only protos of the file")
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_difference_is_a_line_on_disk() {
        assert_eq!(
            first_difference("--- a\n+++ b\n@@ -7,3 +7,4 @@\n x\n y\n+z\n"),
            9
        );
        assert_eq!(first_difference("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n"), 1);
        assert_eq!(
            first_difference("--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+y\n"),
            1
        );
        assert_eq!(first_difference(""), 1);
    }
}
