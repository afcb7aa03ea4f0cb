//! What was looked at, how it stands, and how to mend it.

use std::fmt;

use serde::Serialize;

use crate::event::{Fault, FaultClass, Site};

#[derive(Debug, Serialize)]
pub struct Finding {
    about: &'static str,
    state: State,
    message: String,
    fix: Option<String>,
    /// The place in a file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<Site>,
    /// What it means for the exit code; `None` when it is no problem.
    #[serde(skip)]
    pub class: Option<FaultClass>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Problem,
}

impl Finding {
    fn new(about: &'static str, state: State, message: String, fix: Option<String>) -> Self {
        Self {
            about,
            state,
            message,
            fix,
            site: None,
            class: (state == State::Problem).then_some(FaultClass::Environment),
        }
    }

    pub fn ok(about: &'static str, message: String) -> Self {
        Self::new(about, State::Ok, message, None)
    }

    pub fn warning(about: &'static str, message: String, fix: Option<String>) -> Self {
        Self::new(about, State::Warning, message, fix)
    }

    pub fn problem(about: &'static str, message: String, fix: Option<String>) -> Self {
        Self::new(about, State::Problem, message, fix)
    }

    pub fn of_fault(about: &'static str, fault: &Fault) -> Self {
        let message = match fault.label.as_ref().or(fault.notes.first()) {
            Some(why) => format!("{}: {why}", fault.message),
            None => fault.message.clone(),
        };
        Self {
            site: fault.site.clone(),
            class: Some(fault.class),
            ..Self::problem(about, message, fault.help.clone())
        }
    }

    /// Of what would fail later, and when.
    pub fn warning_of(about: &'static str, fault: &Fault, when: &str) -> Self {
        let finding = Self::of_fault(about, fault);
        Self {
            state: State::Warning,
            message: format!("{} ({when})", finding.message),
            class: None,
            ..finding
        }
    }

    /// One for each error of the file.
    pub fn of_file(about: &'static str, fault: &Fault) -> Vec<Self> {
        match fault.errors.as_slice() {
            [] => vec![Self::of_fault(about, fault)],
            errors => (errors.iter())
                .map(|error| Self::of_fault(about, error))
                .collect(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok     ",
            State::Warning => "warning",
            State::Problem => "problem",
        };
        write!(f, "{state}  {:6}  ", self.about)?;
        if let Some(site) = &self.site {
            write!(f, "{site}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "\n{:17}fix: {fix}", ""),
            None => Ok(()),
        }
    }
}
