//! Where the time of a run went: each step on the run's clock, and the chain of steps that made it as long as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use serde::Serialize;

use super::{
    Cell, Table,
    progress::{CAUTION, DIM, styled},
    words,
};
use crate::{
    config::StepId,
    event::{Event, Outcome, Record},
};

/// Width of the run in the picture, in characters.
const BAR: u64 = 32;
/// Shorter waits are only the price of a decision.
const NOTABLE_WAIT_MS: u64 = 10;

/// A step on the run's clock, in milliseconds since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    pub step: StepId,
    pub begin_ms: u64,
    pub end_ms: u64,
    /// It found nothing to do; the time went into finding out.
    pub skipped: bool,
}

/// A step of the critical path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    pub step: StepId,
    /// From the end of what it needs to its start: deciding, and waiting for a free place.
    pub wait_ms: u64,
    pub took_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timings {
    pub total_ms: u64,
    /// By start, ties by id. Steps that never ran are not here.
    pub spans: Vec<Span>,
    /// From the first step to the one that ended last, each needing the one before it.
    pub critical_path: Vec<Link>,
}

impl Timings {
    /// From the events of one run and the needs of its steps.
    pub fn of(records: &[Record], needs: &BTreeMap<StepId, BTreeSet<StepId>>) -> Self {
        let (spans, total_ms) = spans(records);
        Self {
            total_ms,
            critical_path: critical_path(&spans, needs),
            spans,
        }
    }

    /// The time in which a step of the critical path was at work: no order or number of cores makes the run shorter than this.
    pub fn busy_ms(&self) -> u64 {
        self.critical_path.iter().map(|link| link.took_ms).sum()
    }
}

fn spans(records: &[Record]) -> (Vec<Span>, u64) {
    let mut run_began = 0;
    let mut total_ms = 0;
    let mut began: BTreeMap<&StepId, u64> = BTreeMap::new();
    let mut spans: Vec<Span> = Vec::new();
    for record in records {
        let now = record.at_ms.saturating_sub(run_began);
        match &record.event {
            Event::RunStarted { .. } => run_began = record.at_ms,
            Event::StepStarted { step, .. } => {
                began.insert(step, now);
            }
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            } => {
                let acted = began.get(step).copied();
                if acted.is_some() || !matches!(outcome, Outcome::Cancelled) {
                    spans.push(Span {
                        step: step.clone(),
                        begin_ms: acted.unwrap_or_else(|| now.saturating_sub(*duration_ms)),
                        end_ms: now,
                        skipped: matches!(outcome, Outcome::Skipped),
                    });
                }
                total_ms = total_ms.max(now);
            }
            Event::RunFinished { .. } => total_ms = total_ms.max(now),
            Event::Waiting { .. }
            | Event::StepProgress { .. }
            | Event::StepLog { .. }
            | Event::Notice { .. }
            | Event::Cancelling { .. } => {}
        }
    }
    spans.sort_by(|a, b| (a.begin_ms, &a.step).cmp(&(b.begin_ms, &b.step)));
    (spans, total_ms)
}

/// From the step that ended last, back along the need that ended last, and so on.
fn critical_path(spans: &[Span], needs: &BTreeMap<StepId, BTreeSet<StepId>>) -> Vec<Link> {
    let by_step: BTreeMap<_, _> = spans.iter().map(|span| (&span.step, span)).collect();
    let mut path = Vec::new();
    let mut seen = BTreeSet::new();
    // Of two that end in the same millisecond, the one that began later is nearer to the end.
    let latest = |span: &&Span| (span.end_ms, span.begin_ms);
    let mut next = spans.iter().max_by_key(latest);
    while let Some(span) = next
        && seen.insert(&span.step)
    {
        let mine = needs.get(&span.step).into_iter().flatten();
        let before = mine
            .filter_map(|need| by_step.get(need).copied())
            .max_by_key(latest);
        path.push(Link {
            step: span.step.clone(),
            wait_ms: span
                .begin_ms
                .saturating_sub(before.map_or(0, |need| need.end_ms)),
            took_ms: span.end_ms - span.begin_ms,
        });
        next = before;
    }
    path.reverse();
    path
}

impl fmt::Display for Timings {
    /// A row with a bar for each step, then the critical path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let critical: BTreeSet<_> = self.critical_path.iter().map(|link| &link.step).collect();
        let mut table = Table::new(["STEP", "START", "TOOK", ""]).right(1).right(2);
        for span in &self.spans {
            let style = match (critical.contains(&span.step), span.skipped) {
                (true, _) => CAUTION,
                (false, true) => DIM,
                (false, false) => anstyle::Style::new(),
            };
            table.row([
                Cell::from(span.step.to_string()),
                words::duration(span.begin_ms).into(),
                words::duration(span.end_ms - span.begin_ms).into(),
                Cell::styled(self.bar(span, critical.contains(&span.step)), style),
            ]);
        }
        write!(f, "{table}")?;
        self.path(f)
    }
}

