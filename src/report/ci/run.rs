//! What became of each step of a run, with the last of what it printed.

use crate::{
    config::StepId,
    event::{Event, Fault, Outcome, Record},
    plan::Decision,
    report::tail::Tail,
};

/// Of what a step printed, the last of it is kept: reports have limits, the run log has the rest.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// A run, taken in record by record so that what it printed need not be kept.
#[derive(Debug, Default)]
pub struct Run {
    /// `ci`
    pub command: String,
    pub project: String,
    /// In the order in which they began or were found up to date.
    pub steps: Vec<Ran>,
    /// What failed and is no step: the file before them, what they left after them.
    pub faults: Vec<Fault>,
    /// `None` while it runs.
    pub outcome: Option<Outcome>,
    pub duration_ms: u64,
}

/// What became of one step.
#[derive(Debug)]
pub struct Ran {
    pub step: StepId,
    /// What it was to do and why; `None` for one that was up to date, or never began.
    pub decision: Option<Decision>,
    /// `None` while it runs.
    pub outcome: Option<Outcome>,
    pub duration_ms: u64,
    /// The last lines it printed.
    pub output: Tail,
    /// What is no failure and has a place: a linter's warnings.
    pub warnings: Vec<Fault>,
}

impl Run {
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut run = Self::default();
        for record in records {
            run.take(&record.event);
        }
        run
    }

    /// One that came to no steps.
    pub fn not_begun(command: &str, fault: Fault) -> Self {
        let mut run = Self {
            command: command.to_owned(),
            ..Self::default()
        };
        run.fail(fault);
        run
    }

    /// Makes it one that failed, whatever became of its steps.
    pub fn fail(&mut self, fault: Fault) {
        self.outcome = Some(Outcome::Failed {
            fault: fault.clone(),
        });
        self.faults.push(fault);
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                command, project, ..
            } => {
                self.command.clone_from(command);
                self.project.clone_from(project);
            }
            Event::StepStarted { step, decision } => {
                self.step(step).decision = Some(decision.clone());
            }
            Event::StepLog { step, line } => self.step(step).output.push(line),
            Event::Notice {
                step: Some(step),
                fault: Some(fault),
                ..
            } => self.step(step).warnings.push((**fault).clone()),
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => {
                let ran = self.step(step);
                ran.outcome = Some(outcome.clone());
                ran.duration_ms = *duration_ms;
            }
            Event::RunFinished {
                outcome,
                duration_ms,
            } => {
                self.outcome = Some(outcome.clone());
                self.duration_ms = *duration_ms;
            }
            Event::Waiting { .. }
            | Event::StepProgress { .. }
            | Event::Notice { .. }
            | Event::Cancelling { .. } => {}
        }
    }

    /// Steps that failed, with why.
    pub fn failures(&self) -> impl Iterator<Item = (&StepId, &Fault)> {
        self.steps.iter().filter_map(|ran| match &ran.outcome {
            Some(Outcome::Failed { fault }) => Some((&ran.step, fault)),
            Some(Outcome::Skipped | Outcome::Done { .. } | Outcome::Cancelled) | None => None,
        })
    }

    fn step(&mut self, id: &StepId) -> &mut Ran {
        let at = self.steps.iter().position(|ran| ran.step == *id);
        let at = at.unwrap_or_else(|| {
            self.steps.push(Ran {
                step: id.clone(),
                decision: None,
                outcome: None,
                duration_ms: 0,
                output: Tail::new(OUTPUT_LIMIT),
                warnings: Vec::new(),
            });
            self.steps.len() - 1
        });
        &mut self.steps[at]
    }
}
