//! Why migrations were not applied: the place in the file, the server's words, what stays in the database, what to do.

use std::{path::PathBuf, time::Duration};

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    Finding, HistoryError, Migration,
    history::{Table, server_message},
    session::{self, Failure, Phase, Remains, Sent},
};
use crate::{
    config::duration,
    event::{Explain, Fault, FaultClass, Spot, count},
};

/// How many differences are named one by one.
const NAMED: usize = 10;

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
    #[error("`{}:{}:{}` failed: {}", .0.file.display(), .0.spot.line, .0.spot.column, .0.message)]
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
    pub spot: Spot,
    /// The server's, with its SQLSTATE.
    pub message: String,
    pub code: String,
    /// The server's detail, hint and context.
    pub notes: Vec<String>,
    /// What of the file stays in the database.
    pub remains: String,
    /// The next run begins with its first statement again, on what remains.
    pub repeats: bool,
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
        many => many_diverged(fault, many),
    }
}

/// What many have in common is said once; of very many, the first ones are named.
fn many_diverged(fault: Fault, findings: &[Finding]) -> Fault {
    let first = findings[0].help();
    let is_common = findings.iter().all(|finding| finding.help() == first);
    let notes = findings.iter().take(NAMED).map(|finding| match is_common {
        true => finding.to_string(),
        false => format!("{finding}: {}", finding.help()),
    });
    let mut fault = notes.fold(fault, Fault::note);
    let more = findings.len().saturating_sub(NAMED);
    if more > 0 {
        fault = fault.note(format!("and {more} more: see `devenv migrate status`"));
    }
    match is_common {
        true => fault.help(first),
        false => fault,
    }
}

impl SqlFailure {
    fn explain(&self, error: &MigrateError) -> Fault {
        let mut fault = Fault::from_error(error).at_spot(&self.file, &self.spot);
        for note in self.notes.iter().chain([&self.remains]) {
            fault = fault.note(note);
        }
        match self.code.as_str() {
            "25001" => fault.help("put `-- devenv: no-transaction` on the file's first line: this statement cannot run in a transaction"),
            "2D000" => fault.help("a `do` block or procedure of a migration cannot commit: put `-- devenv: no-transaction` on the file's first line"),
            _ if self.repeats => fault.help("make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again"),
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
        Some(Remains { done: 0, of }) => format!(
            "`{stem}` runs without a transaction: this run applied none of its {}; what an earlier, failed run applied remains",
            count(of, "statement")
        ),
        Some(Remains { done, of }) if done == of => format!(
            "`{stem}` runs without a transaction: all its statements were applied and remain, but the history does not say so"
        ),
        Some(Remains { done, of }) => {
            let statements = session::statements(&migration.sql);
            let last = statements.get(done - 1).map_or(0, |last| last.span.start);
            let line = Spot::of(&migration.sql, last).line;
            let which = match done {
                1 => format!("its first statement of {of} was applied and remains, at line {line}"),
                _ => format!(
                    "its first {done} statements of {of} were applied and remain, the last at line {line}"
                ),
            };
            format!("`{stem}` runs without a transaction: {which}")
        }
    }
}

fn sql_failure(migration: &Migration, phase: &Phase, db: &DbError) -> SqlFailure {
    let spot = match phase {
        Phase::Statement { span, whole } => {
            let base = match whole {
                Sent::File => 0,
                Sent::Statement(_) => span.start,
            };
            let offset = match db.position() {
                Some(ErrorPosition::Original(position)) => {
                    base + characters(&migration.sql[base..], *position)
                }
                Some(ErrorPosition::Internal { .. }) | None => span.start,
            };
            Spot::of(&migration.sql, offset)
        }
        Phase::History | Phase::Commit { .. } => Spot::START,
    };
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
    if let Phase::Statement { span, .. } = phase
        && session::statements(&migration.sql)
            .iter()
            .any(|statement| statement.span == *span && statement.builds_index_concurrently())
        && !migration.transactional
    {
        notes.push("a `create index concurrently` that fails may leave an invalid index behind: drop it before the next try".into());
    }
    if matches!(phase, Phase::Commit { .. }) {
        notes.push("it failed when the file was to be committed".into());
    }
    SqlFailure {
        file: migration.file.clone(),
        spot,
        message: format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        code: db.code().code().to_owned(),
        notes,
        remains: describe(migration, remaining(phase)),
        repeats: remaining(phase).is_some(),
    }
}

/// Bytes before the server's position, which counts characters from 1.
fn characters(text: &str, position: u32) -> usize {
    let before = (position as usize).saturating_sub(1);
    text.char_indices()
        .nth(before)
        .map_or(text.len(), |(offset, _)| offset)
}
