//! What the superuser does: one statement at a time, each of which can be repeated.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Target,
        connect::{quote_ident, quote_literal},
        pgdata::SPARE_DATABASE,
    },
    Bootstrap, ProvisionError, SUPERUSER, first, login,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Password {
    Project,
    Bootstrap,
}

/// A login as the superuser, with the password that works.
pub(super) async fn log_in(
    server: &Target,
    bootstrap: Option<Bootstrap<'_>>,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<(Client, Password), ProvisionError> {
    let is_new = bootstrap.is_some_and(|bootstrap| bootstrap.is_new);
    if !is_new && let Ok(client) = login(server, timeout, cancel).await? {
        return Ok((client, Password::Project));
    }
    if let Some(bootstrap) = bootstrap {
        let server = Target {
            password: bootstrap.password.into(),
            ..server.clone()
        };
        if let Ok(client) = login(&server, timeout, cancel).await? {
            return Ok((client, Password::Bootstrap));
        }
        // Another run may have replaced it between the two attempts.
    }
    if let Ok(client) = login(server, timeout, cancel).await? {
        return Ok((client, Password::Project));
    }
    Err(ProvisionError::Locked {
        server: server.clone(),
    })
}

/// A superuser's session.
pub(super) struct Run<'a> {
    pub(super) client: Client,
    pub(super) server: &'a Target,
}

impl Run<'_> {
    pub(super) async fn sql(&self, action: &str, sql: &str) -> Result<(), ProvisionError> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|source| self.error(action, source))
    }

    async fn first(&self, action: &str, query: &str) -> Result<Option<String>, ProvisionError> {
        first(&self.client, query)
            .await
            .map_err(|source| self.error(action, source))
    }

    fn error(&self, action: &str, source: tokio_postgres::Error) -> ProvisionError {
        ProvisionError::Sql {
            action: action.to_owned(),
            server: self.server.clone(),
            source,
        }
    }

    /// The app's role may log in and make databases (test suites do), and nothing more.
    pub(super) async fn role(&self, app: &Target) -> Result<(), ProvisionError> {
        if app.user == SUPERUSER {
            return Ok(());
        }
        let action = format!("create role `{}`", app.user);
        let query = format!(
            "select 1 from pg_catalog.pg_roles where rolname = {}",
            quote_literal(&app.user)
        );
        let verb = match self.first(&action, &query).await? {
            Some(_) => "alter",
            None => "create",
        };
        let sql = format!(
            "{verb} role {} login createdb password {}",
            quote_ident(&app.user),
            quote_literal(&app.password)
        );
        self.sql(&action, &sql).await
    }

    pub(super) async fn database(&self, app: &Target) -> Result<(), ProvisionError> {
        let action = format!("create database `{}`", app.database);
        let exists = async |name: &str| {
            let query = format!(
                "select 1 from pg_catalog.pg_database where datname = {}",
                quote_literal(name)
            );
            let found = self.first(&action, &query).await?;
            Ok::<_, ProvisionError>(found.is_some())
        };
        let (database, user) = (quote_ident(&app.database), quote_ident(&app.user));
        let spare = quote_ident(SPARE_DATABASE);
        let sql = match (exists(&app.database).await?, exists(SPARE_DATABASE).await?) {
            (true, false) => return Ok(()),
            (true, true) => format!("drop database {spare}"),
            // Its owner is set from inside.
            (false, true) => format!("alter database {spare} rename to {database}"),
            (false, false) => format!("create database {database} owner {user}"),
        };
        self.sql(&action, &sql).await
    }

    /// In the app's database: after a change of `user`, the new role takes over what the old one owned.
    pub(super) async fn owner(&self, app: &Target) -> Result<(), ProvisionError> {
        let action = format!("give database `{}` to role `{}`", app.database, app.user);
        let query = "select pg_catalog.pg_get_userbyid(datdba) from pg_catalog.pg_database \
                     where datname = pg_catalog.current_database()";
        let owner = self.first(&action, query).await?.unwrap_or_default();
        if owner == app.user {
            return Ok(());
        }
        let user = quote_ident(&app.user);
        if owner != SUPERUSER {
            let reassign = format!("reassign owned by {} to {user}", quote_ident(&owner));
            self.sql(&action, &reassign).await?;
        }
        let database = quote_ident(&app.database);
        self.sql(
            &action,
            &format!("alter database {database} owner to {user}"),
        )
        .await
    }
}
