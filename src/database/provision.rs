//! Gives a server on a prepared data directory what the project wants: the superuser's password, a role, a database, extensions.
//!
//! Every step can be repeated, so a kill at any point is repaired by the next call, and changed settings are carried over. The
//! superuser's password comes first: once the app's login works, no password of the cache is left in the server.

mod superuser;

use std::{path::Path, time::Duration};

use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    Target,
    connect::{quote_ident, quote_literal},
    history::server_message,
    pgdata::{self, SOCKET_DIR},
    ready::{NotReady, Reason, repeat},
};
use crate::event::{Explain, Fault};
use superuser::{Password, Run};

pub(super) const SUPERUSER: &str = "postgres";
const APPLICATION: &str = "devenv provision";
/// "devenv pr" in ASCII: the one lock of all provisioning of a server, held in its maintenance database.
const LOCK: i64 = 0x6465_7665_6e76_7072;

/// Keeps passwords out of the server's log, whatever the settings say.
const UNLOGGED: &str = "set log_statement = 'none'; set log_min_duration_statement = -1; set log_min_error_statement = 'panic'";

/// What the server is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The app's own view: its role, password and database. The superuser gets the same password.
    pub app: Target,
    pub extensions: Vec<String>,
}

/// The password of a prepared data directory.
#[derive(Clone, Copy)]
pub struct Bootstrap<'a> {
    pub password: &'a str,
    /// The server's data are new: nothing has replaced the password yet.
    pub is_new: bool,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// The server held everything already.
    Unchanged,
    Changed,
}

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Neither password is the superuser's: the project's was changed since. [`rescue`] repairs it from inside the container.
    #[error("the superuser of `{server}` has another password than devenv.toml")]
    Locked { server: Target },
    #[error("cannot {action} in `{server}`")]
    Sql {
        action: String,
        server: Target,
        #[source]
        source: tokio_postgres::Error,
    },
}

impl Explain for ProvisionError {
    fn explain(&self) -> Fault {
        match self {
            Self::NotReady(error) => error.explain(),
            Self::Locked { .. } => Fault::from_error(self)
                .help("set `password` back, or start over with `devenv down --volumes` (removes the data)"),
            Self::Sql { source, .. } => {
                let fault = Fault::new(self.to_string()).note(server_message(source));
                // The second since Postgres 15.
                let absent = [SqlState::UNDEFINED_FILE, SqlState::FEATURE_NOT_SUPPORTED];
                if source.code().is_some_and(|code| absent.contains(code)) {
                    return fault.help("the image does not hold this extension: install its package in the image, or remove it from `extensions`");
                }
                fault
            }
        }
    }
}

/// A command inside the server's container, as [`pgdata::USER`]: sets the superuser's password over the local socket, which trusts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescue {
    pub argv: Vec<String>,
    /// Name and value of the variable that holds the password.
    pub env: (String, String),
}

/// For [`ProvisionError::Locked`]: run this, then provision again.
pub fn rescue(version: &str, password: &str) -> Rescue {
    const VARIABLE: &str = "DEVENV_SQL";
    let script = format!(
        "{}; printf '%s' \"${VARIABLE}\" | psql -X -q -v ON_ERROR_STOP=1 -h {SOCKET_DIR} -U {SUPERUSER} -d postgres",
        pgdata::path(version)
    );
    Rescue {
        argv: ["/bin/sh", "-c", &script].map(Into::into).into(),
        env: (VARIABLE.into(), set_password(password)),
    }
}

/// As [`rescue`], for a server whose socket this process may open.
pub async fn rescue_at(sockets: &Path, port: u16, password: &str) -> Result<(), ProvisionError> {
    let server = Target {
        host: sockets.display().to_string(),
        port,
        user: SUPERUSER.to_owned(),
        password: String::new(),
        database: "postgres".to_owned(),
    };
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(sockets)
        .port(port)
        .user(SUPERUSER)
        .dbname("postgres");
    let work = async {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        let serving = tokio::spawn(connection);
        let done = client.batch_execute(&set_password(password)).await;
        serving.abort();
        done
    };
    work.await.map_err(|source| ProvisionError::Sql {
        action: "set the superuser's password".to_owned(),
        server,
        source,
    })
}

fn set_password(password: &str) -> String {
    format!(
        "{UNLOGGED}; alter role {SUPERUSER} password {}",
        quote_literal(password)
    )
}

