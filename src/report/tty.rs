//! Progress on a terminal: what runs now at the bottom, with its clock; what has ended above it, in order of completion.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    progress::{BAD, CAUTION, DIM, GOOD, Running, Seen, styled},
    words,
};
use crate::{
    event::{Event, Outcome, Record},
    plan::Reason,
};

/// More running steps than this are only counted.
const ROWS: usize = 12;
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How long a frame of the spinner stays.
pub(super) const FRAME_MS: u64 = 100;

/// Owns the last lines of the terminal until it is dropped, which clears them.
pub struct Tty {
    seen: Seen,
    screen: MultiProgress,
    rows: Vec<ProgressBar>,
    verbose: bool,
    colour: bool,
}

impl Tty {
    pub(super) fn new(seen: Seen, verbose: bool, colour: bool, target: ProgressDrawTarget) -> Self {
        Self {
            seen,
            screen: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            verbose,
            colour,
        }
    }

    pub(super) fn on_stderr(seen: Seen, verbose: bool) -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stderr());
        let colour = choice != anstream::ColorChoice::Never;
        Self::new(seen, verbose, colour, ProgressDrawTarget::stderr())
    }

    /// Takes in an event; shows at once what stays.
    pub fn show(&mut self, record: &Record) {
        let ended = self.seen.take(record.at_ms, &record.event);
        match &record.event {
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => {
                let text = self.seen.ended(ended.as_ref(), outcome, *duration_ms);
                // The row goes first, so that a step is never seen running and ended.
                self.tick(record.at_ms);
                if let Some(text) = text {
                    let (mark, name) = (mark(outcome), self.seen.name(step));
                    self.print(&format!("{mark} {name}  {text}{}", why(ended.as_ref())));
                }
            }
            Event::StepLog { step, line } if self.verbose => {
                self.print(&self.seen.log(step, line));
            }
            Event::RunFinished {
                outcome,
                duration_ms,
            } => {
                self.clear();
                let ending = self.seen.ending(outcome, *duration_ms);
                ending.lines().for_each(|line| self.print(line));
            }
            Event::StepStarted { .. } => self.tick(record.at_ms),
            event => {
                if let Some(line) = self.seen.aside(event) {
                    self.print(&line);
                }
            }
        }
    }

    /// Draws what runs, as of now.
    pub fn tick(&mut self, now_ms: u64) {
        let lines = self.lines(now_ms);
        while self.rows.len() > lines.len() {
            let row = self.rows.pop().expect("it has more rows than lines");
            row.finish_and_clear();
            self.screen.remove(&row);
        }
        while self.rows.len() < lines.len() {
            let row = self.screen.add(ProgressBar::new_spinner());
            // Cut to the terminal's width: a line that wraps cannot be redrawn in place.
            row.set_style(
                ProgressStyle::with_template("{wide_msg}").expect("the template is valid"),
            );
            self.rows.push(row);
        }
        for (row, line) in self.rows.iter().zip(lines) {
            row.set_message(self.coloured(&line));
        }
    }

    /// Whether the clock has to go on.
    pub fn is_busy(&self) -> bool {
        !self.seen.running.is_empty()
    }

    fn lines(&self, now_ms: u64) -> Vec<String> {
        let frame = FRAMES[(now_ms / FRAME_MS) as usize % FRAMES.len()];
        let running = self.seen.running.iter().take(ROWS).map(|running| {
            let clock = words::elapsed(now_ms.saturating_sub(running.since_ms));
            let clock = styled(DIM, format_args!("{clock:>6}"));
            let name = self.seen.name(&running.step);
            let frame = styled(GOOD, frame);
            let doing = doing(running, self.seen.last_line(&running.step));
            format!("{frame} {name}  {clock}  {doing}")
        });
        let mut lines: Vec<_> = running.collect();
        let more = self.seen.running.len().saturating_sub(ROWS);
        if more > 0 {
            lines.push(styled(DIM, format_args!("  and {more} more")));
        }
        lines
    }

    fn print(&self, line: &str) {
        let line = self.coloured(line);
        // An empty text would print nothing at all.
        let line = if line.is_empty() { " " } else { &line };
        // A terminal that is gone is no reason to end the run.
        let _ = self.screen.println(line);
    }

    fn coloured(&self, line: &str) -> String {
        match self.colour {
            true => line.to_owned(),
            false => anstream::adapter::strip_str(line).to_string(),
        }
    }

    fn clear(&mut self) {
        for row in self.rows.drain(..) {
            row.finish_and_clear();
            self.screen.remove(&row);
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.clear();
    }
}

fn mark(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { .. } | Outcome::Skipped => styled(GOOD, "✓"),
        Outcome::Failed { .. } => styled(BAD, "✗"),
        Outcome::Cancelled => styled(CAUTION, "-"),
    }
}

fn doing(running: &Running, last_line: Option<&str>) -> String {
    match (&running.progress, last_line) {
        (Some(progress), _) => words::clean(&words::progress(progress)),
        // What a compiler is at says more than why it was started.
        (None, Some(line)) => styled(DIM, line.trim_start()),
        (None, None) => words::decision(&running.decision),
    }
}

/// Why it ran, after what it did; not what goes without saying.
fn why(ran: Option<&Running>) -> String {
    let reasons = ran.iter().flat_map(|ran| &ran.decision.reasons);
    let told = reasons.filter(|reason| match reason {
        // Who asked for it knows, and what was missing or pending is what was just done.
        Reason::Asked | Reason::New { .. } | Reason::Pending { .. } => false,
        Reason::Field { .. }
        | Reason::Output { .. }
        | Reason::State { .. }
        | Reason::Secret { .. }
        | Reason::Upstream { .. }
        | Reason::Orphan
        | Reason::Fails { .. }
        | Reason::Restarts { .. }
        | Reason::Unknown { .. } => true,
    });
    let told: Vec<_> = told.cloned().collect();
    match told.as_slice() {
        [] => String::new(),
        told => styled(DIM, format_args!(" ({})", words::reasons(told))),
    }
}
