//! What is applied, what is pending, and what differs: the folder and the history side by side. Changes nothing.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Serialize;

use super::{
    HistoryError, MigrateError, Migration, Target,
    history::{self, Entry, Table},
};

/// The folder and the history table side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// By rising version.
    pub migrations: Vec<Row>,
    /// What keeps pending migrations from being applied.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub version: i64,
    pub name: String,
    pub state: State,
    /// As refinery wrote it: RFC 3339.
    pub applied_on: Option<String>,
    /// Relative to the project; absent when the file is missing.
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Applied,
    Pending,
    /// Applied, and its file has changed since.
    Edited,
    /// Applied, and its file is gone.
    Missing,
    /// Not applied, and a later one is.
    OutOfOrder,
}

/// A difference between folder and history that nothing but a person can settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Edited {
        file: PathBuf,
        version: i64,
        applied_name: String,
        applied_on: String,
        name: String,
        applied_checksum: u64,
        checksum: u64,
    },
    Missing {
        version: i64,
        name: String,
        applied_on: String,
    },
    OutOfOrder {
        file: PathBuf,
        name: String,
        version: i64,
        newest: i64,
        /// Free in the folder and in the history.
        next: i64,
    },
}

/// Compares the folder's migrations with what this database had applied. Changes nothing.
pub async fn status(
    target: &Target,
    migrations: &[Migration],
    table: &str,
) -> Result<Status, HistoryError> {
    let table = Table::parse(table)?;
    let client = target
        .connect("devenv migrate status", |_| {})
        .await
        .map_err(|source| HistoryError::Connect {
            target: target.clone(),
            source,
        })?;
    Ok(compare(&history::read(&client, &table).await?, migrations))
}

/// Pure: puts both sides together.
pub(super) fn compare(history: &[Entry], migrations: &[Migration]) -> Status {
    let newest = history.iter().map(|entry| entry.version).max();
    let highest = migrations.iter().map(|migration| migration.version).max();
    let mut free = newest.max(highest).unwrap_or(0);
    let applied: BTreeMap<i64, &Entry> = history.iter().map(|e| (e.version, e)).collect();
    let mut rows: BTreeMap<i64, Row> = history.iter().map(|e| (e.version, fileless(e))).collect();
    let mut findings = Vec::new();
    for migration in migrations {
        let row = match (applied.get(&migration.version), newest) {
            (Some(entry), _) => applied_row(entry, migration, &mut findings),
            (None, Some(newest)) if newest > migration.version => {
                free = free.saturating_add(1);
                findings.push(late(migration, newest, free));
                new_row(migration, State::OutOfOrder)
            }
            (None, _) => new_row(migration, State::Pending),
        };
        rows.insert(migration.version, row);
    }
    for row in rows.values().filter(|row| row.state == State::Missing) {
        findings.push(Finding::Missing {
            version: row.version,
            name: row.name.clone(),
            applied_on: row.applied_on.clone().unwrap_or_default(),
        });
    }
    Status {
        migrations: rows.into_values().collect(),
        findings,
    }
}

fn applied_row(entry: &Entry, migration: &Migration, findings: &mut Vec<Finding>) -> Row {
    let same = entry.name == migration.name && entry.checksum == migration.checksum;
    if !same {
        findings.push(Finding::Edited {
            file: migration.file.clone(),
            version: entry.version,
            applied_name: entry.name.clone(),
            applied_on: entry.applied_on.clone(),
            name: migration.name.clone(),
            applied_checksum: entry.checksum,
            checksum: migration.checksum,
        });
    }
    Row {
        state: if same { State::Applied } else { State::Edited },
        file: Some(migration.file.clone()),
        ..fileless(entry)
    }
}

fn late(migration: &Migration, newest: i64, next: i64) -> Finding {
    Finding::OutOfOrder {
        file: migration.file.clone(),
        name: migration.name.clone(),
        version: migration.version,
        newest,
        next,
    }
}

fn new_row(migration: &Migration, state: State) -> Row {
    Row {
        version: migration.version,
        name: migration.name.clone(),
        state,
        applied_on: None,
        file: Some(migration.file.clone()),
    }
}

/// What was applied, as if its file were gone.
fn fileless(entry: &Entry) -> Row {
    Row {
        version: entry.version,
        name: entry.name.clone(),
        state: State::Missing,
        applied_on: Some(entry.applied_on.clone()),
        file: None,
    }
}

impl Status {
    /// An error when a difference keeps pending migrations from being applied.
    pub fn settled(&self) -> Result<(), MigrateError> {
        if self.findings.is_empty() {
            Ok(())
        } else {
            Err(MigrateError::Diverged(self.findings.clone()))
        }
    }

    /// How many are in this state.
    pub fn count(&self, state: State) -> usize {
        self.migrations
            .iter()
            .filter(|row| row.state == state)
            .count()
    }

    pub fn pending(&self) -> impl Iterator<Item = &Row> {
        self.migrations
            .iter()
            .filter(|row| row.state == State::Pending)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Edited => "edited",
            Self::Missing => "missing",
            Self::OutOfOrder => "out of order",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited {
                file,
                applied_name,
                name,
                applied_on,
                ..
            } if applied_name != name => write!(
                f,
                "`{}` was applied on {} under the name `{applied_name}`",
                file.display(),
                seconds(applied_on)
            ),
            Self::Edited {
                file, applied_on, ..
            } => write!(
                f,
                "`{}` was edited after it was applied on {}",
                file.display(),
                seconds(applied_on)
            ),
            Self::Missing {
                version,
                name,
                applied_on,
            } => write!(
                f,
                "`V{version}__{name}` was applied on {} and its file is missing",
                seconds(applied_on)
            ),
            Self::OutOfOrder {
                file,
                version,
                newest,
                ..
            } => write!(
                f,
                "`{}` is new, but version {newest} was applied already, which is later than {version}",
                file.display()
            ),
        }
    }
}

/// Refinery writes nanoseconds.
pub fn seconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => time.to_owned(),
    }
}

impl Finding {
    pub fn help(&self) -> String {
        match self {
            Self::Edited { version, applied_name, name, .. } if applied_name != name => {
                format!("rename it back to `V{version}__{applied_name}.sql`")
            }
            Self::Edited { .. } => "restore the file as it was and put the change into a new migration (`devenv migrate new NAME`); or start over with `devenv down --volumes` (removes the data)".into(),
            Self::Missing { .. } => "restore the file, or switch back to the branch that has it; or start over with `devenv down --volumes` (removes the data)".into(),
            Self::OutOfOrder { name, next, .. } => format!("rename it to `V{next}__{name}.sql`"),
        }
    }

    /// The file it is about, where there is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Edited { file, .. } | Self::OutOfOrder { file, .. } => Some(file),
            Self::Missing { .. } => None,
        }
    }
}
