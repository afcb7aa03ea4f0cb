//! What a run looks like so far, from its events: the lines that terminal and plain output share.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use anstyle::{AnsiColor, Style};

use super::{fault, words};
use crate::{
    config::{Source, StepId},
    event::{Event, Fault, Outcome, Progress, count},
    plan::Decision,
};

/// How many of a failed step's last lines are shown.
const TAIL: usize = 20;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const CAUTION: Style = AnsiColor::Yellow.on_default();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

/// The text in this style.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A step that acts.
#[derive(Debug)]
pub(super) struct Running {
    pub step: StepId,
    pub decision: Decision,
    pub since_ms: u64,
    pub progress: Option<Progress>,
}

/// The run as seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// In the order they started.
    pub running: Vec<Running>,
    /// Lines of what steps run were shown as they came.
    lines_shown: bool,
    source: Option<Arc<Source>>,
    width: usize,
    tails: BTreeMap<StepId, VecDeque<String>>,
    failures: Vec<(StepId, Fault)>,
    done: usize,
    kept: usize,
    cancelled: usize,
    not_started: usize,
    signals: usize,
}

impl Seen {
    pub fn new(source: Option<Arc<Source>>, lines_shown: bool) -> Self {
        Self {
            source,
            lines_shown,
            ..Self::default()
        }
    }

    /// Takes in an event. Returns the step it ended, if it ended one that acted.
    pub fn take(&mut self, at_ms: u64, event: &Event) -> Option<Running> {
        match event {
            Event::RunStarted { steps, .. } => {
                let widths = steps.iter().map(|step| step.to_string().chars().count());
                self.width = widths.max().unwrap_or(0);
            }
            Event::StepStarted { step, decision } => self.running.push(Running {
                step: step.clone(),
                decision: decision.clone(),
                since_ms: at_ms,
                progress: None,
            }),
            Event::StepProgress { step, progress } => {
                if let Some(running) = self.running.iter_mut().find(|r| r.step == *step) {
                    running.progress = Some(progress.clone());
                }
            }
            Event::StepLog { step, line } => {
                let tail = self.tails.entry(step.clone()).or_default();
                tail.push_back(words::clean(line));
                if tail.len() > TAIL {
                    tail.pop_front();
                }
            }
            Event::StepFinished { step, outcome, .. } => {
                let at = self.running.iter().position(|r| r.step == *step);
                let ran = at.map(|at| self.running.remove(at));
                self.tally(step, outcome, ran.is_some());
                return ran;
            }
            Event::Cancelling { .. } => self.signals += 1,
            Event::Waiting { .. } | Event::Notice { .. } | Event::RunFinished { .. } => {}
        }
        None
    }

    fn tally(&mut self, step: &StepId, outcome: &Outcome, ran: bool) {
        match outcome {
            Outcome::Skipped => self.kept += 1,
            Outcome::Done { .. } => self.done += 1,
            Outcome::Cancelled if ran => self.cancelled += 1,
            Outcome::Cancelled => self.not_started += 1,
            Outcome::Failed { fault } => {
                self.failures.push((step.clone(), fault.clone()));
                return;
            }
        }
        self.tails.remove(step);
    }

    /// The step's id, as wide as the widest.
    pub fn name(&self, step: &StepId) -> String {
        let width = self.width;
        styled(STRONG, format_args!("{:width$}", step.to_string()))
    }

    /// What it wrote last, if anything.
    pub fn last_line(&self, step: &StepId) -> Option<&str> {
        let lines = self.tails.get(step)?.iter().map(String::as_str);
        lines.rev().find(|line| !line.trim().is_empty())
    }

    /// What it did and how long it took; nothing for a step that did nothing.
    pub fn ended(&self, ran: Option<&Running>, outcome: &Outcome, ms: u64) -> Option<String> {
        let took = styled(DIM, format_args!("in {}", words::duration(ms)));
        match outcome {
            Outcome::Skipped => None,
            Outcome::Done { summary } => {
                let what = match (summary.trim(), ran) {
                    ("", Some(ran)) => words::past(ran.decision.action).to_owned(),
                    ("", None) => "Done".to_owned(),
                    (summary, _) => words::clean(summary),
                };
                Some(format!("{what} {took}"))
            }
            Outcome::Failed { .. } => {
                let after = format_args!("after {}", words::duration(ms));
                Some(format!("{} {}", styled(BAD, "failed"), styled(DIM, after)))
            }
            // What never started needs no line of its own; the summary counts it.
            Outcome::Cancelled => ran.map(|_| {
                let after = format_args!("after {}", words::duration(ms));
                format!("{} {}", styled(CAUTION, "cancelled"), styled(DIM, after))
            }),
        }
    }

