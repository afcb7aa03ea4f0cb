//! Settings from the environment, all checked before anything starts.

use std::{net::SocketAddr, time::Duration};

use crate::store::{Store, StoreError};

pub struct Config {
    pub store: Store,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// How long requests in flight may take once a signal has come.
    pub drain: Duration,
}

/// Longer than any request takes, shorter than the 10 s after which an engine kills.
const DRAIN: Duration = Duration::from_secs(8);

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set; give it a value such as `{example}`")]
    Missing {
        name: &'static str,
        example: &'static str,
    },
    #[error("{name} is `{value}`, which is no address; write it as `{example}`")]
    Address {
        name: &'static str,
        value: String,
        example: &'static str,
    },
    #[error("{name} is `{value}`, which is no whole number of seconds")]
    Seconds { name: &'static str, value: String },
    #[error("{name} is not valid UTF-8")]
    Encoding { name: &'static str },
    #[error("{}", .0.chain())]
    Store(#[from] StoreError),
}

impl Config {
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(&database_url()?)?,
            http: address("HTTP_ADDR", "0.0.0.0:8080")?,
            grpc: address("GRPC_ADDR", "0.0.0.0:50051")?,
            drain: seconds("DRAIN_SECONDS", DRAIN)?,
        })
    }
}

fn database_url() -> Result<String, ConfigError> {
    let name = "DATABASE_URL";
    let example = "postgres://user:password@host:5432/database";
    variable(name)?.ok_or(ConfigError::Missing { name, example })
}

fn address(name: &'static str, default: &'static str) -> Result<SocketAddr, ConfigError> {
    let value = variable(name)?.unwrap_or_else(|| default.to_owned());
    value.parse().map_err(|_| ConfigError::Address {
        name,
        value,
        example: default,
    })
}

fn seconds(name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
    let Some(value) = variable(name)? else {
        return Ok(default);
    };
    match value.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => Err(ConfigError::Seconds { name, value }),
    }
}

/// Set and not empty.
fn variable(name: &'static str) -> Result<Option<String>, ConfigError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError::Encoding { name }),
    }
}
