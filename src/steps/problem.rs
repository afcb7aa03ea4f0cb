//! Places in the project's files that a program named before it failed: what compilers, linters, formatters and tests print.
//!
//! Only lines of well-known forms count, and only files that are in the project. The program's own output stays what it is.

mod form;

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use form::{Head, Place};

use crate::{
    config::StepKind,
    event::{Fault, FaultClass, Severity, StepEvents},
};

/// More are in the output.
const KEPT: usize = 10;
/// Of a message, in characters.
const LONGEST: usize = 500;

/// What a step prints, listened to while it runs.
#[derive(Clone)]
pub(super) struct Heard(Option<Arc<Mutex<Problems>>>);

impl Heard {
    /// `None` in it for a step that runs no program of the project's.
    pub fn of(kind: StepKind, root: &Path) -> Self {
        Self(
            kind.runs_a_command()
                .then(|| Arc::new(Mutex::new(Problems::new(root)))),
        )
    }

    pub fn listen(&self, events: StepEvents) -> StepEvents {
        let Some(problems) = self.0.clone() else {
            return events;
        };
        events.heard_by(Arc::new(move |line: &str| {
            let mut problems = problems.lock().unwrap_or_else(PoisonError::into_inner);
            problems.hear(line);
        }))
    }

    /// The failure, after the places that were named.
    pub fn explain(&self, fault: Fault) -> Fault {
        match &self.0 {
            Some(problems) if fault.class == FaultClass::Step && fault.errors.is_empty() => {
                let mut problems = problems.lock().unwrap_or_else(PoisonError::into_inner);
                fault.after(problems.take())
            }
            Some(_) | None => fault,
        }
    }
}

/// The places found so far.
struct Problems {
    root: PathBuf,
    /// With links resolved, as some programs print it.
    real_root: PathBuf,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
    /// What is wrong, its place yet to come.
    head: Option<Head>,
    /// A place, what is wrong there yet to come.
    place: Option<Pending>,
}

/// What the message of a place looks like when it comes.
enum Pending {
    /// The next line.
    Panic(Place),
    /// The next line that is not indented.
    Traceback(Place),
}

impl Problems {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            real_root: fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()),
            errors: Vec::new(),
            warnings: Vec::new(),
            head: None,
            place: None,
        }
    }

    /// Errors first.
    fn take(&mut self) -> Vec<Fault> {
        let mut all = std::mem::take(&mut self.errors);
        all.append(&mut self.warnings);
        all.truncate(KEPT);
        all
    }

    fn hear(&mut self, line: &str) {
        let line = form::plain(line);
        let line = line.trim_end();
        match self.place.take() {
            Some(Pending::Panic(place)) => return self.found(place, &Head::error(line)),
            Some(Pending::Traceback(place)) => {
                let ends = !line.is_empty() && !line.starts_with(char::is_whitespace);
                if ends {
                    return self.found(place, &Head::error(line));
                }
                self.place = Some(Pending::Traceback(place));
            }
            None => {}
        }
        self.read(line);
    }

    fn read(&mut self, line: &str) {
        if let Some(place) = form::arrow(line) {
            if let Some(head) = self.head.take() {
                self.found(place, &head);
            }
        } else if let Some(head) = form::head(line) {
            self.head = head;
        } else if let Some(place) = form::unformatted(line) {
            self.found(place, &Head::error("it is not formatted"));
        } else if let Some((place, said)) = form::panic(line) {
            match said {
                Some(message) => self.found(place, &Head::error(message)),
                None => self.place = Some(Pending::Panic(place)),
            }
        } else if let Some(place) = form::traceback(line) {
            // The innermost of the project is the nearest that its people can do something about.
            if self.inside(&place.path).is_some() {
                self.place = Some(Pending::Traceback(place));
            }
        } else if let Some((place, head)) = form::line(line) {
            self.found(place, &head);
        }
    }

    fn found(&mut self, place: Place, head: &Head) {
        let kept = match head.severity {
            Severity::Error => &self.errors,
            Severity::Warning | Severity::Notice => &self.warnings,
        };
        if kept.len() >= KEPT {
            return;
        }
        let Some(path) = self.inside(&place.path) else {
            return;
        };
        let message: String = head.message.trim().chars().take(LONGEST).collect();
        let mut fault = Fault::new(message).severity(head.severity).at_file(
            path,
            place.line.max(1),
            place.column.max(1),
        );
        fault.code = head.code.as_deref().map(Into::into);
        let kept = match head.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning | Severity::Notice => &mut self.warnings,
        };
        if !kept.contains(&fault) {
            kept.push(fault);
        }
    }

    /// The path relative to the project, if it is a file of it.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let path = match path.is_absolute() {
            true => (path.strip_prefix(&self.root))
                .or_else(|_| path.strip_prefix(&self.real_root))
                .ok()?,
            false => path,
        };
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => plain.push(part),
                Component::CurDir => {}
                Component::ParentDir => {
                    if !plain.pop() {
                        return None;
                    }
                }
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        self.root.join(&plain).is_file().then_some(plain)
    }
}

#[cfg(test)]
mod tests;
