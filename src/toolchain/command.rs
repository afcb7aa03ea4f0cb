//! Commands of other package tools: their output goes to the step's log, its tail into the error.

use std::{ffi::OsString, path::PathBuf};

use super::{Job, Run, ToolchainError, links::first_on_path};
use crate::sys::process::{ProcessError, Spawn, ending};

impl Job {
    /// A program of the host, not one of ours.
    pub fn program(
        &self,
        program: &'static str,
        help: &'static str,
    ) -> Result<PathBuf, ToolchainError> {
        first_on_path(program, &self.path).ok_or_else(|| ToolchainError::NeedsProgram {
            tool: self.name.clone(),
            program,
            help,
        })
    }

    /// A command that sees the host's PATH without the link folder.
    pub fn spawn<S: Into<String>>(&self, argv: impl IntoIterator<Item = S>) -> Spawn {
        let mut spawn = Spawn::new(argv);
        spawn.env.insert("PATH".into(), OsString::from(&self.path));
        spawn
    }

    /// Runs it to its end; failing is an error that has the last lines of its output.
    pub async fn run(&self, spawn: &Spawn, run: &Run<'_>) -> Result<(), ToolchainError> {
        let line = |line: &str| run.events.output(line);
        let finished = spawn
            .run(run.cancel, line)
            .await
            .map_err(|source| self.process(source))?;
        if finished.status.success() {
            return Ok(());
        }
        Err(ToolchainError::Command {
            tool: self.name.clone(),
            command: spawn.display(),
            status: ending(finished.status),
            tail: finished.tail,
            help: None,
        })
    }

    pub fn process(&self, source: ProcessError) -> ToolchainError {
        ToolchainError::Process {
            tool: self.name.clone(),
            source,
        }
    }
}
