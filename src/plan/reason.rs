//! Why a step would do something, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::StepId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// It was never done here: no container, no record, no image.
    New { what: String },
    /// A field of its inputs differs from the last time.
    Field { field: String, change: Change },
    /// Something it left behind is gone or was changed by another.
    Output { path: String, state: String },
    /// Something it runs is not in the wanted state: stopped, exited with 1, unhealthy.
    State { what: String },
    /// It exits, and its restart policy brings it back: so many times since it was started on purpose.
    Restarts { times: u64 },
    /// A secret has another value than when it was started.
    Secret { name: String },
    /// A step it takes its input from will run first.
    Upstream { step: StepId },
    /// Work that is waiting: a migration to apply, a tool to install.
    Pending { what: String },
    /// The file no longer mentions it.
    Orphan,
    /// It would fail, as far as can be told now.
    Fails { what: String },
    /// It could not be observed, such as with the engine off.
    Unknown { what: String },
    /// The user asked for it.
    Asked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Added,
    Removed,
    Value {
        from: String,
        to: String,
    },
    /// The values are not to be shown, or too long.
    Content,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::New { what } => write!(f, "no {what} yet"),
            Reason::Field { field, change } => {
                match field.strip_prefix("file.") {
                    Some(file) => write!(f, "`{file}` ")?,
                    None => write!(f, "{field} ")?,
                }
                match change {
                    Change::Added => f.write_str("added"),
                    Change::Removed => f.write_str("removed"),
                    Change::Value { from, to } => write!(f, "changed: `{from}` → `{to}`"),
                    Change::Content => f.write_str("changed"),
                }
            }
            Reason::Output { path, state } => write!(f, "`{path}` {state}"),
            Reason::State { what } => f.write_str(what),
            Reason::Restarts { times: 0 | 1 } => f.write_str("it exited and was restarted"),
            Reason::Restarts { times } => write!(f, "it keeps exiting: restarted {times} times"),
            Reason::Secret { name } => write!(f, "secret `{name}` changed"),
            Reason::Upstream { step } => write!(f, "`{step}` runs first"),
            Reason::Pending { what } => f.write_str(what),
            Reason::Orphan => f.write_str("no longer in devenv.toml"),
            Reason::Fails { what } => write!(f, "fails: {what}"),
            Reason::Unknown { what } => write!(f, "not known: {what}"),
            Reason::Asked => f.write_str("asked for"),
        }
    }
}

/// `once`, `3 times`.
pub fn times(number: u64) -> String {
    match number {
        0 | 1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}
