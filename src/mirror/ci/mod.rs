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
    config::{Config, StepId, StepKind},
    plan::Plan,
};

pub use block::{Origin, fence_lines, origin, parts};
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

/// The files of all CI services that the project names.
pub fn files(config: &Config) -> Vec<File> {
    let mut files = Vec::new();
    let mut add = |service: &str, path: &str, kind| {
        files.push(File {
            step: StepId::new(StepKind::Ci, service),
            path: path.to_owned(),
            kind,
        });
    };
    let Some(ci) = &config.ci else {
        return files;
    };
    if let Some(github) = &ci.github {
        add("github", &github.file, Kind::GithubCi);
        if !config.remote.is_empty() {
            add("github", &github.deploy_file, Kind::GithubDeploy);
        }
    }
    if let Some(gitlab) = &ci.gitlab {
        add("gitlab", &gitlab.file, Kind::Gitlab);
    }
    files
}

/// Where files of these services can be, whether the project names them or not. A path that ends in `/` is a folder.
pub const PLACES: [&str; 2] = [".github/workflows/", ".gitlab-ci.yml"];

impl File {
    /// The whole text. `user` is what stands in the file's fence, whole lines.
    pub fn text(&self, config: &Config, plan: &Plan, user: &str) -> String {
        let ci = config.ci.as_ref();
        let github = ci.and_then(|ci| ci.github.as_ref());
        let gitlab = ci.and_then(|ci| ci.gitlab.as_ref());
        let body = match (self.kind, github, gitlab) {
            (Kind::GithubCi, Some(github), _) => github::ci(config, github, user),
            (Kind::GithubDeploy, Some(github), _) => github::deploy(config, github, user),
            (Kind::Gitlab, _, Some(gitlab)) => gitlab::pipeline(config, gitlab, user),
            (Kind::GithubCi | Kind::GithubDeploy, None, _) | (Kind::Gitlab, _, None) => {
                unreachable!("`files` names only those of tables that are there")
            }
        };
        let first = block::first_line(&self.step);
        block::sealed(
            &format!("{first}{body}\n"),
            &facts::lines(plan, &config.source),
        )
    }
}

/// The commands that get a machine ready.
fn setup(own: &[String]) -> Vec<String> {
    match own.is_empty() {
        true => vec![format!(
            "cargo install --locked devenv --version {}",
            env!("CARGO_PKG_VERSION")
        )],
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
