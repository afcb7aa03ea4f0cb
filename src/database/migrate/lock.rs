//! The lock that lets one run at a time migrate a database, and the end of a lock whose devenv is dead.
//!
//! Must never end the work of a living devenv, nor of one on another machine.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{MigrateError, Table};
use crate::{database::connect::quote_literal, event::StepEvents, sys::mark::Mark};

/// Pauses between attempts to lock grow from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

const APPLICATION: &str = "devenv migrate (pid ";

/// What the server shows of this run, in at most 63 characters: with a mark by which others see whether it still lives.
pub(super) fn application(own: Option<&Mark>) -> String {
    match own {
        Some(mark) => format!("{APPLICATION}{mark})"),
        None => format!("{APPLICATION}{})", std::process::id()),
    }
}

/// Polls: a session that blocks on a lock holds a snapshot, and CREATE INDEX CONCURRENTLY of another run would wait for that for ever.
pub(super) async fn take(
    client: &Client,
    table: &Table,
    timeout: Duration,
    events: &StepEvents,
) -> Result<(), MigrateError> {
    let key = key(table);
    let started = Instant::now();
    let mut pause = PAUSE.0;
    let mut said = String::new();
    loop {
        let take = format!("select pg_catalog.pg_try_advisory_lock({key})");
        if field(client, &take).await?.as_deref() == Some("t") {
            return Ok(());
        }
        let holder = Holder::find(client, key).await?;
        let ended = match &holder {
            Some(holder) => holder.end_if_dead(client).await,
            None => None,
        };
        // It may be gone by now: then the next attempt gets the lock.
        let name = holder.map_or("just ended".into(), |holder| holder.to_string());
        if started.elapsed() >= timeout {
            return Err(MigrateError::Locked {
                holder: name,
                timeout,
            });
        }
        if name != said {
            events.message(match ended {
                Some(pid) => {
                    format!("Ended the migration that a killed devenv (pid {pid}) left running")
                }
                None => format!("Waiting for another migration run ({name})"),
            });
            said = name;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// One lock per history table; advisory locks are already per database.
pub(super) fn key(table: &Table) -> i64 {
    let hash = blake3::hash(format!("devenv migrate {table}").as_bytes());
    let bytes = hash
        .as_bytes()
        .first_chunk()
        .expect("a digest has 32 bytes");
    i64::from_le_bytes(*bytes)
}

/// Who has the lock, as the server tells.
struct Holder {
    /// The server's process.
    backend: String,
    /// What its client calls itself; empty where this role may not see it.
    application: String,
}

impl Holder {
    async fn find(client: &Client, key: i64) -> Result<Option<Self>, MigrateError> {
        let (high, low) = ((key as u64 >> 32) as u32, key as u32);
        let query = format!(
            "select l.pid || ' ' || coalesce(a.application_name, '') \
             from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
             where l.locktype = 'advisory' and l.granted and l.classid = {high} and l.objid = {low} and l.objsubid = 1 \
             and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())"
        );
        let found = field(client, &query).await?;
        Ok(found.as_deref().and_then(|text| {
            let (backend, application) = text.split_once(' ')?;
            Some(Self {
                backend: backend.into(),
                application: application.into(),
            })
        }))
    }

    fn mark(&self) -> Option<Mark> {
        let mark = self.application.strip_prefix(APPLICATION)?;
        Mark::parse(mark.strip_suffix(')')?)
    }

    /// The pid of the dead devenv whose work was ended. A refusal leaves it to the wait.
    async fn end_if_dead(&self, client: &Client) -> Option<i32> {
        let mark = self.mark().filter(Mark::has_ended)?;
        // By its name too: the server may have given its pid to another client.
        let end = format!(
            "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
             where pid = {} and application_name = {}",
            self.backend,
            quote_literal(&self.application),
        );
        let ended = field(client, &end).await.ok()?;
        (ended.as_deref() == Some("t")).then_some(mark.pid)
    }
}

/// `pid 42, devenv migrate (pid 7)`: the server's process and what its client calls itself.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pid {}", self.backend)?;
        match self.mark() {
            Some(mark) => write!(f, ", {APPLICATION}{})", mark.pid),
            None if self.application.is_empty() => Ok(()),
            None => write!(f, ", {}", self.application),
        }
    }
}

/// The first field of the answer.
async fn field(client: &Client, query: &str) -> Result<Option<String>, MigrateError> {
    let messages = client
        .simple_query(query)
        .await
        .map_err(MigrateError::Lock)?;
    Ok(messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
