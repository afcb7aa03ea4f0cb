//! `devenv migrate`: apply the migrations of a running database, show how they stand, check and lint their files, or begin a new one.

mod lint;

use std::{fs, io::Write, path::Path, process::ExitCode};

use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::{candidates, context::Context, interrupt};
use crate::{
    config::{Config, Migrate, StepId, StepKind},
    database::{self, Migration, Options, Status},
    event::{Event, Events, Explain, Fault, FaultClass, Record, count, quoted},
    report,
};

/// Apply migrations to the running database, or check or begin them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only check names and text of the files; needs no database.
    #[arg(long)]
    check: bool,
    /// Which migrations, such as `db` of `[migrate.db]`; all when absent.
    #[arg(long, value_name = "STEP", global = true, add = candidates::names(StepKind::Migrate))]
    step: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Check new and changed files for what locks tables, loses data or breaks a running app; needs no database.
    Lint(lint::Args),
    /// Show what is applied and what is pending. Changes nothing.
    Status,
    /// Begin a migration: the next version in the folder's own style. Prints its path.
    New {
        /// What it does, such as `add_users`.
        name: String,
    },
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let tables = tables(&config, args.step.as_deref())?;
    if args.check && args.action.is_some() {
        return Err(
            Fault::new("`--check` looks at files alone, and goes with no action")
                .class(FaultClass::Usage)
                .help("run `devenv migrate --check` by itself"),
        );
    }
    match args.action {
        Some(Action::New { name }) => new(cx, &tables, &name),
        Some(Action::Lint(args)) => lint::run(cx, &tables, args).await,
        Some(Action::Status) => status(cx, &tables).await,
        None if args.check => check(cx, &tables),
        None => apply(cx, &tables).await,
    }
}

type Tables<'a> = Vec<(StepId, &'a Migrate)>;

/// The wanted table, or all.
fn tables<'a>(config: &'a Config, wanted: Option<&str>) -> Result<Tables<'a>, Fault> {
    let all: Tables = config
        .migrate
        .iter()
        .map(|(name, table)| (StepId::new(StepKind::Migrate, name), table))
        .collect();
    if all.is_empty() {
        return Err(Fault::new("devenv.toml has no `[migrate.*]` table")
            .class(FaultClass::Usage)
            .help("add `[migrate.db]` with `dir` and `postgres`"));
    }
    let Some(wanted) = wanted else {
        return Ok(all);
    };
    let wanted = wanted.strip_prefix("migrate.").unwrap_or(wanted);
    let known = quoted(all.iter().map(|(id, _)| id));
    let found: Tables = all
        .into_iter()
        .filter(|(id, _)| id.name == wanted)
        .collect();
    if found.is_empty() {
        return Err(Fault::new(format!("devenv.toml has no `migrate.{wanted}`"))
            .class(FaultClass::Usage)
            .help(format!("it has {known}")));
    }
    Ok(found)
}

/// A table with its migrations.
type Scanned<'a> = (&'a StepId, &'a Migrate, Vec<Migration>);

/// What is wrong in any of the folders is told before anything is done, also when no database runs.
fn scan<'a>(cx: &Context, tables: &'a Tables) -> Result<Vec<Scanned<'a>>, Fault> {
    let root = cx.root()?;
    let (mut scanned, mut faults) = (Vec::new(), Vec::new());
    for (id, table) in tables {
        match database::scan(&root, &table.dir) {
            Ok(migrations) => scanned.push((id, *table, migrations)),
            Err(error) => {
                let key = id.key_path().join("dir");
                let of_table = error.faults().into_iter();
                faults.extend(of_table.map(|fault| fault.at_key(key.clone())));
            }
        }
    }
    match Fault::all(faults) {
        None => Ok(scanned),
        Some(fault) => Err(fault),
    }
}

#[derive(Serialize)]
struct Checked {
    step: StepId,
    valid: usize,
}

