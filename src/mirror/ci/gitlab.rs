//! The pipeline of GitLab CI: <https://docs.gitlab.com/ci/yaml/>.

use super::{
    Project,
    block::fence,
    minutes, remotes, setup, usual_remote,
    yaml::{list, quoted},
};
use crate::{
    config::{Gitlab, Remote},
    mirror::git_hook,
};

/// The pipeline: a job that checks, and one for each remote.
pub fn pipeline(project: &Project<'_>, gitlab: &Gitlab, user: &str) -> String {
    let image = quoted(&gitlab.image);
    let call = &gitlab.command;
    let minutes = minutes(gitlab.timeout);
    let setup = setup("ci.gitlab", &gitlab.setup, &gitlab.command);
    let setup = folder(project).into_iter().chain(setup);
    let setup: String = setup
        .map(|command| format!("    - {}\n", quoted(&command)))
        .collect();
    let tags = match gitlab.tags.is_empty() {
        true => String::new(),
        false => format!("  tags: {}\n", list(&gitlab.tags)),
    };
    format!(
        r#"{head}
{base}:
  image: {image}
{tags}  timeout: {minutes} minutes
  variables:
    # What is new is found by comparing with the other branch.
    GIT_DEPTH: "0"
    XDG_DATA_HOME: $CI_PROJECT_DIR/.devenv/shared
  cache:
    # Tools, by the digests that the lock has.
    key:
      files: {lock}
      prefix: {name}
    paths: [.devenv/shared]
  before_script:
{setup}
{name}:
  extends: {base}
  stage: test
  interruptible: true
  rules:
    - if: $CI_COMMIT_TAG == null
  script:
    - {call} ci --junit devenv-junit.xml --code-quality devenv-code-quality.json
  artifacts:
    when: always
    reports:
      junit: {junit}
      codequality: {quality}
{deploys}{user}"#,
        head = head(project, gitlab),
        base = project.own(".devenv"),
        name = project.own("devenv"),
        lock = match project.is_at_top() {
            true => "[devenv.lock]".to_owned(),
            false => list(&[project.path("devenv.lock")]),
        },
        junit = path(project, "devenv-junit.xml"),
        quality = path(project, "devenv-code-quality.json"),
        deploys = deploys(project, call),
        user = fence("", user),
    )
}

/// When there is a pipeline. What is included leaves that to who includes it.
fn head(project: &Project<'_>, gitlab: &Gitlab) -> String {
    match project.is_at_top() {
        true => r#"workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
    - if: $CI_COMMIT_TAG
"#
        .to_owned(),
        false => format!(
            "# GitLab reads this file where the one at the top of the repository has it in its `include`:\n\
             #   - local: {}\n",
            quoted(&format!("/{}", project.path(&gitlab.file)))
        ),
    }
}

/// What goes to the project's folder, as a command of `sh`.
fn folder(project: &Project<'_>) -> Option<String> {
    (!project.is_at_top()).then(|| format!("cd {}", git_hook::quoted(project.folder)))
}

fn path(project: &Project<'_>, file: &str) -> String {
    match project.is_at_top() {
        true => file.to_owned(),
        false => quoted(&project.path(file)),
    }
}

/// By hand from the default branch, or when a tag `<remote>-…` is pushed.
fn deploys(project: &Project<'_>, call: &str) -> String {
    let config = project.config;
    let usual = usual_remote(config);
    let longer = remotes(config);
    let jobs = config.remote.iter().map(|(name, remote)| {
        // A longer name that begins with this one has tags of its own.
        let others = longer
            .iter()
            .filter(|other| other.starts_with(&format!("{name}-")))
            .map(|other| format!(" && $CI_COMMIT_TAG !~ /^{}/", project.tag(other)));
        job(
            project,
            (name, remote),
            call,
            &others.collect::<String>(),
            usual == Some(name),
        )
    });
    jobs.collect()
}

fn job(
    project: &Project<'_>,
    (name, remote): (&str, &Remote),
    call: &str,
    but: &str,
    is_usual: bool,
) -> String {
    let (base, own, tag) = (project.own(".devenv"), project.own(name), project.tag(name));
    let url = remote.url.as_ref();
    let url = url.map_or_else(String::new, |url| format!("    url: {}\n", quoted(url)));
    let first = match is_usual {
        true => "# What is deployed to when nobody says otherwise.\n",
        false => "",
    };
    format!(
        r#"
{first}deploy:{own}:
  extends: {base}
  stage: deploy
  resource_group: {own}
  environment:
    name: {name}
{url}  rules:
    - if: $CI_COMMIT_TAG =~ /^{tag}/{but}
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
      allow_failure: true
  script:
    - {call} deploy {name}
"#
    )
}
