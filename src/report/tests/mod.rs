//! Recorded runs; every renderer is tested on the same ones.

mod folds;
mod lines;
mod terminal;

use crate::{
    config::StepId,
    event::{Event, FaultClass, Outcome, Progress, Record, Unit},
    plan::{Action, Change, Decision, Digest, Reason},
};

fn step(name: &str) -> StepId {
    name.parse().expect("a step id")
}

fn at(at_ms: u64, event: Event) -> Record {
    Record::new(at_ms, event)
}

fn started(names: &[&str]) -> Event {
    Event::RunStarted {
        command: "up".to_owned(),
        project: "hello".to_owned(),
        steps: names.iter().map(|name| step(name)).collect(),
        plan: Digest::of("plan"),
    }
}

fn starts(name: &str, action: Action, reasons: Vec<Reason>) -> Event {
    Event::StepStarted {
        step: step(name),
        decision: Decision::of(action, reasons),
    }
}

fn ends(name: &str, outcome: Outcome, duration_ms: u64) -> Event {
    let step = step(name);
    Event::StepFinished {
        step,
        outcome,
        duration_ms,
    }
}

fn done(summary: &str) -> Outcome {
    let summary = summary.to_owned();
    Outcome::Done { summary }
}

fn log(name: &str, line: &str) -> Event {
    Event::StepLog {
        step: step(name),
        line: line.to_owned(),
    }
}

fn new(what: &str) -> Reason {
    let what = what.to_owned();
    Reason::New { what }
}

fn level() -> Reason {
    Reason::Field {
        field: "env.LOG_LEVEL".to_owned(),
        change: Change::Value {
            from: "info".to_owned(),
            to: "debug".to_owned(),
        },
    }
}

/// A run that succeeds, up to `app.hello` being replaced.
fn good_run() -> Vec<Record> {
    let steps = [
        "toolchain.rust",
        "image.postgres",
        "postgres.db",
        "app.hello",
    ];
    let loading = Progress {
        message: "Loading".to_owned(),
        done: Some(3_100_000),
        total: Some(104_000_000),
        unit: Unit::Bytes,
    };
    let image = step("image.postgres");
    let app_reasons = vec![level(), new("port"), new("a"), new("b"), new("c")];
    let notice = Event::Notice {
        step: Some(step("app.hello")),
        message: "port 8080 is taken, it gets 8081".to_owned(),
        fault: None,
    };
    vec![
        at(
            0,
            Event::Waiting {
                holder: "`devenv up` (pid 12)".to_owned(),
            },
        ),
        at(900, started(&steps)),
        at(909, ends("toolchain.rust", Outcome::Skipped, 9)),
        at(
            910,
            starts("image.postgres", Action::Pull, vec![new("image")]),
        ),
        at(
            1500,
            Event::StepProgress {
                step: image,
                progress: loading,
            },
        ),
        at(2000, ends("image.postgres", done("Pulled 104.0 MB"), 1090)),
        at(
            2010,
            starts("postgres.db", Action::Start, vec![new("container")]),
        ),
        at(2011, starts("app.hello", Action::Recreate, app_reasons)),
        at(
            2100,
            log(
                "postgres.db",
                "\u{1b}[32mready\u{1b}[0m to accept connections\n",
            ),
        ),
        at(2200, notice),
        at(2300, ends("postgres.db", done(""), 290)),
        at(
            2700,
            ends("app.hello", done("Started on 127.0.0.1:8081"), 689),
        ),
        at(
            2701,
            Event::RunFinished {
                outcome: done("3 steps done"),
                duration_ms: 1801,
            },
        ),
    ]
}

fn failed_run() -> Vec<Record> {
    let fault = crate::event::Fault::new("task `task.test` failed")
        .class(FaultClass::Step)
        .help("see its output above");
    let failed = Outcome::Failed { fault };
    let told = crate::event::Fault::new("`app.hello` exited with 1").note("last log: no config");
    let mut records = vec![
        at(
            0,
            started(&["task.lint", "task.test", "app.hello", "app.late"]),
        ),
        at(1, starts("task.test", Action::Run, vec![Reason::Asked])),
        at(1, starts("task.lint", Action::Run, vec![Reason::Asked])),
        at(1, starts("app.hello", Action::Start, vec![])),
    ];
    records.extend((0..25).map(|n| at(10 + n, log("task.test", &format!("line {n}")))));
    records.extend([
        at(90, log("app.hello", "no config")),
        at(100, ends("task.test", failed.clone(), 99)),
        at(100, ends("app.late", Outcome::Cancelled, 0)),
        at(101, ends("app.hello", Outcome::Failed { fault: told }, 100)),
        at(120, ends("task.lint", Outcome::Cancelled, 119)),
        at(
            121,
            Event::RunFinished {
                outcome: failed,
                duration_ms: 121,
            },
        ),
    ]);
    records
}

fn cancelled_run() -> Vec<Record> {
    let cancelling = || Event::Cancelling {
        signal: "Ctrl-C".to_owned(),
    };
    vec![
        at(0, started(&["build.hello", "app.hello"])),
        at(1, starts("build.hello", Action::Build, vec![])),
        at(2000, cancelling()),
        at(2000, ends("app.hello", Outcome::Cancelled, 0)),
        at(2400, cancelling()),
        at(2400, ends("build.hello", Outcome::Cancelled, 2399)),
        at(
            2401,
            Event::RunFinished {
                outcome: Outcome::Cancelled,
                duration_ms: 2401,
            },
        ),
    ]
}

fn idle_run() -> Vec<Record> {
    vec![
        at(0, started(&["postgres.db", "app.hello"])),
        at(50, ends("postgres.db", Outcome::Skipped, 50)),
        at(54, ends("app.hello", Outcome::Skipped, 4)),
        at(
            54,
            Event::RunFinished {
                outcome: Outcome::Skipped,
                duration_ms: 54,
            },
        ),
    ]
}
