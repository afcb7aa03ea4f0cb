use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Command;
use crate::config::{
    StepId, Template,
    decode::{EnvName, Glob, InsidePath, Keyed, Text, record},
    duration,
};

record! {
    /// `[task.X]`: a command of the project, run on the host.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Task {
        /// What it runs.
        pub run: Command,
        /// Globs of the files it reads. With inputs, it is skipped while nothing it reads has changed.
        pub inputs: Vec<String> as Vec<Text<Glob>>,
        /// Files and folders it writes.
        pub outputs: Vec<String> as Vec<Text<InsidePath>>,
        /// Environment variables.
        pub env: BTreeMap<String, Template> as Keyed<EnvName, Template>,
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
        /// How long it may run.
        #[serde(with = "duration::option")]
        pub timeout: Option<Duration>,
    }
}
