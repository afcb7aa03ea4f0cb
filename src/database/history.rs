//! The table in which refinery keeps what was applied. Read-only: refinery itself writes it.

use std::fmt;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::{Target, connect::quote_literal, ready::Reason};
use crate::event::{Explain, Fault, FaultClass};

/// `schema.table` of the history, checked: it can stand in a statement as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub schema: String,
    qualified: String,
}

/// A line of the history table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub version: i64,
    pub name: String,
    /// RFC 3339.
    pub applied_on: String,
    pub checksum: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("cannot connect to `{target}`: {}", Reason::of(source))]
    Connect {
        target: Target,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("`{table}` is not the name of a history table")]
    Table { table: String },
    #[error("cannot read the migration history `{table}`")]
    Read {
        table: String,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("the migration history `{table}` has a line that refinery did not write: {what}")]
    Entry { table: String, what: String },
}

impl Explain for HistoryError {
    fn explain(&self) -> Fault {
        match self {
            Self::Connect { .. } => {
                // The reason in the message says more than the driver's chain.
                Fault::new(self.to_string())
                    .class(FaultClass::Environment)
                    .help("is it running? see `devenv ps`, start it with `devenv up`")
            }
            Self::Table { .. } => Fault::from_error(self)
                .class(FaultClass::Usage)
                .help("write it as `schema.table` with letters, digits and underscores, such as `public.refinery_schema_history`"),
            Self::Read { source, .. } => {
                Fault::new(self.to_string()).note(server_message(source))
            }
            Self::Entry { .. } => Fault::from_error(self)
                .help("correct or delete that line, or name another table as `table`"),
        }
    }
}

/// The server's message with its SQLSTATE, or the driver's.
pub(super) fn server_message(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => Reason::of(error).to_string(),
    }
}

impl Table {
    pub fn parse(table: &str) -> Result<Self, HistoryError> {
        let (schema, name) = table.split_once('.').unwrap_or(("public", table));
        let valid = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !valid(schema) || !valid(name) {
            return Err(HistoryError::Table {
                table: table.to_owned(),
            });
        }
        Ok(Self {
            schema: schema.to_owned(),
            qualified: format!("{schema}.{name}"),
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified)
    }
}

/// All lines by rising version; none when there is no table yet.
pub(super) async fn read(client: &Client, table: &Table) -> Result<Vec<Entry>, HistoryError> {
    let failed = |source| HistoryError::Read {
        table: table.to_string(),
        source,
    };
    // Asked first, so that a fresh database has no error in its log.
    let exists = format!(
        "select 1 where pg_catalog.to_regclass({}) is not null",
        quote_literal(&table.to_string())
    );
    let found = client.simple_query(&exists).await.map_err(failed)?;
    if !found
        .iter()
        .any(|m| matches!(m, SimpleQueryMessage::Row(_)))
    {
        return Ok(Vec::new());
    }
    let query = format!("select version, name, applied_on, checksum from {table} order by version");
    let messages = client.simple_query(&query).await.map_err(failed)?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        entry(row).map_err(|what| HistoryError::Entry {
            table: table.to_string(),
            what,
        })
    })
    .collect()
}

/// Refinery itself panics on what this refuses.
fn entry(row: &SimpleQueryRow) -> Result<Entry, String> {
    let field = |index: usize, name: &str| {
        row.get(index)
            .map(str::to_owned)
            .ok_or_else(|| format!("no {name} in version {}", row.get(0).unwrap_or("?")))
    };
    let number = field(0, "version")?;
    let version = number
        .parse()
        .map_err(|_| format!("version `{number}` is no whole number"))?;
    let checksum = field(3, "checksum")?;
    let applied_on = field(2, "time of application")?;
    if applied_on.parse::<jiff::Timestamp>().is_err() {
        return Err(format!("`{applied_on}` in version {version} is no time"));
    }
    Ok(Entry {
        version,
        name: field(1, "name")?,
        applied_on,
        checksum: checksum
            .parse()
            .map_err(|_| format!("`{checksum}` in version {version} is no checksum"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_checked() {
        assert_eq!(
            Table::parse("history").unwrap().to_string(),
            "public.history"
        );
        assert_eq!(Table::parse("a.b_1").unwrap().schema, "a");
        for bad in [
            "",
            ".",
            "a.",
            "a.b.c",
            "a b",
            "1a",
            "a;drop table x",
            "\"a\"",
            "é",
        ] {
            assert!(Table::parse(bad).is_err(), "{bad}");
        }
    }
}
