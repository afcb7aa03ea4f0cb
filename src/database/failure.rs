//! Why migrations were not applied: the place in the file, the server's words, what stays in the database, what to do.

use std::{path::PathBuf, time::Duration};

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    Finding, HistoryError, Migration,
    history::{Table, server_message},
    session::{Failure, Phase, Remains, Sent},
    sql,
};
use crate::{
    config::duration,
    event::{Explain, Fault, FaultClass},
};

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("{}", diverged(.0))]
    Diverged(Vec<Finding>),
    #[error("another migration run ({holder}) still held the lock after {}", duration::format(*timeout))]
    Locked { holder: String, timeout: Duration },
    #[error("cannot take the migration lock")]
    Lock(#[source] tokio_postgres::Error),
    #[error("cannot prepare the migration history `{table}`")]
    Prepare {
        table: String,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("`{}:{}:{}` failed: {}", .0.file.display(), .0.line, .0.column, .0.message)]
    Sql(Box<SqlFailure>),
    #[error("the connection was lost while `{}` was applied", file.display())]
    Lost {
        file: PathBuf,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("refinery refused the migrations: {0}")]
    Refused(String),
    #[error("the migrations were cancelled{}", remains.as_ref().map(|text| format!("; {text}")).unwrap_or_default())]
    Cancelled { remains: Option<String> },
}

/// A statement that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFailure {
    /// Relative to the project.
    pub file: PathBuf,
    /// Both count from 1; columns in characters.
    pub line: usize,
    pub column: usize,
    /// The server's, with its SQLSTATE.
    pub message: String,
    pub code: String,
    /// The server's detail, hint and context.
    pub notes: Vec<String>,
    /// What of the file stays in the database.
    pub remains: String,
}

fn diverged(findings: &[Finding]) -> String {
    match findings {
        [finding] => finding.to_string(),
        many => format!("{} migrations differ from what was applied", many.len()),
    }
}

impl Explain for MigrateError {
    fn explain(&self) -> Fault {
        match self {
            Self::History(error) => error.explain(),
            Self::Diverged(findings) => explain_diverged(self, findings),
            Self::Locked { .. } => {
                Fault::from_error(self).help("wait for it, end it, or raise `lock_timeout`")
            }
            Self::Lock(source) | Self::Prepare { source, .. } | Self::Lost { source, .. } => {
                let fault = Fault::new(self.to_string()).note(server_message(source));
                match self {
                    Self::Lost { .. } => fault.help("run it again: a file in a transaction left nothing; see the server's log with `devenv logs`"),
                    _ => fault,
                }
            }
            Self::Sql(failure) => failure.explain(self),
            Self::Refused(_) => Fault::from_error(self),
            Self::Cancelled { .. } => Fault::from_error(self).class(FaultClass::Interrupted),
        }
    }
}

fn explain_diverged(error: &MigrateError, findings: &[Finding]) -> Fault {
    let fault = Fault::from_error(error);
    match findings {
        [finding] => match finding.file() {
            Some(file) => fault.at_file(file, 1, 1).help(finding.help()),
            None => fault.help(finding.help()),
        },
        many => many.iter().fold(fault, |fault, finding| {
            fault.note(format!("{finding}: {}", finding.help()))
        }),
    }
}

impl SqlFailure {
    fn explain(&self, error: &MigrateError) -> Fault {
        let mut fault = Fault::from_error(error).at_file(&self.file, self.line, self.column);
        for note in self.notes.iter().chain([&self.remains]) {
            fault = fault.note(note);
        }
        match self.code.as_str() {
            "25001" => fault.help("put `-- devenv: no-transaction` on the file's first line: this statement cannot run in a transaction"),
            "2D000" => fault.help("a `do` block or procedure of a migration cannot commit: put `-- devenv: no-transaction` on the file's first line"),
            _ => fault,
        }
    }
}

/// The error of a failed run.
pub(super) fn explain_failure(
    failure: Failure,
    table: &Table,
    cancel: &CancellationToken,
) -> MigrateError {
    let Failure {
        migration,
        phase,
        source,
    } = failure;
    let stopped = source.as_ref().and_then(|error| error.code()) == Some(&SqlState::QUERY_CANCELED);
    if cancel.is_cancelled() && (stopped || source.is_none()) {
        let remains = migration.and_then(|m| remaining(&phase).map(|r| describe(&m, Some(r))));
        return MigrateError::Cancelled { remains };
    }
    match (source, migration) {
        (None, _) => MigrateError::Cancelled { remains: None },
        (Some(source), None) => MigrateError::Prepare {
            table: table.to_string(),
            source,
        },
        (Some(source), Some(migration)) => match source.as_db_error() {
            Some(db) => MigrateError::Sql(Box::new(sql_failure(&migration, &phase, db))),
            None => MigrateError::Lost {
                file: migration.file,
                source,
            },
        },
    }
}

fn remaining(phase: &Phase) -> Option<Remains> {
    match phase {
        Phase::Statement {
            whole: Sent::Statement(remains),
            ..
        } => Some(*remains),
        Phase::Commit { remain } => *remain,
        Phase::History
        | Phase::Statement {
            whole: Sent::File, ..
        } => None,
    }
}

fn describe(migration: &Migration, remains: Option<Remains>) -> String {
    let stem = migration.stem();
    match remains {
        None => format!("nothing of `{stem}` remains in the database"),
        Some(Remains { done: 0, .. }) => {
            format!(
                "`{stem}` runs without a transaction; none of its statements was applied before"
            )
        }
        Some(Remains { done, of }) => format!(
            "`{stem}` runs without a transaction: its first {done} of {of} statements were applied and remain"
        ),
    }
}

fn sql_failure(migration: &Migration, phase: &Phase, db: &DbError) -> SqlFailure {
    let offset = match phase {
        Phase::Statement { span, whole } => {
            let base = match whole {
                Sent::File => 0,
                Sent::Statement(_) => span.start,
            };
            match db.position() {
                Some(ErrorPosition::Original(position)) => {
                    base + characters(&migration.sql[base..], *position)
                }
                Some(ErrorPosition::Internal { .. }) | None => span.start,
            }
        }
        Phase::History | Phase::Commit { .. } => 0,
    };
    let (line, column) = sql::place(&migration.sql, offset);
    let mut notes = Vec::new();
    let parts = [
        ("detail", db.detail()),
        ("hint", db.hint()),
        ("where", db.where_()),
    ];
    for (name, text) in parts {
        notes.extend(text.map(|text| format!("{name}: {text}")));
    }
    if let Some(ErrorPosition::Internal { query, .. }) = db.position() {
        notes.push(format!("query: {query}"));
    }
    if matches!(phase, Phase::Commit { .. }) {
        notes.push("it failed when the file was to be committed".into());
    }
    SqlFailure {
        file: migration.file.clone(),
        line,
        column,
        message: format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        code: db.code().code().to_owned(),
        notes,
        remains: describe(migration, remaining(phase)),
    }
}

/// Bytes before the server's position, which counts characters from 1.
fn characters(text: &str, position: u32) -> usize {
    let before = (position as usize).saturating_sub(1);
    text.char_indices()
        .nth(before)
        .map_or(text.len(), |(offset, _)| offset)
}
