//! `lint.*`: the migrations of a `[migrate.*]` that are new or changed since the work began obey the rules. Needs nothing that runs.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::{Cx, Steps, blocking, inputs::Known};
use crate::{
    config::{Migrate, StepId},
    database::{self, Migration, Rules, ScanError},
    event::{Explain, Fault, Severity, count},
    git::{self, Base},
    plan::{Acted, Action, Digest, Output, Outputs, Verdict, fingerprint_folder},
};

/// More at once would only be scrolled by.
const SHOWN: usize = 200;

/// What one look at the files of a `[migrate.*]` found.
#[derive(Debug)]
pub struct Looked {
    /// File by file.
    pub errors: Vec<Fault>,
    /// Files at which the lint itself failed.
    pub warnings: Vec<Fault>,
    /// Whether there are rules at all: `lint = false` leaves none.
    enabled: bool,
    /// Migrations that the rules were for.
    pub new: usize,
    /// All migrations.
    pub valid: usize,
    /// By what the base was found, such as `origin/main`; `None` where all migrations are new.
    pub since: Option<String>,
}

impl Steps {
    /// Looks at the files now, whatever the record says.
    ///
    /// # Errors
    /// Files that cannot be migrations, and a ref to compare with that git does not know.
    pub async fn lint(&self, id: &StepId) -> Result<Looked, Fault> {
        let (outputs, never) = (Outputs::new(), CancellationToken::new());
        let cx = self.cx(id, &outputs, &never);
        look(&cx, old(&cx).await?).await
    }
}

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let known = inputs(cx, &old(cx).await?).await?;
    cx.judge_record(&known, Action::Run).await
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let old = old(cx).await?;
    let known = inputs(cx, &old).await?;
    cx.begin()?;
    let looked = look(cx, old).await?;
    let summary = looked.summary();
    for warning in looked.warnings {
        cx.events.warn(warning);
    }
    if let Some(fault) = failure(looked.errors) {
        return Err(fault);
    }
    let output = Output::default();
    cx.record(known.inputs, Default::default(), output.clone())?;
    Ok(Acted { output, summary })
}

impl Looked {
    /// `Checked 2 migrations new or changed since origin/main, 7 older`.
    pub fn summary(&self) -> String {
        if !self.enabled {
            let valid = count(self.valid, "migration");
            return format!("Read {valid}, no rules: `lint = false`");
        }
        let new = count(self.new, "migration");
        match &self.since {
            None => format!("Checked {new}"),
            Some(since) => {
                let older = self.valid - self.new;
                format!("Checked {new} new or changed since {since}, {older} older")
            }
        }
    }
}

async fn look(cx: &Cx<'_>, old: Old) -> Result<Looked, Fault> {
    let migrations = scan(cx).await?;
    let rules = rules(cx);
    let looked = blocking(move || {
        let is_new = |migration: &&Migration| rules.enabled() && !is_old(migration, &old.names);
        let new: Vec<_> = migrations.iter().filter(is_new).collect();
        let found = new.iter().flat_map(|new| database::lint(new, &rules));
        let (errors, warnings) = found.partition(|fault| fault.severity == Severity::Error);
        Ok::<_, ScanError>(Looked {
            errors,
            warnings,
            enabled: rules.enabled(),
            new: new.len(),
            valid: migrations.len(),
            since: old.since,
        })
    });
    looked.await
}

/// Files that cannot be migrations at all, each with its place, whether old or new: no database could be made from them.
async fn scan(cx: &Cx<'_>) -> Result<Vec<Migration>, Fault> {
    let (root, dir) = (cx.steps.root.clone(), table(cx).dir.clone());
    let scanned = blocking(move || match database::scan(&root, &dir) {
        Ok(migrations) => Ok::<_, ScanError>(Ok(migrations)),
        Err(error) => Ok(Err(error.faults())),
    });
    let faults = match scanned.await? {
        Ok(migrations) => return Ok(migrations),
        Err(faults) => faults.into_iter(),
    };
    let faults = faults.map(|fault| fault.at_key(cx.key("dir"))).collect();
    Err(Fault::all(faults).expect("a scan fails for a reason"))
}

fn is_old(migration: &Migration, old: &BTreeSet<String>) -> bool {
    let name = migration.file.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| old.contains(name))
}

/// All errors as one failure; `None` without any.
pub fn failure(mut errors: Vec<Fault>) -> Option<Fault> {
    let number = errors.len();
    if number == 0 {
        return None;
    }
    errors.truncate(SHOWN);
    let fault = Fault::new(format!("{} in migrations", count(number, "finding")))
        .help("where one is as it should be, write `-- squawk-ignore RULE` on the line above it, or turn the rule off with `lint = { exclude = [\"RULE\"] }`");
    let fault = match number - errors.len() {
        0 => fault,
        more => fault.note(format!("{more} more are not shown")),
    };
    Some(fault.after(errors))
}

/// Migrations that the rules are not for, as they were there when the work began.
#[derive(Default)]
struct Old {
    names: BTreeSet<String>,
    since: Option<String>,
}

async fn old(cx: &Cx<'_>) -> Result<Old, Fault> {
    let dir = cx.steps.root.join(&table(cx).dir);
    if !dir.is_dir() {
        return Ok(Old::default());
    }
    let explain = |error: git::BaseError| error.explain();
    let base = git::base(&dir, &cx.steps.since).await.map_err(explain)?;
    let (id, of) = match base {
        Base::Commit { id, of } => (id, of),
        Base::None { .. } => return Ok(Old::default()),
    };
    let mut names = git::unchanged(&dir, &id).await.map_err(explain)?;
    names.retain(|name| name.ends_with(".sql"));
    Ok(Old {
        names,
        since: Some(of),
    })
}

async fn inputs(cx: &Cx<'_>, old: &Old) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    let (root, dir) = (cx.steps.root.clone(), table(cx).dir.clone());
    let cache = cx.steps.files.clone();
    let files = blocking(move || fingerprint_folder(&root, &dir, ".sql", &cache));
    known.inputs.0.extend(files.await?);
    let names: Vec<_> = old.names.iter().map(String::as_str).collect();
    // Which are old, and no more: another commit on the default branch is no reason to look again.
    known
        .inputs
        .content("list of older migrations", Digest::of(names.join("\n")));
    known.inputs.text("rules", env!("CARGO_PKG_VERSION"));
    Ok(known)
}

fn rules(cx: &Cx<'_>) -> Rules {
    let table = table(cx);
    let postgres = cx.config().postgres.get(&table.postgres.name);
    let version = postgres.map(|postgres| postgres.version.as_str());
    Rules::new(&table.lint, version)
}

fn table<'a>(cx: &'a Cx<'_>) -> &'a Migrate {
    cx.config()
        .migrate
        .get(&cx.id().name)
        .expect("the plan has only lints of the file's migrations")
}
