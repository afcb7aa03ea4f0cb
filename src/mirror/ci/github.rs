//! Workflows of GitHub Actions: <https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax>.

use std::collections::BTreeMap;

use super::{
    Project,
    block::fence,
    minutes, remotes, setup, usual_remote,
    yaml::{block, list, quoted},
};
use crate::config::{Config, Github, SecretSource};

/// Actions by full commit, as a tag can be moved.
const CHECKOUT: &str = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
const CACHE: &str = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5";
const UPLOAD: &str = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0";

/// The workflow that checks every push and pull request.
pub fn ci(project: &Project<'_>, github: &Github, user: &str) -> String {
    format!(
        r#"name: {name}

on:
  push:
    branches: {branches}
  pull_request:

permissions:
  contents: read

concurrency:
  group: ${{{{ github.workflow }}}}-${{{{ github.ref }}}}
  # A pull request needs an answer for its newest commit only, a branch for each.
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

jobs:
  ci:
    runs-on: {runs_on}
    timeout-minutes: {minutes}
{folder}    steps:
{checkout}{cache}{set_up}      - name: {call} ci
        run: {call} ci --junit devenv-junit.xml --sarif devenv.sarif
{secrets}      - uses: {UPLOAD}
        if: ${{{{ !cancelled() }}}}
        with:
          name: devenv-reports
          path: |
            {junit}
            {sarif}
          if-no-files-found: ignore
{user}"#,
        name = project.own("devenv"),
        folder = folder(project),
        junit = project.path("devenv-junit.xml"),
        sarif = project.path("devenv.sarif"),
        branches = list(&github.branches),
        runs_on = quoted(&github.runs_on),
        minutes = minutes(github.timeout),
        checkout = checkout(),
        cache = cache(project),
        set_up = set_up(github),
        call = github.command,
        secrets = secrets(project.config),
        user = fence("  ", user),
    )
}

/// The workflow that deploys: by hand, or when a tag `<remote>-…` is pushed.
pub fn deploy(project: &Project<'_>, github: &Github, user: &str) -> String {
    let config = project.config;
    let names = remotes(config);
    let usual = usual_remote(config).unwrap_or_default();
    let options = config.remote.keys();
    let tags: Vec<_> = options
        .clone()
        .map(|name| format!("{}*", project.tag(name)))
        .collect();
    let by_tag = names.iter().map(|name| {
        let tag = project.tag(name);
        format!(" || startsWith(github.ref_name, '{tag}') && '{name}'")
    });
    let chosen = format!("inputs.remote{}", by_tag.collect::<String>());
    let remote = format!("${{{{ {chosen} }}}}");
    format!(
        r#"name: {name}

on:
  workflow_dispatch:
    inputs:
      remote:
        description: Where to
        type: choice
        options: {options}
        default: {usual}
  push:
    tags: {tags}

permissions:
  contents: read

concurrency:
  # One after the other for each place, and none is cut short.
  group: ${{{{ github.workflow }}}}-{remote}
  cancel-in-progress: false

jobs:
  deploy:
    runs-on: {runs_on}
    timeout-minutes: {minutes}
    environment:
      name: {remote}
{url}{folder}    steps:
{checkout}{set_up}      - name: {call} deploy
        run: {call} deploy "$REMOTE"
        env:
          REMOTE: {remote}
{secrets}{user}"#,
        name = project.own("devenv-deploy"),
        folder = folder(project),
        options = list(options),
        usual = quoted(usual),
        tags = list(&tags),
        url = url(config, &chosen),
        runs_on = quoted(&github.runs_on),
        minutes = minutes(github.timeout),
        checkout = checkout(),
        set_up = set_up(github),
        call = github.command,
        secrets = secret_lines(config),
        user = fence("  ", user),
    )
}

/// Where the remote is reached that the expression `chosen` names.
fn url(config: &Config, chosen: &str) -> String {
    let urls = config.remote.iter();
    let urls = urls.filter_map(|(name, remote)| Some((name, remote.url.as_ref()?)));
    let urls: BTreeMap<_, _> = urls.collect();
    let url = match (urls.len(), config.remote.len()) {
        (0, _) => return String::new(),
        (1, 1) => urls.into_values().map(|url| quoted(url)).collect(),
        _ => {
            let table = serde_json::to_string(&urls).expect("texts are plain data");
            format!("${{{{ fromJSON({})[{chosen}] }}}}", literal(&table))
        }
    };
    format!("      url: {url}\n")
}

/// A text in an expression: a quote in it stands twice.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn checkout() -> String {
    format!(
        r#"      - uses: {CHECKOUT}
        with:
          # What is new is found by comparing with the other branch.
          fetch-depth: 0
          persist-credentials: false
"#
    )
}

/// Where commands are run.
fn folder(project: &Project<'_>) -> String {
    match project.is_at_top() {
        true => String::new(),
        false => format!(
            "    defaults:\n      run:\n        working-directory: {}\n",
            quoted(project.folder)
        ),
    }
}

/// Not for what deploys: who can write the cache of a branch must not get into what is shipped.
fn cache(project: &Project<'_>) -> String {
    let lock = literal(&project.path("devenv.lock"));
    let key =
        format!("devenv-${{{{ runner.os }}}}-${{{{ runner.arch }}}}-${{{{ hashFiles({lock}) }}}}");
    let key = match project.is_at_top() {
        true => key,
        false => quoted(&key),
    };
    format!(
        r#"      # Tools, by the digests that the lock has.
      - uses: {CACHE}
        with:
          path: ~/.local/share/devenv
          key: {key}
"#
    )
}

/// What gets devenv there.
fn set_up(github: &Github) -> String {
    format!(
        "      - name: setup\n        run: |\n{}",
        block(
            "          ",
            &setup("ci.github", &github.setup, &github.command)
        )
    )
}

/// The variables that secrets come from, as the repository's own secrets of the same names.
fn secrets(config: &Config) -> String {
    match secret_lines(config) {
        lines if lines.is_empty() => lines,
        lines => format!("        env:\n{lines}"),
    }
}

fn secret_lines(config: &Config) -> String {
    let names = config
        .secret
        .values()
        .filter_map(|secret| match &secret.source {
            SecretSource::Env(name) => Some(name),
            SecretSource::File(_) | SecretSource::Command(_) => None,
        });
    names
        .map(|name| format!("          {name}: ${{{{ secrets.{name} }}}}\n"))
        .collect()
}
