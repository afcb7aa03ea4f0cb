//! Carries a database over from one server to another of the same major version, by `pg_dump` and `pg_restore` beside each server.

use std::collections::BTreeMap;

use super::{Target, history::server_message, pgdata, provision::SUPERUSER};
use crate::{
    config::Postgres,
    event::{Explain, Fault},
};

/// A command to be run beside a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// `pg_dump`
    pub name: &'static str,
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot see what is in `{target}`")]
    Look {
        target: Target,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("cannot end the copy in `{target}`")]
    End {
        target: Target,
        #[source]
        source: tokio_postgres::Error,
    },
}

impl Explain for CopyError {
    fn explain(&self) -> Fault {
        match self {
            CopyError::Look { source, .. } | CopyError::End { source, .. } => {
                Fault::new(self.to_string()).note(server_message(source))
            }
        }
    }
}

/// Writes the whole database to standard output, in `pg_dump`'s own format. `port` is the server's where the command runs.
pub fn dump(postgres: &Postgres, target: &Target, port: u16) -> Tool {
    tool(postgres, target, port, "pg_dump", "--format=custom")
}

/// Fills the database from standard input, in one transaction: all of it or nothing. What is in it already and comes again is replaced.
pub fn restore(postgres: &Postgres, target: &Target, port: u16) -> Tool {
    let options =
        "--single-transaction --exit-on-error --clean --if-exists --dbname=\"$PGDATABASE\"";
    tool(postgres, target, port, "pg_restore", options)
}

fn tool(
    postgres: &Postgres,
    target: &Target,
    port: u16,
    name: &'static str,
    options: &str,
) -> Tool {
    let user = superuser(postgres, target);
    let script = format!("{}; exec {name} {options}", pgdata::path(&postgres.version));
    let env = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port.to_string()),
        ("PGUSER", user),
        ("PGAPPNAME", &session()),
        ("PGPASSWORD", &target.password),
        ("PGDATABASE", &target.database),
    ];
    Tool {
        name,
        argv: ["/bin/sh", "-c", &script].map(Into::into).into(),
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// Where devenv makes the data the superuser has the app's password; elsewhere the app's role is the superuser.
fn superuser<'a>(postgres: &Postgres, target: &'a Target) -> &'a str {
    match postgres.prepared {
        true => SUPERUSER,
        false => &target.user,
    }
}

/// What the tools of this process are called on a server.
fn session() -> String {
    format!("devenv db copy {}", std::process::id())
}

/// Ends what is left on the server of an interrupted [`Tool`]: one that waits for a lock does not see that nobody waits for it.
pub async fn end(postgres: &Postgres, target: &Target) -> Result<(), CopyError> {
    let target = Target {
        user: superuser(postgres, target).to_owned(),
        ..target.clone()
    };
    let end = async {
        let client = target.connect("devenv copy", |_| {}).await?;
        let sessions = "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where application_name = $1";
        client.query(sessions, &[&session()]).await
    };
    match end.await {
        Ok(_) => Ok(()),
        Err(source) => Err(CopyError::End { target, source }),
    }
}

/// How many tables, views and sequences there are, but for the server's own and those of extensions.
pub async fn relations(target: &Target) -> Result<i64, CopyError> {
    let look = async {
        let client = target.connect("devenv copy", |_| {}).await?;
        let row = client
            .query_one(
                "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                 where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%' \
                 and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') \
                 and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')",
                &[],
            )
            .await?;
        row.try_get(0)
    };
    look.await.map_err(|source| CopyError::Look {
        target: target.clone(),
        source,
    })
}
