//! One connection that applies migrations: refinery decides what runs next, this decides how.
//!
//! Transactional files run in one transaction with their history line; others statement by statement. A failure is kept with the
//! statement it came from.

use std::{collections::VecDeque, ops::Range, pin::pin, time::Instant};

use futures_util::StreamExt;
use refinery_core::{
    AsyncMigrate,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use tokio_postgres::{Client, Error, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::{
    Migration,
    sql::{self, Control, Statement},
};
use crate::event::{Progress, StepEvents, Unit};

/// A migration may have changed who and how the session is; its history line and the next migration must not see that.
const RESET: &str = "reset session authorization; reset role; reset all;";

/// Lets the server notice during a statement that this process was killed, and roll back. Servers before 14 have no such setting.
const NOTICE_END: &str = "select pg_catalog.set_config(name, '1s', false) from pg_catalog.pg_settings where name = 'client_connection_check_interval'";

pub(super) struct Session<'a> {
    pub client: Client,
    pending: VecDeque<&'a Migration>,
    total: u64,
    events: &'a StepEvents,
    cancel: &'a CancellationToken,
    pub applied: Vec<i64>,
    pub failure: Option<Failure>,
}

/// What went wrong, and where.
#[derive(Debug)]
pub(super) struct Failure {
    pub migration: Option<Migration>,
    pub phase: Phase,
    /// `None`: cancelled before anything was sent.
    pub source: Option<Error>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Preparing or reading the history table.
    History,
    /// A statement of the file, by its span.
    Statement { span: Range<usize>, whole: Sent },
    /// After the last statement: deferred constraints, the history line.
    Commit { remain: Option<Remains> },
}

/// What was sent to the server, which counts positions from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    File,
    Statement(Remains),
}

/// How many statements of a file without a transaction stay applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    pub done: usize,
    pub of: usize,
}

/// Tells refinery to stop; the reason is in [`Session::failure`].
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(super) struct Stopped;

