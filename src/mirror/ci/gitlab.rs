//! The pipeline of GitLab CI: <https://docs.gitlab.com/ci/yaml/>.

use super::{
    block::fence,
    minutes, remotes, setup, usual_remote,
    yaml::{list, quoted},
};
use crate::config::{Config, Gitlab, Remote};

/// The pipeline: a job that checks, and one for each remote.
pub fn pipeline(config: &Config, gitlab: &Gitlab, user: &str) -> String {
    let image = quoted(&gitlab.image);
    let call = &gitlab.command;
    let minutes = minutes(gitlab.timeout);
    let setup = setup(&gitlab.setup).into_iter();
    let setup: String = setup
        .map(|command| format!("    - {}\n", quoted(&command)))
        .collect();
    let tags = match gitlab.tags.is_empty() {
        true => String::new(),
        false => format!("  tags: {}\n", list(&gitlab.tags)),
    };
    format!(
        r#"workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
    - if: $CI_COMMIT_TAG

.devenv:
  image: {image}
{tags}  timeout: {minutes} minutes
  variables:
    # What is new is found by comparing with the other branch.
    GIT_DEPTH: "0"
    XDG_DATA_HOME: $CI_PROJECT_DIR/.devenv/shared
  cache:
    # Tools, by the digests that the lock has.
    key:
      files: [devenv.lock]
      prefix: devenv
    paths: [.devenv/shared]
  before_script:
{setup}
devenv:
  extends: .devenv
  stage: test
  interruptible: true
  rules:
    - if: $CI_COMMIT_TAG == null
  script:
    - {call} ci --junit devenv-junit.xml --code-quality devenv-code-quality.json
  artifacts:
    when: always
    reports:
      junit: devenv-junit.xml
      codequality: devenv-code-quality.json
{deploys}{user}"#,
        deploys = deploys(config, call),
        user = fence("", user),
    )
}

/// By hand from the default branch, or when a tag `<remote>-…` is pushed.
fn deploys(config: &Config, call: &str) -> String {
    let usual = usual_remote(config);
    let longer = remotes(config);
    let jobs = config.remote.iter().map(|(name, remote)| {
        // A longer name that begins with this one has tags of its own.
        let others = longer
            .iter()
            .filter(|other| other.starts_with(&format!("{name}-")))
            .map(|other| format!(" && $CI_COMMIT_TAG !~ /^{other}-/"));
        job(
            (name, remote),
            call,
            &others.collect::<String>(),
            usual == Some(name),
        )
    });
    jobs.collect()
}

fn job((name, remote): (&str, &Remote), call: &str, but: &str, is_usual: bool) -> String {
    let url = remote.url.as_ref();
    let url = url.map_or_else(String::new, |url| format!("    url: {}\n", quoted(url)));
    let first = match is_usual {
        true => "# What is deployed to when nobody says otherwise.\n",
        false => "",
    };
    format!(
        r#"
{first}deploy:{name}:
  extends: .devenv
  stage: deploy
  resource_group: {name}
  environment:
    name: {name}
{url}  rules:
    - if: $CI_COMMIT_TAG =~ /^{name}-/{but}
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
      allow_failure: true
  script:
    - {call} deploy {name}
"#
    )
}
