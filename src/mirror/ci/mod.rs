//! The files that make a CI service call devenv.
//!
//! Every file says in its first line who wrote it, keeps what the user put between its fence, and ends with the facts of its plan.

mod block;
mod facts;
mod github;
mod gitlab;
mod yaml;

#[cfg(test)]
mod tests;

use crate::{
    config::{Config, FILE, StepId, StepKind},
    plan::Plan,
};

pub use block::{Origin, fence_lines, parts};
pub use facts::{Difference, differences};

/// A file of a CI service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    GithubCi,
    GithubDeploy,
    Gitlab,
}

/// A file to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// `ci.github`
    pub step: StepId,
    /// Relative to the project.
    pub path: String,
    kind: Kind,
}

/// What the files are made for.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    pub config: &'a Config,
    /// Its folder in the repository, with `/` between the parts; empty at the top, and without a repository.
    pub folder: &'a str,
}

impl Project<'_> {
    fn is_at_top(&self) -> bool {
        self.folder.is_empty()
    }

    /// A name that no other project of the repository has.
    fn own(&self, name: &str) -> String {
        match self.is_at_top() {
            true => name.to_owned(),
            false => format!("{name}-{}", self.config.project.name),
        }
    }

    /// How tags begin that deploy to the remote: `staging-`, below the top `shop-staging-`.
    fn tag(&self, remote: &str) -> String {
        match self.is_at_top() {
            true => format!("{remote}-"),
            false => format!("{}-{remote}-", self.config.project.name),
        }
    }

    /// A file of the project, from the top of the repository.
    fn path(&self, file: &str) -> String {
        match self.is_at_top() {
            true => file.to_owned(),
            false => format!("{}/{file}", self.folder),
        }
    }

    /// A file at the top of the repository, from the project.
    fn at_top(&self, file: &str) -> String {
        let parts = self.folder.split('/').filter(|part| !part.is_empty());
        parts.map(|_| "../").collect::<String>() + file
    }

    /// Of a workflow that is called this in the file: all of a repository are in one folder.
    fn workflow(&self, file: &str) -> String {
        match file.rsplit_once('.') {
            Some((stem, end)) => self.at_top(&format!("{}.{end}", self.own(stem))),
            None => self.at_top(file),
        }
    }

    /// The file that all others are made from, as their first lines name it.
    fn source(&self) -> String {
        self.path(FILE)
    }

    /// What a text that stands at the path of a file is.
    pub fn origin<'t>(&self, text: &'t str) -> Origin<'t> {
        block::origin(text, &self.source())
    }

    /// The files of all CI services that the project names.
    pub fn files(&self) -> Vec<File> {
        let mut files = Vec::new();
        let mut add = |service: &str, path: String, kind| {
            files.push(File {
                step: StepId::new(StepKind::Ci, service),
                path,
                kind,
            });
        };
        let Some(ci) = &self.config.ci else {
            return files;
        };
        if let Some(github) = &ci.github {
            add("github", self.workflow(&github.file), Kind::GithubCi);
            if !self.config.remote.is_empty() {
                let path = self.workflow(&github.deploy_file);
                add("github", path, Kind::GithubDeploy);
            }
        }
        if let Some(gitlab) = &ci.gitlab {
            add("gitlab", gitlab.file.clone(), Kind::Gitlab);
        }
        files
    }

    /// Where files of these services can be, whether the project names them or not, relative to it. A path that ends in `/` is a
    /// folder.
    pub fn places(&self) -> [String; 2] {
        [
            self.at_top(".github/workflows/"),
            ".gitlab-ci.yml".to_owned(),
        ]
    }
}

impl File {
    /// The whole text. `user` is what stands in the file's fence, whole lines.
    pub fn text(&self, project: &Project<'_>, plan: &Plan, user: &str) -> String {
        let config = project.config;
        let ci = config.ci.as_ref();
        let github = ci.and_then(|ci| ci.github.as_ref());
        let gitlab = ci.and_then(|ci| ci.gitlab.as_ref());
        let body = match (self.kind, github, gitlab) {
            (Kind::GithubCi, Some(github), _) => github::ci(project, github, user),
            (Kind::GithubDeploy, Some(github), _) => github::deploy(project, github, user),
            (Kind::Gitlab, _, Some(gitlab)) => gitlab::pipeline(project, gitlab, user),
            (Kind::GithubCi | Kind::GithubDeploy, None, _) | (Kind::Gitlab, _, None) => {
                unreachable!("`files` names only those of tables that are there")
            }
        };
        let first = block::first_line(&self.step, &project.source());
        block::sealed(
            &format!("{first}{body}\n"),
            &facts::lines(plan, &config.source),
        )
    }
}

/// The commands that get a machine ready. Nothing is installed that the file does not name: what a registry has under a name may be
/// anybody's.
fn setup(table: &str, own: &[String], command: &str) -> Vec<String> {
    match own.is_empty() {
        true => {
            let program = command.split(' ').next().unwrap_or_default();
            vec![format!(
                "command -v {program} || {{ echo '{program} is not on PATH here: setup in [{table}] of {FILE} says how it gets there'; exit 1; }}"
            )]
        }
        false => own.to_vec(),
    }
}

/// Services count whole minutes.
fn minutes(duration: std::time::Duration) -> u64 {
    duration.as_secs() / 60
}

/// Names of the remotes, longer ones first: a tag `staging-eu-1` belongs to `staging-eu`, where there is also a `staging`.
fn remotes(config: &Config) -> Vec<&str> {
    let mut names: Vec<_> = config.remote.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
    names
}

/// The remote to deploy to when none is chosen: `staging`, else the first.
fn usual_remote(config: &Config) -> Option<&str> {
    let names = config.remote.keys().map(String::as_str);
    let staging = names.clone().find(|name| *name == "staging");
    staging.or_else(|| names.clone().next())
}
