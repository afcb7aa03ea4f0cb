//! A failure, ready to be shown to people and programs.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Spot, count};
use crate::config::{self, ConfigError, ErrorSite, KeyPath, Place, Source, StepKind};

/// More failures at once help nobody.
const SHOWN: usize = 20;

/// A failure, ready to be shown: what was being done, on what, why it failed, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Lower case, names in backticks, no final period.
    pub message: String,
    pub class: FaultClass,
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
    /// The rule that was broken, as its own tool calls it: `ban-drop-column`, `E0308`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// Where in a file it stands.
    pub site: Option<Site>,
    /// The line of the file that the site names, where it is known; devenv.toml's own is read from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What the marked place says, such as "probe `select 1` never answered".
    pub label: Option<String>,
    /// Causes and facts, outermost first; last log lines.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// Failures that come with this one and are told before it: each error of a file, each tool that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// How much it weighs. Only errors make a step fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Error,
    Warning,
    Notice,
}

impl Severity {
    fn is_error(&self) -> bool {
        *self == Severity::Error
    }
}

/// Decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// A step failed: 1.
    Step,
    /// Wrong usage or configuration: 2.
    Usage,
    /// Engine absent, port taken, tool missing: 3.
    Environment,
    /// A defect of devenv: 70.
    Bug,
    /// Interrupted by a signal: 130.
    Interrupted,
}

/// Where it stands. Programs read `file`, `line`, `column` and, of devenv.toml, `key`, whatever the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Shown", into = "Shown")]
pub enum Site {
    /// A key of devenv.toml, its place yet to be looked up.
    Key(KeyPath),
    /// A place in the text of devenv.toml.
    Text { key: Option<KeyPath>, place: Place },
    /// A place in any other file, relative to the project. Line and column count from 1, columns in characters.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
}

/// `devenv.toml:14:1`.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line, column) = match self {
            Site::Key(_) => return f.write_str(config::FILE),
            Site::Text { place, .. } => (config::FILE.as_ref(), place.line, place.column),
            Site::File { path, line, column } => (path.as_path(), *line, *column),
        };
        write!(f, "{}:{line}:{column}", path.display())
    }
}

/// A site as JSON has it.
#[derive(Serialize, Deserialize)]
struct Shown {
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyPath>,
}

impl From<Site> for Shown {
    fn from(site: Site) -> Self {
        let (file, place, key) = match site {
            Site::Key(key) => (config::FILE.into(), None, Some(key)),
            Site::Text { key, place } => {
                (config::FILE.into(), Some((place.line, place.column)), key)
            }
            Site::File { path, line, column } => (path, Some((line, column)), None),
        };
        Self {
            file,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            key,
        }
    }
}

impl From<Shown> for Site {
    fn from(shown: Shown) -> Self {
        match (shown.key, shown.line, shown.column) {
            (Some(key), ..) => Site::Key(key),
            (None, line, column) => Site::File {
                path: shown.file,
                line: line.unwrap_or(1),
                column: column.unwrap_or(1),
            },
        }
    }
}

