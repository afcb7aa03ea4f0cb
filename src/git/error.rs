//! What can go wrong with git.

use std::{io, path::PathBuf};

use crate::{
    event::{Explain, Fault, FaultClass},
    sys::process::ProcessError,
};

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot run git")]
    Run(#[source] ProcessError),
    /// `git cat-file`, and what it wrote to standard error.
    #[error("`{command}` failed with {ending}")]
    Failed {
        command: String,
        ending: String,
        stderr: String,
    },
    #[error("cannot understand what `{command}` answered: `{line}`")]
    Answer { command: String, line: String },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Explain for GitError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self).class(FaultClass::Environment);
        match self {
            GitError::Run(_) => fault.help("install git, or put it on PATH"),
            GitError::Failed { stderr, .. } if stderr.trim().is_empty() => fault,
            GitError::Failed { stderr, .. } => fault.note(stderr.trim()),
            GitError::Answer { .. } => fault.class(FaultClass::Bug),
            GitError::Write { .. } => fault,
        }
    }
}
