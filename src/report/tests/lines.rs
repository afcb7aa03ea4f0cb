//! Plain lines and JSON lines.

use expect_test::{Expect, expect};

use super::{at, cancelled_run, done, ends, failed_run, good_run, idle_run, log, started, starts};
use crate::{
    event::{Event, Fault, Outcome, Record},
    plan::{Action, Reason},
    report::{Folds, Format, Renderer, Setting, json_line, plain::Plain, progress::Seen},
};

fn check_plain(records: &[Record], verbose: bool, expected: Expect) {
    let mut plain = Plain::new(Seen::new(None, verbose), verbose);
    let text: String = records.iter().map(|record| plain.show(record)).collect();
    expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn plain_lines_of_a_run() {
    check_plain(
        &good_run(),
        false,
        expect![[r#"
        Waiting for another run: `devenv up` (pid 12)
        image.postgres  pull: no image yet
        image.postgres  Pulled 104.0 MB in 1.1s
        postgres.db     start: no container yet
        app.hello       recreate: env.LOG_LEVEL changed: `info` → `debug`, no port yet, and 3 more
        note: `app.hello`: port 8080 is taken, it gets 8081
        postgres.db     Started in 290 ms
        app.hello       Started on 127.0.0.1:8081 in 689 ms
        3 steps done, 1 up to date in 1.8s
    "#]],
    );
}

#[test]
fn plain_lines_with_logs() {
    check_plain(
        &good_run()[1..10],
        true,
        expect![[r#"
            image.postgres  pull: no image yet
            image.postgres  Pulled 104.0 MB in 1.1s
            postgres.db     start: no container yet
            app.hello       recreate: env.LOG_LEVEL changed: `info` → `debug`, no port yet, and 3 more
            postgres.db    | ready to accept connections
            note: `app.hello`: port 8080 is taken, it gets 8081
        "#]],
    );
}

#[test]
fn plain_lines_of_failures() {
    check_plain(
        &failed_run(),
        false,
        expect![[r#"
            task.test  run: asked for
            task.lint  run: asked for
            app.hello  start
            task.test  failed after 99 ms
            app.hello  failed after 100 ms
            task.lint  cancelled after 119 ms

            last output of `task.test`:
              line 5
              line 6
              line 7
              line 8
              line 9
              line 10
              line 11
              line 12
              line 13
              line 14
              line 15
              line 16
              line 17
              line 18
              line 19
              line 20
              line 21
              line 22
              line 23
              line 24
            error: task `task.test` failed
             |
             = help: see its output above

            error: `app.hello` exited with 1
             |
             = last log: no config

            Failed after 121 ms: 2 steps failed, 1 cancelled, 1 not started
        "#]],
    );
}

#[test]
fn lines_that_were_shown_are_not_shown_again() {
    let quoted = Fault::new("`make` failed with code 2").note("its last output:\none\ntwo");
    let elsewhere = Fault::new("`web` exited").note("its last output:\nfrom a container");
    let records = [
        at(0, started(&["task.make", "app.web"])),
        at(1, starts("task.make", Action::Run, Vec::new())),
        at(2, log("task.make", "one")),
        at(3, log("task.make", "two")),
        at(4, ends("task.make", Outcome::Failed { fault: quoted }, 3)),
        at(5, starts("app.web", Action::Start, Vec::new())),
        at(
            6,
            ends(
                "app.web",
                Outcome::Failed {
                    fault: elsewhere.clone(),
                },
                1,
            ),
        ),
        at(
            7,
            Event::RunFinished {
                outcome: Outcome::Failed { fault: elsewhere },
                duration_ms: 7,
            },
        ),
    ];
    check_plain(
        &records,
        true,
        expect![[r#"
        task.make  run
        task.make | one
        task.make | two
        task.make  failed after 3 ms
        app.web    start
        app.web    failed after 1 ms

        error: `make` failed with code 2

        error: `web` exited
         |
         = note: its last output:
                 from a container

        Failed after 7 ms: 2 steps failed
    "#]],
    );
}

#[test]
fn what_was_removed_before_the_run_is_something_done() {
    let records = [
        at(
            0,
            starts("service.old", Action::Remove, vec![Reason::Orphan]),
        ),
        at(1, ends("service.old", done("Removed its container"), 1)),
        at(2, started(&["task.make"])),
        at(3, ends("task.make", Outcome::Skipped, 0)),
        at(
            4,
            Event::RunFinished {
                outcome: Outcome::Skipped,
                duration_ms: 2,
            },
        ),
    ];
    check_plain(
        &records,
        false,
        expect![[r#"
        service.old  remove: no longer in devenv.toml
        service.old  Removed its container in 1 ms
        1 step done, 1 up to date in 2 ms
    "#]],
    );
}

#[test]
fn plain_lines_of_a_cancelled_run() {
    check_plain(
        &cancelled_run(),
        false,
        expect![[r#"
            build.hello  build
            Ctrl-C: stopping 1 running step, once more to end at once
            Ctrl-C again: ending at once
            build.hello  cancelled after 2.4s
            Cancelled after 2.4s: 1 step cancelled, 1 not started
        "#]],
    );
}

#[test]
fn plain_lines_when_nothing_is_to_do() {
    check_plain(
        &idle_run(),
        false,
        expect![[r#"
        Nothing to do (checked 2 steps in 54 ms)
    "#]],
    );
}

#[test]
fn json_lines_read_back_as_the_same_events() {
    for record in [good_run(), failed_run(), cancelled_run()].concat() {
        let line = json_line(&record);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let back: Record = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!(json_line(&back), line);
    }
}

#[test]
fn json_lines_of_a_run() {
    let text: String = good_run()[3..6].iter().map(json_line).collect();
    expect![[r#"
        {"at_ms":910,"event":"step-started","step":"image.postgres","action":"pull","reasons":[{"reason":"new","what":"image"}]}
        {"at_ms":1500,"event":"step-progress","step":"image.postgres","message":"Loading","done":3100000,"total":104000000,"unit":"bytes"}
        {"at_ms":2000,"event":"step-finished","step":"image.postgres","outcome":{"outcome":"done","summary":"Pulled 104.0 MB"},"duration_ms":1090}
    "#]].assert_eq(&text);
}

#[test]
fn progress_is_chosen_only_for_people_at_a_terminal() {
    let choose = |format, is_terminal, ci| match Renderer::choose(Setting {
        format,
        is_terminal,
        ci,
        ..Setting::default()
    }) {
        Renderer::Tty(_) => "tty",
        Renderer::Plain(_) => "plain",
        Renderer::Folded(_) => "folded",
        Renderer::Json => "json",
    };
    assert_eq!(choose(Format::Auto, true, false), "tty");
    assert_eq!(choose(Format::Auto, true, true), "plain");
    assert_eq!(choose(Format::Auto, false, false), "plain");
    assert_eq!(choose(Format::Plain, true, false), "plain");
    assert_eq!(choose(Format::Json, true, false), "json");
    let folds = |format| {
        let folds = Some(Folds::Gitlab { began: 0 });
        let setting = Setting {
            format,
            folds,
            is_terminal: true,
            ..Setting::default()
        };
        Renderer::choose(setting)
    };
    assert!(matches!(folds(Format::Auto), Renderer::Folded(_)));
    assert!(matches!(folds(Format::Json), Renderer::Json));
}

#[test]
fn another_run_that_has_not_said_what_it_is() {
    let holder = String::new();
    let waiting = [at(0, Event::Waiting { holder })];
    check_plain(&waiting, false, expect![["Waiting for another run\n"]]);
}
