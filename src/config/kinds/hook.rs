use serde::Serialize;

use crate::config::{
    StepId,
    decode::{InsidePath, Text, record},
};

record! {
    /// `[hook.X]`: what a git hook checks.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Hook {
        /// Steps to check, such as "task.lint"; with all they need. `proto.X` is whether its code is up to date.
        pub run: Vec<StepId>,
        /// Folders and files that git ignores, such as "target": seen too where other files than the checkout's are checked.
        pub share: Vec<String> as Vec<Text<InsidePath>>,
    }
}
