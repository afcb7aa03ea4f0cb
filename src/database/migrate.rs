//! Applies a folder's pending migrations, one run at a time.
//!
//! Refinery keeps the history and verifies it; the lock and the order of checks are made here.

mod lock;

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use refinery_core::Runner;
use tokio_postgres::{CancelToken, Client, NoTls, error::DbError};
use tokio_util::sync::CancellationToken;

use super::{
    HistoryError, MigrateError, Migration, Target,
    connect::quote_ident,
    failure::explain_failure,
    history::{self, Table},
    session::Session,
    status::{self, State, Status},
};
use crate::{event::StepEvents, sys::mark::Mark};

/// How long the server may take to stop a running statement after a cancel.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Options {
    /// History table, qualified: `public.refinery_schema_history`.
    pub table: String,
    /// How long to wait for another run.
    pub lock_timeout: Duration,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// By rising version; empty when nothing was to do.
    pub versions: Vec<i64>,
}

impl Applied {
    pub fn count(&self) -> usize {
        self.versions.len()
    }
}

/// Applies what is pending. Runs of the same database and table wait for each other. On cancel, the running statement is stopped and
/// its file rolled back; what was applied before stays.
pub async fn apply(
    target: &Target,
    migrations: &[Migration],
    options: &Options,
    events: &StepEvents,
    cancel: &CancellationToken,
) -> Result<Applied, MigrateError> {
    let table = Table::parse(&options.table)?;
    let run = async {
        let client = connect(target, events).await?;
        // Most runs find nothing to do, and need no lock to know.
        let status = read(&client, &table, migrations).await?;
        if status.count(State::Pending) == 0 {
            return Ok(None);
        }
        lock::take(&client, &table, options.lock_timeout, events).await?;
        let status = read(&client, &table, migrations).await?;
        Ok(Some((client, status)))
    };
    let ready: Result<_, MigrateError> = tokio::select! {
        ready = run => ready,
        () = cancel.cancelled() => Err(MigrateError::Cancelled { remains: None }),
    };
    let Some((client, status)) = ready? else {
        return Ok(Applied {
            versions: Vec::new(),
        });
    };
    let pending: Vec<_> = migrations
        .iter()
        .filter(|migration| status.pending().any(|row| row.version == migration.version))
        .collect();
    if pending.is_empty() {
        return Ok(Applied {
            versions: Vec::new(),
        });
    }
    let session = Session::new(client, pending, events, cancel);
    run_session(session, migrations, &table, cancel).await
}

async fn connect(target: &Target, events: &StepEvents) -> Result<Client, MigrateError> {
    let application = lock::application(Mark::own().as_ref());
    let log = events.clone();
    let notice = move |notice: &DbError| {
        log.log(format!("{}: {}", notice.severity(), notice.message()));
    };
    target
        .connect(&application, notice)
        .await
        .map_err(|source| {
            let target = target.clone();
            HistoryError::Connect { target, source }.into()
        })
}

async fn read(
    client: &Client,
    table: &Table,
    migrations: &[Migration],
) -> Result<Status, MigrateError> {
    let status = status::compare(&history::read(client, table).await?, migrations);
    status.settled()?;
    Ok(status)
}

async fn run_session(
    mut session: Session<'_>,
    migrations: &[Migration],
    table: &Table,
    cancel: &CancellationToken,
) -> Result<Applied, MigrateError> {
    make_schema(&session.client, table).await?;
    let all: Vec<_> = migrations.iter().map(Migration::unapplied).collect();
    let mut runner = Runner::new(&all);
    runner.set_migration_table_name(table.to_string());
    let token = session.client.cancel_token();
    let result = cancellable(runner.run_async(&mut session), &token, cancel).await;
    let unlock = format!("select pg_catalog.pg_advisory_unlock({})", lock::key(table));
    match result {
        Some(Ok(_)) => {
            // The end of the connection frees it as well, only later.
            let _ = session.client.batch_execute(&unlock).await;
            Ok(Applied {
                versions: session.applied,
            })
        }
        Some(Err(error)) => {
            let _ = session.client.batch_execute(&unlock).await;
            Err(match session.failure {
                Some(failure) => explain_failure(failure, table, cancel),
                None => MigrateError::Refused(error.to_string()),
            })
        }
        None => Err(MigrateError::Cancelled { remains: None }),
    }
}

/// A schema of its own for the history is made when there is none.
async fn make_schema(client: &Client, table: &Table) -> Result<(), MigrateError> {
    if table.schema == "public" {
        return Ok(());
    }
    // Unquoted as in the table's name, so that both fold to the same case.
    let schema = quote_ident(&table.schema.to_lowercase());
    client
        .batch_execute(&format!("set client_min_messages = warning; create schema if not exists {schema}; reset client_min_messages"))
        .await
        .map_err(|source| MigrateError::Prepare { table: table.to_string(), source })
}

/// Runs to the end. On cancel, asks the server to stop the statement until it does; `None` when it does not.
async fn cancellable<F: Future>(
    run: F,
    token: &CancelToken,
    cancel: &CancellationToken,
) -> Option<F::Output> {
    let mut run = pin!(run);
    tokio::select! {
        result = &mut run => return Some(result),
        () = cancel.cancelled() => {}
    }
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        // A request that comes between two statements stops nothing, so it is repeated.
        let request = async {
            let _ = token.cancel_query(NoTls).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            result = &mut run => return Some(result),
            () = request => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
