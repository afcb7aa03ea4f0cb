//! What happens during a run, as plain data. The terminal, the JSON stream and the run log all show these same events.
//!
//! Events are generic over steps: a new kind of step adds none.

mod mask;
mod spot;

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use mask::Mask;
pub use mask::percent_encode;
pub use spot::Spot;

use crate::{
    config::{KeyPath, StepId},
    plan::{Decision, Digest, Reason},
};

/// An event with the time since the run began, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    RunStarted {
        command: String,
        project: String,
        steps: Vec<StepId>,
        plan: Digest,
    },
    /// Another run of this project holds the lock.
    Waiting {
        holder: String,
    },
    StepStarted {
        step: StepId,
        #[serde(flatten)]
        decision: Decision,
    },
    StepProgress {
        step: StepId,
        #[serde(flatten)]
        progress: Progress,
    },
    /// A line of output of what the step runs.
    StepLog {
        step: StepId,
        line: String,
    },
    StepFinished {
        step: StepId,
        outcome: Outcome,
        duration_ms: u64,
    },
    /// Something the user should know that is no failure.
    Notice {
        step: Option<StepId>,
        message: String,
    },
    Cancelling {
        signal: String,
    },
    RunFinished {
        outcome: Outcome,
        duration_ms: u64,
    },
}

/// How far a step is: `Downloading 3/10 MB`, `Applying 2/7 V2__index`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub message: String,
    pub done: Option<u64>,
    pub total: Option<u64>,
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    #[default]
    Items,
    Bytes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was to do.
    Skipped,
    /// Done; the summary is past tense with a number: `Applied 3 migrations to postgres.db`.
    Done {
        summary: String,
    },
    Failed {
        fault: Fault,
    },
    /// Not run, because something it needs failed, or the run was cancelled.
    Cancelled,
}

/// A failure, ready to be shown: what was being done, on what, why it failed, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Lower case, names in backticks, no final period.
    pub message: String,
    pub class: FaultClass,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// A key of devenv.toml.
    Key(KeyPath),
    /// A place in any other file, relative to the project. Line and column count from 1, columns in characters.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
}

impl Fault {
    /// A failure of a step.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            class: FaultClass::Step,
            site: None,
            excerpt: None,
            label: None,
            notes: Vec::new(),
            help: None,
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

impl Explain for crate::config::ConfigErrors {
    fn explain(&self) -> Fault {
        Fault::from_error(self).class(FaultClass::Usage)
    }
}

impl Explain for crate::plan::FingerprintError {}

/// `1 step`, `3 steps`: how messages count.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Where events go. Cheap to clone; dropping the last one ends the receiver.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::UnboundedSender<Record>,
    started: Instant,
    mask: Mask,
}

impl Events {
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Record>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let events = Self {
            sender,
            started: Instant::now(),
            mask: Mask::default(),
        };
        (events, receiver)
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// From now on, this value is replaced by `***` wherever it would be shown. Empty values are ignored.
    pub fn mask(&self, secret: &str) {
        self.mask.add(secret);
    }

    pub fn send(&self, event: Event) {
        let record = Record {
            at_ms: self.elapsed().as_millis() as u64,
            event: self.mask_event(event),
        };
        // Nobody listens any more once the renderer has gone; the run goes on.
        let _ = self.sender.send(record);
    }

    /// Everything a step may say while it runs.
    pub fn of(&self, step: &StepId) -> StepEvents {
        StepEvents {
            events: self.clone(),
            step: step.clone(),
        }
    }

    fn mask_event(&self, event: Event) -> Event {
        match event {
            Event::StepLog { step, line } => Event::StepLog {
                step,
                line: self.mask.apply(&line),
            },
            Event::StepProgress { step, mut progress } => {
                progress.message = self.mask.apply(&progress.message);
                Event::StepProgress { step, progress }
            }
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => Event::StepFinished {
                step,
                outcome: self.mask_outcome(outcome),
                duration_ms,
            },
            Event::RunFinished {
                outcome,
                duration_ms,
            } => Event::RunFinished {
                outcome: self.mask_outcome(outcome),
                duration_ms,
            },
            Event::Notice { step, message } => Event::Notice {
                step,
                message: self.mask.apply(&message),
            },
            Event::StepStarted { step, mut decision } => {
                for reason in &mut decision.reasons {
                    // It may quote what a server or a tool answered.
                    if let Reason::State { what } | Reason::Pending { what } = reason {
                        *what = self.mask.apply(what);
                    }
                }
                Event::StepStarted { step, decision }
            }
            event @ (Event::RunStarted { .. }
            | Event::Waiting { .. }
            | Event::Cancelling { .. }) => event,
        }
    }

    fn mask_outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done { summary } => Outcome::Done {
                summary: self.mask.apply(&summary),
            },
            Outcome::Failed { fault } => Outcome::Failed {
                fault: self.mask_fault(fault),
            },
            outcome @ (Outcome::Skipped | Outcome::Cancelled) => outcome,
        }
    }

    pub fn mask_fault(&self, fault: Fault) -> Fault {
        Fault {
            message: self.mask.apply(&fault.message),
            // With a secret in it, the column would mark another place.
            excerpt: fault
                .excerpt
                .filter(|excerpt| self.mask.apply(excerpt) == *excerpt),
            label: fault.label.map(|label| self.mask.apply(&label)),
            notes: fault
                .notes
                .iter()
                .map(|note| self.mask.apply(note))
                .collect(),
            help: fault.help.map(|help| self.mask.apply(&help)),
            ..fault
        }
    }
}

/// [`Events`] bound to one step: what leaf modules get.
#[derive(Clone)]
pub struct StepEvents {
    events: Events,
    step: StepId,
}

impl StepEvents {
    pub fn step(&self) -> &StepId {
        &self.step
    }

    pub fn log(&self, line: impl Into<String>) {
        self.events.send(Event::StepLog {
            step: self.step.clone(),
            line: line.into(),
        });
    }

    /// What it is doing now, with no number.
    pub fn message(&self, message: impl Into<String>) {
        self.progress(Progress {
            message: message.into(),
            ..Progress::default()
        });
    }

    pub fn progress(&self, progress: Progress) {
        self.events.send(Event::StepProgress {
            step: self.step.clone(),
            progress,
        });
    }

    pub fn notice(&self, message: impl Into<String>) {
        self.events.send(Event::Notice {
            step: Some(self.step.clone()),
            message: message.into(),
        });
    }
}
