use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Command;
use crate::config::{
    StepId, Template,
    decode::{EnvName, Glob, ImageRef, Keyed, OutputPath, Text, record},
    duration,
};

/// What `in` says of a task that runs on this machine.
const HOST: &str = "host";
/// Variables by which a hook tells its tasks what git told it.
const HOOK: &str = "DEVENV_HOOK";

record! {
    /// `[task.X]`: a command of the project.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Task {
        /// What it runs.
        pub run: Command,
        /// `host`, or the reference of an image: then it runs in a container of its own, as the caller's user, with the project's files under `/project`.
        #[serde(rename = "in")]
        pub place ("in"): String as Text<ImageRef> = "host",
        /// Globs of the files it reads. With inputs, its result is kept, and it does not run again while nothing that it depends on has changed. What git ignores and does not track counts where a name without wildcards leads to it; a link to a folder is not followed.
        pub inputs: Vec<String> as Vec<Text<Glob>>,
        /// Files and folders it writes, no globs. They are kept with its result, and come back from there.
        pub outputs: Vec<String> as Vec<Text<OutputPath>>,
        /// Environment variables.
        pub env: BTreeMap<String, Template> as Keyed<EnvName, Template>,
        /// Variables of the caller that it sees, and depends on. With inputs or in an image it sees no others, but for those that tools need to work at all. One that sees `DEVENV_HOOK_ARG_1`, or another of a hook's, runs every time.
        pub pass: Vec<String> as Vec<Text<EnvName>>,
        /// Whether its result is kept. `false`: it runs every time.
        pub cache: bool = true,
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
        /// How long it may run.
        #[serde(with = "duration::option")]
        pub timeout: Option<Duration>,
    }
}

impl Task {
    /// The reference of the image it runs in; `None` on the host.
    pub fn image(&self) -> Option<&str> {
        (self.place != HOST).then_some(&self.place)
    }

    /// Whether its result is kept by what it depends on. Without inputs nobody knows what that is.
    pub fn is_cached(&self) -> bool {
        self.cache && !self.inputs.is_empty() && !self.is_of_one_call()
    }

    /// Whether it asks what git told a hook: another message comes in a file of the same name.
    fn is_of_one_call(&self) -> bool {
        self.pass.iter().any(|name| name.starts_with(HOOK))
    }
}
