//! What is said over the supervisor's socket: one JSON line from the client, one or more back.

use serde::{Deserialize, Serialize};

use super::record::{Launch, Record};
use crate::{config::StepId, plan::Inputs};

/// Asked by a client. One request a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    List,
    /// Makes what runs match this; answered once it runs.
    Start {
        step: StepId,
        launch: Launch,
        ports: std::collections::BTreeMap<String, u16>,
        inputs: Inputs,
    },
    Restart {
        step: StepId,
    },
    /// Stops it and forgets it.
    Remove {
        step: StepId,
    },
    /// Answered when it has ended, or if it has since it was asked to run.
    Ended {
        step: StepId,
    },
    /// Answered each time its log has grown, and with [`Answer::Quiet`] when it does not run any more.
    Grown {
        step: StepId,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Records {
        records: Vec<Record>,
    },
    Record {
        record: Box<Record>,
    },
    Done,
    Code {
        code: i64,
    },
    Grown,
    Quiet,
    NotRunning,
    /// What could not be done, and why.
    Failed {
        action: String,
        cause: String,
    },
}