impl<'a> Session<'a> {
    pub fn new(
        client: Client,
        pending: Vec<&'a Migration>,
        events: &'a StepEvents,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            client,
            total: pending.len() as u64,
            pending: pending.into(),
            events,
            cancel,
            applied: Vec::new(),
            failure: None,
        }
    }

    /// Refinery sends the file and the line for the history; the file is known here already, with its way to run.
    async fn migration(&mut self, insert: &str) -> Result<(), Failure> {
        let migration = self
            .pending
            .pop_front()
            .expect("refinery applies what compare() found pending, in the same order");
        if self.cancel.is_cancelled() {
            return Err(Failure {
                migration: Some(migration.clone()),
                phase: Phase::History,
                source: None,
            });
        }
        self.events.progress(Progress {
            message: format!("Applying {}", migration.stem()),
            done: Some(self.total - self.pending.len() as u64),
            total: Some(self.total),
            unit: Unit::Items,
        });
        let started = Instant::now();
        // Before each: the reset behind a migration takes it away. A server whose platform cannot notice refuses it.
        let _ = self.client.batch_execute(NOTICE_END).await;
        let result = if migration.transactional {
            self.in_transaction(migration, insert).await
        } else {
            self.by_statement(migration, insert).await
        };
        result.map_err(|(phase, source)| Failure {
            migration: Some(migration.clone()),
            phase,
            source: Some(source),
        })?;
        self.applied.push(migration.version);
        let ms = started.elapsed().as_millis();
        self.events
            .log(format!("applied {} in {ms} ms", migration.stem()));
        Ok(())
    }

    async fn in_transaction(
        &self,
        migration: &Migration,
        insert: &str,
    ) -> Result<(), (Phase, Error)> {
        if let Err(failed) = self.up_to_commit(migration, insert).await {
            // Fails when the connection is lost, and then the server has rolled back.
            let _ = self.client.batch_execute("rollback").await;
            return Err(failed);
        }
        // By itself: a commit that fails has ended the transaction, and a rollback behind it would be a warning in the server's log.
        let commit = self.client.batch_execute("commit").await;
        commit.map_err(|error| (Phase::Commit { remain: None }, error))
    }

    async fn up_to_commit(
        &self,
        migration: &Migration,
        insert: &str,
    ) -> Result<(), (Phase, Error)> {
        self.client
            .batch_execute("begin")
            .await
            .map_err(|error| (Phase::History, error))?;
        if let Err((done, error)) = self.send(&migration.sql).await {
            let statements = statements(&migration.sql);
            let failed = statements.get(done).or(statements.last());
            let span = failed.map_or(0..0, |statement| statement.span.clone());
            return Err((
                Phase::Statement {
                    span,
                    whole: Sent::File,
                },
                error,
            ));
        }
        self.client
            .batch_execute(&format!("{RESET} {insert}"))
            .await
            .map_err(|error| (Phase::Commit { remain: None }, error))
    }

    async fn by_statement(
        &self,
        migration: &Migration,
        insert: &str,
    ) -> Result<(), (Phase, Error)> {
        let statements = statements(&migration.sql);
        let of = statements.len();
        // Statements since a `begin` of the file's own go with its transaction.
        let mut open = None;
        for (index, statement) in statements.into_iter().enumerate() {
            let control = statement.control();
            if let Err((_, error)) = self.send(&migration.sql[statement.span.clone()]).await {
                // A transaction of the file's own is open, unless it was its commit that failed.
                if open.is_some() && control != Some(Control::End) {
                    let _ = self.client.batch_execute("rollback").await;
                }
                let done = open.unwrap_or(index);
                let whole = Sent::Statement(Remains { done, of });
                return Err((
                    Phase::Statement {
                        span: statement.span,
                        whole,
                    },
                    error,
                ));
            }
            match control {
                Some(Control::Begin) => open = open.or(Some(index)),
                Some(Control::End) => open = None,
                None => {}
            }
        }
        let remain = Some(Remains { done: of, of });
        self.client
            .batch_execute(&format!("{RESET} {insert}"))
            .await
            .map_err(|error| (Phase::Commit { remain }, error))
    }

    /// Sends it in one message. On failure, how many statements had run before.
    async fn send(&self, text: &str) -> Result<(), (usize, Error)> {
        let stream = self.client.simple_query_raw(text).await;
        let mut stream = pin!(stream.map_err(|error| (0, error))?);
        let mut done = 0;
        while let Some(message) = stream.next().await {
            match message {
                Ok(SimpleQueryMessage::CommandComplete(_)) => done += 1,
                Ok(_) => {}
                Err(error) => return Err((done, error)),
            }
        }
        Ok(())
    }

    fn stop(&mut self, failure: Failure) -> Stopped {
        self.failure = Some(failure);
        Stopped
    }
}

pub(super) fn statements(text: &str) -> Vec<Statement> {
    sql::split(text)
        .expect("checked in scan: the file can be cut")
        .statements
}

impl AsyncTransaction for Session<'_> {
    type Error = Stopped;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Stopped> {
        let queries: Vec<&str> = queries.collect();
        let result = match queries.as_slice() {
            [_file, insert] => self.migration(insert).await,
            // Only the history table is made with a single query. The server need not tell that it exists.
            other => self
                .client
                .batch_execute(&format!(
                    "begin; set local client_min_messages = warning; {}; commit",
                    other.join(";")
                ))
                .await
                .map_err(history_failure),
        };
        match result {
            Ok(()) => Ok(queries.len()),
            Err(failure) => Err(self.stop(failure)),
        }
    }
}

impl AsyncQuery<Vec<refinery_core::Migration>> for Session<'_> {
    async fn query<'a>(
        &'a mut self,
        query: &'a str,
    ) -> Result<Vec<refinery_core::Migration>, Stopped> {
        AsyncQuery::query(&mut self.client, query)
            .await
            .map_err(|error| self.stop(history_failure(error)))
    }
}

impl AsyncMigrate for Session<'_> {
    /// Also reads a table whose versions are 32 bits wide.
    fn get_applied_migrations_query(table: &str) -> String {
        format!("select version::int8, name, applied_on, checksum from {table} order by version")
    }
}

fn history_failure(error: Error) -> Failure {
    Failure {
        migration: None,
        phase: Phase::History,
        source: Some(error),
    }
}