impl Fault {
    /// A failure of a step.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            class: FaultClass::Step,
            severity: Severity::Error,
            code: None,
            site: None,
            excerpt: None,
            label: None,
            notes: Vec::new(),
            help: None,
            errors: Vec::new(),
        }
    }

    /// The error's own message, its sources as notes.
    pub fn from_error(error: &dyn std::error::Error) -> Self {
        let mut fault = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !fault.message.contains(&text) && !fault.notes.contains(&text) {
                fault.notes.push(text);
            }
            source = cause.source();
        }
        fault
    }

    pub fn class(mut self, class: FaultClass) -> Self {
        self.class = class;
        self
    }

    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub fn code(mut self, code: impl Into<Box<str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub fn at_key(mut self, key: KeyPath) -> Self {
        self.site.get_or_insert(Site::Key(key));
        self
    }

    pub fn at_file(mut self, path: impl Into<PathBuf>, line: usize, column: usize) -> Self {
        self.site = Some(Site::File {
            path: path.into(),
            line,
            column,
        });
        self
    }

    /// As [`Fault::at_file`], with the line that stands there.
    pub fn at_spot(self, path: impl Into<PathBuf>, spot: &Spot) -> Self {
        Self {
            excerpt: spot.excerpt.clone(),
            ..self.at_file(path, spot.line, spot.column)
        }
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Tells these before it.
    pub fn after(mut self, errors: impl IntoIterator<Item = Fault>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Several failures as one: the last one, after the others. `None` without any.
    pub fn all(mut faults: Vec<Fault>) -> Option<Self> {
        let more = faults.len().saturating_sub(SHOWN);
        faults.truncate(SHOWN);
        if more > 0 {
            let class = faults.last()?.class;
            let rest = Self::new(format!("{} not shown", count(more, "more problem")));
            faults.push(
                rest.class(class)
                    .help("correct these first, then run it again"),
            );
        }
        let last = faults.pop()?;
        Some(last.after(faults))
    }

    /// With the line and column of every key.
    pub fn located(mut self, source: &Source) -> Self {
        self.site = self.site.map(|site| match site {
            Site::Key(key) => match source.key(&key) {
                Some(place) => Site::Text {
                    key: Some(key),
                    place,
                },
                None => Site::Key(key),
            },
            site @ (Site::Text { .. } | Site::File { .. }) => site,
        });
        let errors = self.errors.into_iter();
        self.errors = errors.map(|error| error.located(source)).collect();
        self
    }

    /// The same failure, each text passed through `map`.
    pub(super) fn map_texts(self, map: &impl Fn(&str) -> String) -> Self {
        Self {
            message: map(&self.message),
            // With a secret in it, the column would mark another place.
            excerpt: self.excerpt.filter(|excerpt| map(excerpt) == *excerpt),
            label: self.label.map(|label| map(&label)),
            code: self.code.map(|code| map(&code).into()),
            notes: self.notes.iter().map(|note| map(note)).collect(),
            help: self.help.map(|help| map(&help)),
            errors: (self.errors.into_iter())
                .map(|error| error.map_texts(map))
                .collect(),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Every module's error becomes a [`Fault`] here; an error type overrides this to add its site, notes and help.
pub trait Explain: std::error::Error + Sized {
    fn explain(&self) -> Fault {
        Fault::from_error(self)
    }
}

impl Explain for config::ConfigErrors {
    fn explain(&self) -> Fault {
        let source = &self.source_file;
        let errors = self.errors.iter().map(|error| in_file(error, source));
        Fault::from_error(self)
            .class(FaultClass::Usage)
            .after(errors)
    }
}

/// One error of a file, with its place.
fn in_file(error: &ConfigError, source: &Source) -> Fault {
    Fault {
        site: match &error.site {
            ErrorSite::Span(span) => Some(Site::Text {
                key: None,
                place: source.place(span.clone()),
            }),
            ErrorSite::File { path, line, column } => Some(Site::File {
                path: path.clone(),
                line: *line,
                column: *column,
            }),
            ErrorSite::Whole => None,
        },
        label: error.label.clone(),
        help: error.help.clone(),
        ..Fault::new(&error.message).class(FaultClass::Usage)
    }
}

impl Explain for crate::plan::FingerprintError {}

/// Of a plan whose file has none: the circle goes over the images that Dockerfiles name.
impl Explain for crate::plan::CycleError {
    fn explain(&self) -> Fault {
        let image = self.path.iter().find(|id| id.kind == StepKind::Image);
        let fault = Fault::from_error(self)
            .class(FaultClass::Usage)
            .help("name another image in one of the Dockerfiles, or give the `[image.…]` table another `ref`");
        match image {
            Some(id) => fault.at_key(id.key_path().join("dockerfile")),
            None => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn programs_read_the_place_of_a_key() {
        let text = "[project]\nname = \"x\"\n\n[task.t]\nrun = \"true\"\n";
        let config = config::parse(Path::new(config::FILE), text, &|_| None).expect("a good file");
        let inner = Fault::new("inner").at_file("a.sql", 2, 3);
        let fault = Fault::new("outer").at_key(KeyPath::of(["task", "t", "run"]));
        let json = serde_json::json!(fault.after([inner]).located(&config.source));
        let site = serde_json::json!({
            "file": "devenv.toml", "line": 5, "column": 1, "key": ["task", "t", "run"],
        });
        assert_eq!(json["site"], site);
        let inner = serde_json::json!({ "file": "a.sql", "line": 2, "column": 3 });
        assert_eq!(json["errors"][0]["site"], inner);
    }
}
