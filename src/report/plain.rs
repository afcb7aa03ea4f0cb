//! One line per thing that happens: for logs, CI and pipes. A function from events to text.

use super::{
    progress::{DIM, Seen, styled},
    words,
};
use crate::event::{Event, Record};

#[derive(Debug)]
pub struct Plain {
    seen: Seen,
    verbose: bool,
    /// What goes well is not told.
    failures: bool,
}

impl Plain {
    pub(super) fn new(seen: Seen, verbose: bool) -> Self {
        Self {
            seen,
            verbose,
            failures: false,
        }
    }

    pub(super) fn of_failures(seen: Seen) -> Self {
        Self {
            seen,
            verbose: false,
            failures: true,
        }
    }

    /// The lines this event is worth; often none.
    pub fn show(&mut self, record: &Record) -> String {
        let ended = self.seen.take(record.at_ms, &record.event);
        let line = match &record.event {
            event if self.failures => return self.failure(event),
            Event::StepStarted { step, decision } => {
                let what = styled(DIM, words::decision(decision));
                Some(format!("{}  {what}", self.seen.name(step)))
            }
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => {
                let text = self.seen.ended(ended.as_ref(), outcome, *duration_ms);
                text.map(|text| format!("{}  {text}", self.seen.name(step)))
            }
            Event::StepLog { step, line } if self.verbose => Some(self.seen.log(step, line)),
            Event::RunFinished {
                outcome,
                duration_ms,
            } => return self.seen.ending(outcome, *duration_ms),
            event => self.seen.aside(event),
        };
        line.map(|line| line + "\n").unwrap_or_default()
    }

    fn failure(&self, event: &Event) -> String {
        match event {
            Event::RunFinished { .. } => self.seen.all_failures(),
            Event::Waiting { .. } | Event::Cancelling { .. } => {
                let line = self.seen.aside(event);
                line.map(|line| line + "\n").unwrap_or_default()
            }
            Event::RunStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepProgress { .. }
            | Event::StepLog { .. }
            | Event::StepFinished { .. }
            | Event::Notice { .. } => String::new(),
        }
    }
}
