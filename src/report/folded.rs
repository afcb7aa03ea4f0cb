//! Lines for the log of a CI system, with what each step printed folded away under its own line.
//!
//! Steps run side by side, and folds cannot be nested or mixed: what a step prints is held until it ends, or until it is too much.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    ci::{Finding, Github, Gitlab},
    progress::Seen,
    tail::Tail,
    words,
};
use crate::{
    config::StepId,
    event::{Event, Fault, Outcome, Record},
};

/// Of what a step prints, this much of the end is held; the run log has the rest.
const HELD: usize = 1024 * 1024;
/// A system that hears nothing for long ends the job.
const BEAT_MS: u64 = 60_000;

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folds {
    /// Groups, and an annotation for each failure and each warning with a place. `prefix` is the project's folder in its repository.
    Github { prefix: PathBuf },
    /// Sections; `began` is when the run did, in seconds since 1970.
    Gitlab { began: u64 },
}

pub struct Folded {
    seen: Seen,
    folds: Folds,
    held: BTreeMap<StepId, Tail>,
    /// When something was last said of a running step, by the run's clock.
    told: BTreeMap<StepId, u64>,
}

impl Folds {
    /// What the system is told of a failure before any step runs; empty where it takes no annotations.
    pub fn annotations(&self, fault: &Fault) -> String {
        match self {
            Self::Github { prefix } => {
                let found = Finding::of(None, fault).into_iter();
                let lines = found.map(|finding| Github::annotation(&finding, prefix));
                lines.collect()
            }
            Self::Gitlab { .. } => String::new(),
        }
    }
}

impl Folded {
    pub(super) fn new(seen: Seen, folds: Folds) -> Self {
        Self {
            seen,
            folds,
            held: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// What this event is worth, ready to be written as it stands: every mark in it was made here.
    pub fn show(&mut self, record: &Record) -> String {
        let event = &record.event;
        let ended = self.seen.take(record.at_ms, event);
        match event {
            Event::StepStarted { step, decision } => {
                self.told.insert(step.clone(), record.at_ms);
                let line = format!("{}  {}", self.seen.name(step), words::decision(decision));
                self.inert(&line)
            }
            Event::StepLog { step, line } => {
                let held = self.held.entry(step.clone());
                held.or_insert_with(|| Tail::new(HELD)).push(line);
                String::new()
            }
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => {
                self.told.remove(step);
                let line = self.seen.ended(ended.as_ref(), outcome, *duration_ms);
                let line = line.map(|line| format!("{}  {line}", self.seen.name(step)));
                let folded = self.fold(step, line, record.at_ms);
                folded + &self.annotations(step, outcome)
            }
            Event::Notice {
                step: Some(step),
                fault: Some(fault),
                ..
            } => match &self.folds {
                Folds::Github { prefix } => {
                    let step = Some(step);
                    Github::annotation(&Finding { step, fault }, prefix)
                }
                Folds::Gitlab { .. } => self.aside(event),
            },
            Event::RunFinished {
                outcome,
                duration_ms,
            } => {
                let ending = self.seen.ending(outcome, *duration_ms);
                self.inert(&ending)
            }
            Event::RunStarted { .. }
            | Event::Waiting { .. }
            | Event::StepProgress { .. }
            | Event::Notice { .. }
            | Event::Cancelling { .. } => self.aside(event),
        }
    }

    /// A line for each step of which nothing was said for a minute.
    pub fn beat(&mut self, at_ms: u64) -> String {
        let mut text = String::new();
        for running in &self.seen.running {
            let Some(told) = self.told.get_mut(&running.step) else {
                continue;
            };
            if at_ms.saturating_sub(*told) < BEAT_MS {
                continue;
            }
            *told = at_ms;
            let since = words::elapsed(at_ms.saturating_sub(running.since_ms));
            let name = self.seen.name(&running.step);
            let last = self
                .seen
                .last_line(&running.step)
                .map(|line| format!(": {line}"));
            text += &format!(
                "{name}  still at it after {since}{}\n",
                last.unwrap_or_default()
            );
        }
        self.inert(&text)
    }

    fn aside(&self, event: &Event) -> String {
        let line = self.seen.aside(event);
        line.map(|line| self.inert(&line)).unwrap_or_default()
    }

    /// What the step printed under the line that says what became of it.
    fn fold(&mut self, step: &StepId, line: Option<String>, at_ms: u64) -> String {
        let Some(held) = self.held.remove(step).filter(|held| !held.is_empty()) else {
            return line.map(|line| self.inert(&line)).unwrap_or_default();
        };
        let line = line.unwrap_or_else(|| step.to_string());
        let line = anstream::adapter::strip_str(&line).to_string();
        let body = self.inert(&held.text());
        match &self.folds {
            Folds::Github { .. } => Github::group(&line) + &body + Github::END,
            Folds::Gitlab { began } => {
                let at = began + at_ms / 1000;
                Gitlab::start(step, at, &line) + &body + &Gitlab::end(step, at)
            }
        }
    }

    fn annotations(&self, step: &StepId, outcome: &Outcome) -> String {
        match (outcome, &self.folds) {
            (Outcome::Failed { fault }, Folds::Github { prefix }) => {
                let found = Finding::of(Some(step), fault);
                let lines = found.iter().map(|one| Github::annotation(one, prefix));
                lines.collect()
            }
            (Outcome::Failed { .. }, Folds::Gitlab { .. })
            | (Outcome::Skipped | Outcome::Done { .. } | Outcome::Cancelled, _) => String::new(),
        }
    }

    /// Whole lines in which the CI system finds nothing to obey.
    fn inert(&self, text: &str) -> String {
        let mut text = match &self.folds {
            Folds::Github { .. } => Github::inert(text),
            Folds::Gitlab { .. } => Gitlab::inert(text),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}
