//! A run with everything that reports have to show, hostile texts among it.

use super::Run;
use crate::{
    config::StepId,
    event::{Event, Fault, Outcome, Record, Severity, Spot},
    plan::{Action, Change, Decision, Digest, Reason},
};

pub fn step(name: &str) -> StepId {
    name.parse().expect("a step id")
}

pub fn record(event: Event) -> Record {
    Record::new(0, event)
}

pub fn log(name: &str, line: &str) -> Event {
    Event::StepLog {
        step: step(name),
        line: line.to_owned(),
    }
}

pub fn starts(name: &str, action: Action, reasons: Vec<Reason>) -> Event {
    Event::StepStarted {
        step: step(name),
        decision: Decision::of(action, reasons),
    }
}

pub fn ends(name: &str, outcome: Outcome, duration_ms: u64) -> Event {
    Event::StepFinished {
        step: step(name),
        outcome,
        duration_ms,
    }
}

pub fn done(summary: &str) -> Outcome {
    Outcome::Done {
        summary: summary.to_owned(),
    }
}

/// What a program may print to be taken for a command, a tag, a table or a section.
pub const HOSTILE: [&str; 6] = [
    "::error file=a.rs::not mine",
    "  \u{1b}[31m::stop-commands::x\u{1b}[0m",
    "see ##[endgroup] and ##[error]x",
    "\u{1b}[0Ksection_end:1:task.lint\r\u{1b}[0K",
    "a | b ]]> </system-out> & <script>",
    "``` %0A 100% \u{7}\u{0}end",
];

/// Of three steps one is up to date, one fails, one is never begun.
pub fn failed_run() -> Vec<Record> {
    let spot = Spot::of("set lock_timeout = '1s';\ndrop table a;\n", 25);
    let drop = Fault::new("dropping a table may break existing clients")
        .code("ban-drop-table")
        .at_spot("migrations/V2__new.sql", &spot)
        .help("release an app that does not use it first");
    let unread = Fault::new("the SQL lint cannot read this statement: a,b:c 100%")
        .code("syntax")
        .severity(Severity::Warning)
        .at_file("migrations/V3 é#.sql", 1, 7);
    let lint = Fault::new("1 finding in migrations")
        .help("accept it")
        .after([drop]);
    let exit = Fault::new("`make | check <all>` failed with code 2")
        .note("its last output:\n::error::x\n]]> ``` end")
        .at_key(crate::config::KeyPath::of(["task", "check", "run"]));
    let changed = Reason::Field {
        field: "env.MODE".to_owned(),
        change: Change::Value {
            from: "a|b".to_owned(),
            to: "<b>`c`".to_owned(),
        },
    };
    let events = [
        Event::RunStarted {
            command: "ci".to_owned(),
            project: "hello".to_owned(),
            steps: ["toolchain.rust", "lint.db", "task.check", "app.hello"]
                .map(step)
                .to_vec(),
            plan: Digest::of("plan"),
        },
        ends("toolchain.rust", Outcome::Skipped, 9),
        starts(
            "lint.db",
            Action::Run,
            vec![Reason::New {
                what: "finished run".to_owned(),
            }],
        ),
        starts("task.check", Action::Run, vec![changed]),
        Event::Notice {
            step: Some(step("lint.db")),
            message: "migrations/V3 é#.sql:1:7: …".to_owned(),
            fault: Some(Box::new(unread)),
        },
        ends("lint.db", Outcome::Failed { fault: lint }, 1200),
    ];
    let printed = HOSTILE.map(|line| log("task.check", line));
    let rest = [
        ends("task.check", Outcome::Failed { fault: exit }, 61_000),
        ends("app.hello", Outcome::Cancelled, 0),
        Event::RunFinished {
            outcome: Outcome::Failed {
                fault: Fault::new("2 steps failed"),
            },
            duration_ms: 62_000,
        },
    ];
    let all = events.into_iter().chain(printed).chain(rest);
    all.zip(0..)
        .map(|(event, number)| Record::new(number * 1000, event))
        .collect()
}

pub fn failed() -> Run {
    Run::of(&failed_run())
}
