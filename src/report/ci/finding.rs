//! One thing that is wrong at one place: what a failure comes down to.

use std::path::{Component, Path};

use super::Run;
use crate::{
    config::{self, StepId},
    event::{Fault, Severity, Site},
    report::words,
};

/// A failure or warning that stands for itself, with the step it is of.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'r> {
    /// `None` of what is no step's.
    pub step: Option<&'r StepId>,
    pub fault: &'r Fault,
}

/// Where it is: a path in the repository with `/`, line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub path: String,
    /// `None` where the file as a whole is meant.
    pub line: Option<usize>,
    pub column: Option<usize>,
}

impl<'r> Finding<'r> {
    /// All of a run, warnings after the failures of their step. `None` of them repeats another: what only says that there are some
    /// is left out.
    pub fn all(run: &'r Run) -> Vec<Self> {
        let mut all = Vec::new();
        for ran in &run.steps {
            let failed = run.failures().filter(|(id, _)| **id == ran.step);
            let step = Some(&ran.step);
            for (_, fault) in failed {
                all.extend(Self::of(step, fault));
            }
            let warnings = ran.warnings.iter();
            all.extend(warnings.map(|fault| Finding { step, fault }));
        }
        all.extend(run.faults.iter().flat_map(|fault| Self::of(None, fault)));
        all
    }

    /// What a failure comes down to: those that it sums up, else itself.
    pub fn of(step: Option<&'r StepId>, fault: &'r Fault) -> Vec<Self> {
        if fault.errors.is_empty() {
            return vec![Self { step, fault }];
        }
        let errors = fault.errors.iter();
        errors.flat_map(|error| Self::of(step, error)).collect()
    }

    /// Its rule, such as `ban-drop-column`; the kind of its step where it broke none.
    pub fn rule(&self) -> &'r str {
        match (self.fault.code.as_deref(), self.step) {
            (Some(code), _) => code,
            (None, Some(step)) => step.kind.as_str(),
            (None, None) => "devenv",
        }
    }

    /// `prefix` is the project's folder in its repository, empty at its top. `None` without a place in a file of the repository.
    pub fn location(&self, prefix: &Path) -> Option<Location> {
        let (path, place) = match self.fault.site.as_ref()? {
            Site::Key(_) => (Path::new(config::FILE), None),
            Site::Text { place, .. } => (Path::new(config::FILE), Some((place.line, place.column))),
            Site::File { path, line, column } => (path.as_path(), Some((*line, *column))),
        };
        Some(Location {
            path: inside(&prefix.join(path))?,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
        })
    }

    /// What is wrong, why, and what to do about it.
    pub fn text(&self) -> String {
        let mut text = lines(&self.fault.message);
        for note in self.fault.notes.iter().chain(&self.fault.label) {
            text = format!("{text}\n{}", lines(note));
        }
        if let Some(help) = &self.fault.help {
            text = format!("{text}\nhelp: {}", lines(help));
        }
        text
    }

    pub fn is_error(&self) -> bool {
        self.fault.severity == Severity::Error
    }
}

/// Without colours and control characters, line by line.
pub(super) fn lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(words::clean).collect();
    lines.join("\n")
}

/// Without `.` and `..`; `None` where it leads out.
fn inside(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_repository_or_nowhere() {
        let step = "task.a".parse().expect("a step id");
        let at = |path: &str, prefix: &str| {
            let fault = Fault::new("x").at_file(path, 3, 5);
            let finding = Finding {
                step: Some(&step),
                fault: &fault,
            };
            finding
                .location(Path::new(prefix))
                .map(|location| location.path)
        };
        assert_eq!(at("src/a.rs", "").as_deref(), Some("src/a.rs"));
        assert_eq!(
            at("./src/a.rs", "apps/one").as_deref(),
            Some("apps/one/src/a.rs")
        );
        assert_eq!(
            at("../two/a.rs", "apps/one").as_deref(),
            Some("apps/two/a.rs")
        );
        assert_eq!(at("../a.rs", ""), None);
        assert_eq!(at("/etc/passwd", ""), None);
    }

    #[test]
    fn what_sums_others_up_is_no_finding() {
        let step = "lint.db".parse().expect("a step id");
        let inner = [Fault::new("a"), Fault::new("b").after([Fault::new("c")])];
        let outer = Fault::new("2 findings").after(inner);
        let found = Finding::of(Some(&step), &outer);
        let said: Vec<_> = found.iter().map(|finding| &finding.fault.message).collect();
        assert_eq!(said, ["a", "c"]);
    }
}