fn check(cx: &Context, tables: &Tables) -> Result<ExitCode, Fault> {
    let scanned = scan(cx, tables)?.into_iter();
    let valid: Vec<_> = scanned
        .map(|(step, _, migrations)| Checked {
            step: step.clone(),
            valid: migrations.len(),
        })
        .collect();
    cx.answer(&valid, || {
        let lines = valid.iter().map(|Checked { step, valid }| {
            let said = match valid {
                0 => "no migrations yet".to_owned(),
                1 => "1 migration is valid".to_owned(),
                _ => format!("{} are valid", count(*valid, "migration")),
            };
            match tables.len() {
                1 => format!("{said}\n"),
                _ => format!("{step}: {said}\n"),
            }
        });
        lines.collect()
    });
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct AppliedTo {
    step: StepId,
    postgres: StepId,
    /// By rising version.
    applied: Vec<i64>,
}

/// One folder after the other: a person asked for exactly this. Ctrl-C rolls back the file that is being applied.
async fn apply(cx: &Context, tables: &Tables<'_>) -> Result<ExitCode, Fault> {
    let scanned = scan(cx, tables)?;
    let cancel = CancellationToken::new();
    let work = async {
        let mut all = Vec::new();
        for one in &scanned {
            all.push(apply_one(cx, one, &cancel).await?);
        }
        Ok(all)
    };
    let all: Vec<AppliedTo> = interrupt::cancelling(&cancel, work).await?;
    cx.answer(&all, || {
        let lines = all.iter().map(|one| match one.applied.len() {
            0 => format!("{} is up to date\n", one.postgres),
            number => format!(
                "Applied {} to {}\n",
                count(number, "migration"),
                one.postgres
            ),
        });
        lines.collect()
    });
    Ok(ExitCode::SUCCESS)
}

async fn apply_one(
    cx: &Context,
    (id, table, migrations): &Scanned<'_>,
    cancel: &CancellationToken,
) -> Result<AppliedTo, Fault> {
    let target = cx.database(&table.postgres).await?;
    let options = Options {
        table: table.table.clone(),
        lock_timeout: table.lock_timeout,
    };
    let (events, receiver) = Events::channel();
    let config = cx.config()?;
    let postgres = config.postgres.get(&table.postgres.name);
    // A password in the file is no secret, and may be a common word.
    if postgres.is_some_and(|postgres| postgres.password.secrets().next().is_some()) {
        events.mask(&target.password);
    }
    let shown = tokio::spawn(show_progress(receiver));
    let applied = database::apply(&target, migrations, &options, &events.of(id), cancel).await;
    drop(events);
    // Every line stands above the answer.
    let _ = shown.await;
    let applied = applied.map_err(|error| error.explain().at_key(id.key_path()))?;
    Ok(AppliedTo {
        step: (*id).clone(),
        postgres: table.postgres.clone(),
        applied: applied.versions,
    })
}

/// One line for each migration, notice and wait, on standard error.
async fn show_progress(mut receiver: UnboundedReceiver<Record>) {
    while let Some(record) = receiver.recv().await {
        match record.event {
            Event::StepProgress { progress, .. } => match (progress.done, progress.total) {
                (Some(done), Some(total)) => {
                    anstream::eprintln!("{} ({done}/{total})", progress.message);
                }
                _ => anstream::eprintln!("{}", progress.message),
            },
            Event::StepLog { line, .. } => anstream::eprintln!("  {line}"),
            // No other event comes from one step alone.
            _ => {}
        }
    }
}

#[derive(Serialize)]
struct StatusOf {
    step: StepId,
    #[serde(flatten)]
    status: Status,
}

/// Fails when history and folder differ, so that a script can ask.
async fn status(cx: &Context, tables: &Tables<'_>) -> Result<ExitCode, Fault> {
    let mut all = Vec::new();
    for (id, table, migrations) in scan(cx, tables)? {
        let target = cx.database(&table.postgres).await?;
        let status = database::status(&target, &migrations, &table.table)
            .await
            .map_err(|error| error.explain().at_key(id.key_path()))?;
        all.push(StatusOf {
            step: id.clone(),
            status,
        });
    }
    let text = || all.iter().map(|one| status_text(one, all.len())).collect();
    match all.iter().find_map(|one| one.status.settled().err()) {
        Some(error) => {
            cx.answer_of_failure(&all, text);
            Err(error.explain())
        }
        None => {
            cx.answer(&all, text);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn status_text(one: &StatusOf, tables: usize) -> String {
    let mut table = report::Table::new(["VERSION", "NAME", "STATE", "APPLIED ON"]);
    for row in &one.status.migrations {
        let applied_on = row
            .applied_on
            .as_deref()
            .map(database::seconds)
            .unwrap_or_default();
        table.row([
            row.version.to_string(),
            row.name.clone(),
            row.state.to_string(),
            applied_on,
        ]);
    }
    let head = match tables {
        1 => String::new(),
        _ => format!("{}\n", one.step),
    };
    format!("{head}{table}")
}

#[derive(Serialize)]
struct Begun {
    file: String,
}

fn new(cx: &Context, tables: &Tables, name: &str) -> Result<ExitCode, Fault> {
    let [(_, table)] = tables.as_slice() else {
        let known = quoted(tables.iter().map(|(id, _)| id));
        return Err(Fault::new("there are several migration folders")
            .class(FaultClass::Usage)
            .help(format!("name one with `--step`: {known}")));
    };
    let dir = cx.root()?.join(&table.dir);
    let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S").to_string();
    let now = now.parse().expect("a time of 14 digits is a number");
    let file = database::new_file_name(&dir, name, now).map_err(|error| error.explain())?;
    create(&dir, &file, name).map_err(|error| {
        let path = Path::new(&table.dir).join(&file);
        Fault::new(format!("cannot create `{}`", path.display()))
            .class(FaultClass::Environment)
            .note(error.to_string())
    })?;
    let file = Path::new(&table.dir).join(file).display().to_string();
    cx.answer(&Begun { file: file.clone() }, || format!("{file}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Never overwrites: another `new` may have been faster. What it does is left to be written, and `--check` says so until then.
fn create(dir: &Path, file: &str, name: &str) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut file = fs::File::create_new(dir.join(file))?;
    writeln!(
        file,
        "-- {}",
        name.split_whitespace().collect::<Vec<_>>().join(" ")
    )
}
