//! The `users` table. Every call is bounded in time, and a database that is not there yet is an error of the call, not of the start.

use std::{str::FromStr, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use jiff::civil::Date;
use tokio::time::timeout;
use tokio_postgres::NoTls;

use crate::domain::{DateOfBirth, Username};

const CONNECTIONS: usize = 16;
/// Each of: wait for a free connection, connect, check one before it is used again.
const POOL_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("DATABASE_URL is not a Postgres URL: {0}")]
    Url(#[source] tokio_postgres::Error),
    #[error("cannot set up the connection pool: {0}")]
    Pool(#[from] deadpool_postgres::BuildError),
    #[error("no connection to the database: {0}")]
    Connect(#[from] PoolError),
    #[error("the database did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    #[error("a query failed: {0}")]
    Query(#[from] tokio_postgres::Error),
}

impl StoreError {
    /// The message with its causes: a database error's text stands in its source.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }
}

#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// Reads the URL; connects only when a query needs it.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let mut config = tokio_postgres::Config::from_str(url).map_err(StoreError::Url)?;
        config.connect_timeout(POOL_TIMEOUT);
        config.application_name("hello");
        let manager = Manager::from_config(
            config,
            NoTls,
            // Asks before each use, so that a restart of the database fails no request.
            ManagerConfig {
                recycling_method: RecyclingMethod::Verified,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_TIMEOUT))
            .create_timeout(Some(POOL_TIMEOUT))
            .recycle_timeout(Some(POOL_TIMEOUT))
            .build()?;
        Ok(Self { pool })
    }

    pub async fn set_birthday(
        &self,
        username: &Username,
        born: DateOfBirth,
    ) -> Result<(), StoreError> {
        bounded(async {
            let client = self.pool.get().await?;
            let upsert = client
                .prepare_cached(
                    "insert into users (username, date_of_birth) values ($1, $2)
                     on conflict (username) do update set date_of_birth = excluded.date_of_birth, updated_at = now()",
                )
                .await?;
            client.execute(&upsert, &[&username.as_str(), &born.date()]).await?;
            Ok(())
        })
        .await
    }

    pub async fn birthday(&self, username: &Username) -> Result<Option<DateOfBirth>, StoreError> {
        bounded(async {
            let client = self.pool.get().await?;
            let select = client
                .prepare_cached("select date_of_birth from users where username = $1")
                .await?;
            let row = client.query_opt(&select, &[&username.as_str()]).await?;
            let date = row.map(|row| row.try_get::<_, Date>(0)).transpose()?;
            Ok(date.map(DateOfBirth::stored))
        })
        .await
    }

    /// Proves that the database answers and has the table, with the columns the queries use.
    pub async fn ready(&self) -> Result<(), StoreError> {
        bounded(async {
            let client = self.pool.get().await?;
            client
                .query_opt("select username, date_of_birth from users limit 1", &[])
                .await?;
            Ok(())
        })
        .await
    }

    pub fn close(&self) {
        self.pool.close();
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(CALL_TIMEOUT, call)
        .await
        .unwrap_or(Err(StoreError::Timeout))
}
