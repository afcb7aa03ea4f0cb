//! What happens during a run, as plain data. The terminal, the JSON stream and the run log all show these same events.
//!
//! Events are generic over steps: a new kind of step adds none.

mod fault;
mod mask;
mod room;
mod spot;

use std::{
    fmt::Display,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use fault::{Explain, Fault, FaultClass, Severity, Site};
use mask::Mask;
pub use mask::{is_too_short, percent_encode};
use room::{Held, Room};
pub use spot::Spot;

use crate::{
    config::{Source, StepId},
    plan::{Decision, Digest, Reason},
};

/// An event with the time since the run began, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: Event,
    /// A line of output keeps its place until this is dropped.
    #[serde(skip)]
    held: Held,
}

impl Record {
    pub fn new(at_ms: u64, event: Event) -> Self {
        Self {
            at_ms,
            event,
            held: Held::default(),
        }
    }
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
        /// What it says of itself; empty before it has.
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
        /// The same with its place and what to do, where there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Box<Fault>>,
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

/// `1 step`, `3 steps`: how messages count.
pub fn count(number: usize, noun: &str) -> String {
    let ending = match noun.ends_with('s') {
        _ if number == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{number} {noun}{ending}")
}

/// How messages list names: "`a`, `b`".
pub fn quoted<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let names = names.into_iter().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// Where events go. Cheap to clone; dropping the last one ends the receiver.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::UnboundedSender<Record>,
    started: Instant,
    mask: Mask,
    room: Room,
    source: Arc<OnceLock<Arc<Source>>>,
}

impl Events {
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Record>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let events = Self {
            sender,
            started: Instant::now(),
            mask: Mask::default(),
            room: Room::default(),
            source: Arc::default(),
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

    /// The text without the secrets known so far.
    pub fn masked(&self, text: &str) -> String {
        self.mask.apply(text)
    }

    /// From now on, failures at keys of this file say their line and column.
    pub fn locate_in(&self, source: Arc<Source>) {
        // A run has one file: the first stays.
        let _ = self.source.set(source);
    }

    pub fn send(&self, event: Event) {
        let at_ms = self.elapsed().as_millis() as u64;
        let mut record = Record::new(at_ms, self.mask_event(event));
        if let Event::StepLog { line, .. } = &record.event {
            record.held = self.room.take(line.len());
        }
        // Nobody listens any more once the renderer has gone; the run goes on.
        let _ = self.sender.send(record);
    }

    /// What there is to know that is of no step.
    pub fn notice(&self, message: impl Into<String>) {
        self.send(Event::Notice {
            step: None,
            message: message.into(),
            fault: None,
        });
    }

    /// Everything a step may say while it runs.
    pub fn of(&self, step: &StepId) -> StepEvents {
        StepEvents {
            events: self.clone(),
            step: step.clone(),
            listener: None,
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
            Event::Notice {
                step,
                message,
                fault,
            } => Event::Notice {
                step,
                message: self.mask.apply(&message),
                fault: fault.map(|fault| Box::new(self.located(self.mask_fault(*fault)))),
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
                fault: self.located(self.mask_fault(fault)),
            },
            outcome @ (Outcome::Skipped | Outcome::Cancelled) => outcome,
        }
    }

    pub fn mask_fault(&self, fault: Fault) -> Fault {
        fault.map_texts(&|text| self.mask.apply(text))
    }

    fn located(&self, fault: Fault) -> Fault {
        match self.source.get() {
            Some(source) => fault.located(source),
            None => fault,
        }
    }
}

/// Who is told of every line of a step.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// [`Events`] bound to one step: what leaf modules get.
#[derive(Clone)]
pub struct StepEvents {
    events: Events,
    step: StepId,
    listener: Option<Listener>,
}

impl StepEvents {
    pub fn step(&self) -> &StepId {
        &self.step
    }

    /// The text without the secrets known so far.
    pub fn masked(&self, text: &str) -> String {
        self.events.masked(text)
    }

    /// Every line is told to this one as well, as the program wrote it: it may hold secrets.
    pub fn heard_by(self, listener: Listener) -> Self {
        Self {
            listener: Some(listener),
            ..self
        }
    }

    /// A line of its own; of those there are few.
    pub fn log(&self, line: impl Into<String>) {
        let line = line.into();
        if let Some(listener) = &self.listener {
            listener(&line);
        }
        self.events.send(Event::StepLog {
            step: self.step.clone(),
            line,
        });
    }

    /// A line of what a program prints, sent at once. Who awaits this before reading the next is as fast as those who show lines.
    pub fn output(&self, line: &str) -> impl Future<Output = ()> + Send + use<> {
        self.log(line);
        self.room()
    }

    /// Returns once there is room for more lines.
    pub fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        self.events.room.clone().free()
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
            fault: None,
        });
    }

    /// What is no failure, and yet has a place in a file: a warning of a linter.
    pub fn warn(&self, fault: Fault) {
        let message = match &fault.site {
            Some(site @ (Site::File { .. } | Site::Text { .. })) => {
                format!("{site}: {}", fault.message)
            }
            // Of a key the step says enough.
            Some(Site::Key(_)) | None => fault.message.clone(),
        };
        self.events.send(Event::Notice {
            step: Some(self.step.clone()),
            message,
            fault: Some(Box::new(fault)),
        });
    }
}
