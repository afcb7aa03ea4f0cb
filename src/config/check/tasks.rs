//! What can be said of a task only when several of its keys are known.

use std::path::Component;

use super::Report;
use crate::{
    config::{Config, FILE, KeyPath, Task},
    sys::paths::plain,
};

pub(in crate::config) fn tasks(report: &mut Report<'_>, config: &Config) {
    for (name, task) in &config.task {
        let at = KeyPath::of(["task", name]);
        outputs(report, &at, task);
        variables(report, &at, task);
        cache(report, &at, task);
    }
}

/// What a task writes is put back exactly, so it is no more than a part of the project, and none of what git and devenv keep there.
fn outputs(report: &mut Report<'_>, at: &KeyPath, task: &Task) {
    for (index, output) in task.outputs.iter().enumerate() {
        let path = plain(output);
        let mut parts = path.components();
        let climbs = parts.clone().any(|part| part == Component::ParentDir);
        let first = parts.next().and_then(|part| part.as_os_str().to_str());
        let why = match first {
            _ if climbs => "has a `..` in it",
            None => "is the whole project",
            Some(".git" | ".devenv") => "is not the project's own",
            Some(FILE) => "is what describes the project",
            Some(_) => continue,
        };
        report
            .at_value(
                &at.join("outputs").join(index.to_string()),
                format!("`{output}` cannot be an output: it {why}"),
            )
            .label("name the files and folders that the task writes");
    }
}

/// A variable has one value.
fn variables(report: &mut Report<'_>, at: &KeyPath, task: &Task) {
    for (index, name) in task.pass.iter().enumerate() {
        if task.env.contains_key(name) {
            report
                .at_value(
                    &at.join("pass").join(index.to_string()),
                    format!("`{name}` is both in `pass` and in `env` of `[{at}]`"),
                )
                .label("keep only one")
                .help(format!(
                    "`env = {{ {name} = \"${{env.{name}:-…}}\" }}` is the caller's value, or another one where there is none"
                ));
        }
    }
}

/// Who asks for a kept result says what it depends on.
fn cache(report: &mut Report<'_>, at: &KeyPath, task: &Task) {
    let place = at.join("cache");
    if task.cache && task.inputs.is_empty() && report.source.contains(&place) {
        report
            .at_value(
                &place,
                format!("`[{at}]` has no `inputs`, so nothing can be kept"),
            )
            .label("it would run every time")
            .help("name the files that it reads: `inputs = [\"src/**\"]`");
    }
}