    /// What is said of an event that is about the run as a whole.
    pub fn aside(&self, event: &Event) -> Option<String> {
        match event {
            Event::Waiting { holder } => Some(match holder.as_str() {
                "" => "Waiting for another run".to_owned(),
                holder => format!("Waiting for another run: {holder}"),
            }),
            Event::Notice { step, message, .. } => {
                let about = step.as_ref().map(|step| format!("`{step}`: "));
                let message = format!("{}{message}", about.unwrap_or_default());
                Some(note(&message))
            }
            Event::Cancelling { signal } if self.signals < 2 => Some(format!(
                "{signal}: stopping {}, once more to end at once",
                count(self.running.len(), "running step")
            )),
            Event::Cancelling { signal } => Some(format!("{signal} again: ending at once")),
            Event::RunStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepProgress { .. }
            | Event::StepLog { .. }
            | Event::StepFinished { .. }
            | Event::RunFinished { .. } => None,
        }
    }

    /// A line of what a step runs.
    pub fn log(&self, step: &StepId, line: &str) -> String {
        let bar = styled(DIM, "|");
        format!("{} {bar} {}", self.name(step), words::clean(line))
    }

    /// Every failure with what its step wrote last, the first first; then the one line that sums the run up.
    pub fn ending(&self, outcome: &Outcome, ms: u64) -> String {
        let mut text = self.all_failures();
        let _ = writeln!(text, "{}", self.summary(outcome, ms));
        text
    }

    /// Every failure with what its step wrote last, the first first.
    pub fn all_failures(&self) -> String {
        let mut text = String::new();
        for (step, failure) in &self.failures {
            text.push('\n');
            match self.lines_shown {
                true => text += &fault(&self.untold(step, failure), self.source.as_deref()),
                false => {
                    text += &self.tail(step, failure);
                    text += &fault(failure, self.source.as_deref());
                }
            }
        }
        if !self.failures.is_empty() {
            text.push('\n');
        }
        text
    }

    /// The failure without notes that repeat lines of the step that stand above.
    fn untold(&self, step: &StepId, failure: &Fault) -> Fault {
        let mut failure = failure.clone();
        if let Some(tail) = self.tails.get(step) {
            let told = |line: &str| tail.contains(&words::clean(line));
            // The first line of such a note is its heading.
            failure.notes.retain(|note| {
                let mut lines = note.lines().skip(1).peekable();
                lines.peek().is_none() || !lines.all(told)
            });
        }
        failure
    }

    fn tail(&self, step: &StepId, failure: &Fault) -> String {
        let Some(tail) = self.tails.get(step) else {
            return String::new();
        };
        let last = tail.iter().rev().find(|line| !line.trim().is_empty());
        // Some faults bring the last lines themselves.
        let told = |last: &String| {
            failure
                .notes
                .iter()
                .flat_map(|note| note.lines())
                .any(|line| words::clean(line).contains(last.as_str()))
        };
        if last.is_none_or(told) {
            return String::new();
        }
        let mut text = format!("last output of `{step}`:\n");
        for line in tail {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
        text
    }

    fn summary(&self, outcome: &Outcome, ms: u64) -> String {
        let took = words::duration(ms);
        match outcome {
            // What was removed before the run began is no step of it, but was done.
            Outcome::Skipped if self.done > 0 => format!("{} in {took}", self.counts()),
            Outcome::Skipped => {
                let checked = count(self.kept, "step");
                format!("Nothing to do (checked {checked} in {took})")
            }
            Outcome::Done { .. } => format!("{} in {took}", self.counts()),
            Outcome::Failed { .. } => {
                format!("{} after {took}: {}", styled(BAD, "Failed"), self.counts())
            }
            Outcome::Cancelled => {
                let what = styled(CAUTION, "Cancelled");
                format!("{what} after {took}: {}", self.counts())
            }
        }
    }

    /// `3 steps done, 5 up to date`; what is zero is left out.
    fn counts(&self) -> String {
        let counts = [
            (self.failures.len(), "failed"),
            (self.done, "done"),
            (self.kept, "up to date"),
            (self.cancelled, "cancelled"),
            (self.not_started, "not started"),
        ];
        let mut parts: Vec<String> = Vec::new();
        for (number, what) in counts {
            match number {
                0 => {}
                _ if parts.is_empty() => parts.push(format!("{} {what}", count(number, "step"))),
                _ => parts.push(format!("{number} {what}")),
            }
        }
        parts.join(", ")
    }
}

/// What is worth knowing and no failure.
pub fn note(message: &str) -> String {
    format!("{} {message}", styled(CAUTION, "note:"))
}