impl Timings {
    fn bar(&self, span: &Span, critical: bool) -> String {
        let scale = |ms: u64| {
            ms.saturating_mul(BAR)
                .checked_div(self.total_ms)
                .unwrap_or(0)
        };
        let from = scale(span.begin_ms).min(BAR - 1);
        let length = scale(span.end_ms).saturating_sub(from).clamp(1, BAR - from);
        // Two marks, so that the path is seen without colour too.
        let mark = if critical { "█" } else { "░" };
        " ".repeat(from as usize) + &mark.repeat(length as usize)
    }

    fn path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for link in &self.critical_path {
            if !text.is_empty() {
                text += " → ";
            }
            let _ = write!(text, "{} {}", link.step, words::duration(link.took_ms));
            if link.wait_ms >= NOTABLE_WAIT_MS {
                let waited = format_args!(" (after {})", words::duration(link.wait_ms));
                text += &styled(DIM, waited);
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        let busy = self.busy_ms();
        let share = (busy * 100).checked_div(self.total_ms).unwrap_or(100);
        let (busy, total) = (words::duration(busy), words::duration(self.total_ms));
        writeln!(f, "\ncritical path: {text}")?;
        writeln!(f, "{busy} of {total} ({share} %) on the critical path")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::plan::{Action, Decision, Digest};

    fn step(name: &str) -> StepId {
        name.parse().expect("a step id")
    }

    fn record(at_ms: u64, event: Event) -> Record {
        Record::new(at_ms, event)
    }

    fn acted(name: &str, begin: u64, end: u64) -> [Record; 2] {
        let decision = Decision::of(Action::Run, Vec::new());
        let outcome = Outcome::Done {
            summary: String::new(),
        };
        [
            record(
                begin,
                Event::StepStarted {
                    step: step(name),
                    decision,
                },
            ),
            finished(name, end, end - begin, outcome),
        ]
    }

    fn finished(name: &str, at: u64, duration_ms: u64, outcome: Outcome) -> Record {
        let step = step(name);
        record(
            at,
            Event::StepFinished {
                step,
                outcome,
                duration_ms,
            },
        )
    }

    fn needs(edges: &[(&str, &[&str])]) -> BTreeMap<StepId, BTreeSet<StepId>> {
        let edge =
            |(id, needs): &(&str, &[&str])| (step(id), needs.iter().map(|n| step(n)).collect());
        edges.iter().map(edge).collect()
    }

    /// The run begins at 100 ms: it waited for another run before.
    fn run(mut steps: Vec<Record>) -> Vec<Record> {
        steps.sort_by_key(|record| record.at_ms);
        let end = steps.last().map_or(100, |record| record.at_ms);
        let started = Event::RunStarted {
            command: "up".to_owned(),
            project: "hello".to_owned(),
            steps: Vec::new(),
            plan: Digest::of("plan"),
        };
        let outcome = Outcome::Skipped;
        steps.insert(0, record(100, started));
        steps.push(record(
            end,
            Event::RunFinished {
                outcome,
                duration_ms: end - 100,
            },
        ));
        steps
    }

    #[test]
    fn the_path_follows_what_ended_last() {
        let records = run([
            acted("image.postgres", 102, 1100).as_slice(),
            &acted("postgres.db", 1110, 1900),
            &acted("migrate.db", 1900, 2000),
            &acted("build.hello", 101, 4100),
            &acted("app.hello", 4120, 4600),
            &[finished("toolchain.rust", 109, 9, Outcome::Skipped)],
            &[finished("task.never", 4600, 0, Outcome::Cancelled)],
        ]
        .concat());
        let needs = needs(&[
            ("postgres.db", &["image.postgres"]),
            ("migrate.db", &["postgres.db"]),
            ("app.hello", &["build.hello", "migrate.db"]),
        ]);
        let timings = Timings::of(&records, &needs);
        let text = anstream::adapter::strip_str(&timings.to_string()).to_string();
        expect![[r#"
            STEP            START    TOOK
            toolchain.rust   0 ms    9 ms  ░
            build.hello      1 ms    4.0s  ████████████████████████████
            image.postgres   2 ms  998 ms  ░░░░░░░
            postgres.db      1.0s  790 ms         ░░░░░
            migrate.db       1.8s  100 ms              ░
            app.hello        4.0s  480 ms                              ████

            critical path: build.hello 4.0s → app.hello 480 ms (after 20 ms)
            4.5s of 4.5s (99 %) on the critical path
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_run_without_steps_has_no_path() {
        let timings = Timings::of(&run(Vec::new()), &needs(&[]));
        assert_eq!(timings.total_ms, 0);
        assert!(timings.critical_path.is_empty());
        let text = anstream::adapter::strip_str(&timings.to_string()).to_string();
        assert_eq!(text, "STEP  START  TOOK\n");
    }

    #[test]
    fn needs_in_a_circle_do_not_hang() {
        let records = run([acted("task.a", 100, 200), acted("task.b", 100, 200)].concat());
        let timings = Timings::of(
            &records,
            &needs(&[("task.a", &["task.b"]), ("task.b", &["task.a"])]),
        );
        assert_eq!(timings.critical_path.len(), 2);
    }
}
