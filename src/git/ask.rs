//! Runs the `git` binary.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use tokio_util::sync::CancellationToken;

use super::{GitError, Repository};
use crate::sys::process::{Spawn, ending};

/// Variables that name a repository, an index or objects: `git rev-parse --local-env-vars`. A hook has them, what it runs must not.
pub const LOCAL_VARIABLES: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
];

/// A call of git.
pub(super) struct Ask {
    settings: Vec<String>,
    args: Vec<String>,
    cwd: PathBuf,
    pub env: BTreeMap<String, OsString>,
    pub env_remove: Vec<OsString>,
}

impl Ask {
    /// Of the user's repository, with the index that git gave the hook. None of the user's hooks answers to it.
    pub fn of(repository: &Repository, args: &[&str]) -> Self {
        let mut env: BTreeMap<String, OsString> =
            [("GIT_DIR".to_owned(), repository.git_dir.clone().into())].into();
        if let Some(top) = &repository.top {
            env.insert("GIT_WORK_TREE".to_owned(), top.into());
        }
        if let Some(index) = &repository.other_index {
            env.insert("GIT_INDEX_FILE".to_owned(), index.into());
        }
        let cwd = repository.top.as_ref().unwrap_or(&repository.git_dir);
        Self::at(cwd.clone(), env, args)
    }

    /// As [`Ask::of`], with the user's own settings of all.
    pub fn as_configured(repository: &Repository, args: &[&str]) -> Self {
        let mut ask = Self::of(repository, args);
        ask.settings.clear();
        ask
    }

    pub fn at(cwd: PathBuf, env: BTreeMap<String, OsString>, args: &[&str]) -> Self {
        Self {
            settings: vec!["-c".to_owned(), "core.hooksPath=/dev/null".to_owned()],
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            cwd,
            env,
            env_remove: vec!["GIT_PREFIX".into()],
        }
    }

    /// The one line it answers; `None` where it has an exit code of 1.
    pub async fn value(self) -> Result<Option<String>, GitError> {
        let command = self.display();
        let output = self.output(b"").await?;
        match output.status.code() {
            Some(0) => {
                let line = String::from_utf8_lossy(&output.stdout);
                Ok(Some(line.trim_end_matches('\n').to_owned()))
            }
            Some(1) => Ok(None),
            _ => Err(failed(command, &output)),
        }
    }

    /// What it wrote. A failure is an error.
    pub async fn answer(self, input: &[u8]) -> Result<Vec<u8>, GitError> {
        let command = self.display();
        let output = self.output(input).await?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(failed(command, &output)),
        }
    }

    /// For questions that an exit code of 1 answers with no.
    pub async fn question(self) -> Result<bool, GitError> {
        let command = self.display();
        let output = self.output(b"").await?;
        match output.status.code() {
            Some(0 | 1) => Ok(output.status.success()),
            _ => Err(failed(command, &output)),
        }
    }

    async fn output(self, input: &[u8]) -> Result<std::process::Output, GitError> {
        let git = std::iter::once("git".to_owned());
        let spawn = Spawn {
            argv: git.chain(self.settings).chain(self.args).collect(),
            cwd: Some(self.cwd),
            env: self.env,
            env_remove: self.env_remove,
        };
        let never = CancellationToken::new();
        spawn.pipe(input, &never).await.map_err(GitError::Run)
    }

    fn display(&self) -> String {
        format!("git {}", self.args.join(" "))
    }
}

fn failed(command: String, output: &std::process::Output) -> GitError {
    GitError::Failed {
        command,
        ending: ending(output.status),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