/// Waits for the server, then makes it hold what is wanted. With everything in place this is one login and one query as the app.
/// `bootstrap` is for a server that started on a prepared data directory.
pub async fn provision(
    wanted: &Wanted,
    bootstrap: Option<Bootstrap<'_>>,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<Provisioned, ProvisionError> {
    let app = &wanted.app;
    // Logins that can only fail would be the first lines of a new server's log.
    let is_new = bootstrap.is_some_and(|bootstrap| bootstrap.is_new);
    if !is_new && let Ok(client) = login(app, timeout, cancel).await? {
        if complete(&client, wanted).await? {
            return Ok(Provisioned::Unchanged);
        }
        // Enough for trusted extensions, and where the image's own entrypoint made the app's role a superuser.
        if extensions(&client, wanted).await.is_ok() && complete(&client, wanted).await? {
            return Ok(Provisioned::Changed);
        }
    }
    let work = provision_as_superuser(wanted, bootstrap, timeout, cancel);
    tokio::select! {
        result = work => result?,
        () = cancel.cancelled() => {
            return Err(NotReady::Cancelled { target: app.clone() }.into());
        }
    }
    Ok(Provisioned::Changed)
}

/// Whether a server that should be up holds everything: one login and one query as the app. Changes nothing.
pub async fn provisioned(
    wanted: &Wanted,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<bool, ProvisionError> {
    match login(&wanted.app, timeout, cancel).await? {
        Ok(client) => complete(&client, wanted).await,
        Err(reason) => Err(NotReady::Timeout {
            target: wanted.app.clone(),
            timeout,
            reason,
        }
        .into()),
    }
}

/// Waits until the server decides about this login. Only a decision is an inner error.
async fn login(
    target: &Target,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<Result<Client, Reason>, NotReady> {
    let attempt = |target: Target| async move { target.connect(APPLICATION, |_| {}).await };
    match repeat(target, timeout, cancel, attempt, Reason::is_answer).await? {
        Err(reason) if !reason.is_answer() => Err(NotReady::Timeout {
            target: target.clone(),
            timeout,
            reason,
        }),
        decided => Ok(decided),
    }
}

/// As the app: is the database its own, with all extensions? One round trip.
async fn complete(client: &Client, wanted: &Wanted) -> Result<bool, ProvisionError> {
    let names: Vec<_> = wanted.extensions.iter().map(|e| quote_literal(e)).collect();
    let extensions = if names.is_empty() {
        "0".to_owned()
    } else {
        format!(
            "(select count(*) from pg_catalog.pg_extension where extname in ({}))",
            names.join(", ")
        )
    };
    let query = format!(
        "select case when pg_catalog.pg_get_userbyid(datdba) = current_user then {extensions} else -1 end \
         from pg_catalog.pg_database where datname = pg_catalog.current_database()"
    );
    let found = first(client, &query)
        .await
        .map_err(|source| ProvisionError::Sql {
            action: "look for extensions".into(),
            server: wanted.app.clone(),
            source,
        })?;
    let distinct: std::collections::BTreeSet<_> = wanted.extensions.iter().collect();
    Ok(found == Some(distinct.len().to_string()))
}

async fn extensions(client: &Client, wanted: &Wanted) -> Result<(), ProvisionError> {
    for extension in &wanted.extensions {
        let sql = format!(
            "create extension if not exists {} cascade",
            quote_ident(extension)
        );
        client
            .batch_execute(&sql)
            .await
            .map_err(|source| ProvisionError::Sql {
                action: format!("create extension `{extension}`"),
                server: wanted.app.clone(),
                source,
            })?;
    }
    Ok(())
}

async fn provision_as_superuser(
    wanted: &Wanted,
    bootstrap: Option<Bootstrap<'_>>,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<(), ProvisionError> {
    let server = Target {
        user: SUPERUSER.into(),
        database: "postgres".into(),
        ..wanted.app.clone()
    };
    let (client, password) = superuser::log_in(&server, bootstrap, timeout, cancel).await?;
    let run = Run {
        client,
        server: &server,
    };
    run.sql(
        "lock the server",
        &format!("select pg_catalog.pg_advisory_lock({LOCK})"),
    )
    .await?;
    run.sql("turn the log of statements off", UNLOGGED).await?;
    if password == Password::Bootstrap {
        let password = quote_literal(&server.password);
        run.sql(
            "set the superuser's password",
            &format!("alter role {SUPERUSER} password {password}"),
        )
        .await?;
    }
    run.role(&wanted.app).await?;
    run.database(&wanted.app).await?;
    let inside = Target {
        database: wanted.app.database.clone(),
        ..server.clone()
    };
    let client = login(&inside, timeout, cancel)
        .await?
        .map_err(|_| ProvisionError::Locked {
            server: inside.clone(),
        })?;
    let inside = Run {
        client,
        server: &inside,
    };
    inside.owner(&wanted.app).await?;
    extensions(&inside.client, wanted).await?;
    // The end of the connection frees it as well, only later.
    run.sql(
        "unlock the server",
        &format!("select pg_catalog.pg_advisory_unlock({LOCK})"),
    )
    .await
}

/// The first field of the answer.
async fn first(client: &Client, query: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let messages = client.simple_query(query).await?;
    Ok(messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

#[cfg(test)]
mod tests;
