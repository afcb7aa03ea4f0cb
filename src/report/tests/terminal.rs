//! What a terminal shows, at moments of a run.

use expect_test::{Expect, expect};
use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::{at, cancelled_run, done, ends, failed_run, good_run, started, starts};
use crate::{
    event::Record,
    plan::Action,
    report::{progress::Seen, tty::Tty},
};

/// What a terminal of this width shows after the records that came up to `until_ms`, as of then.
fn check_tty(records: &[Record], columns: u16, until_ms: u64, expected: Expect) {
    let terminal = InMemoryTerm::new(60, columns);
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let mut tty = Tty::new(Seen::new(None, false), false, false, target);
    let before = records.iter().take_while(|record| record.at_ms <= until_ms);
    before.for_each(|record| tty.show(record));
    tty.tick(until_ms);
    expected.assert_eq(&terminal.contents());
}

#[test]
fn terminal_while_an_image_comes() {
    check_tty(
        &good_run(),
        80,
        1600,
        expect![[r#"
        Waiting for another run: `devenv up` (pid 12)
        ⠦ image.postgres    0.7s  Loading 3.1/104.0 MB"#]],
    );
}

#[test]
fn terminal_while_two_steps_run() {
    check_tty(
        &good_run(),
        80,
        2250,
        expect![[r#"
            Waiting for another run: `devenv up` (pid 12)
            ✓ image.postgres  Pulled 104.0 MB in 1.1s
            note: `app.hello`: port 8080 is taken, it gets 8081
            ⠹ postgres.db       0.2s  ready to accept connections
            ⠹ app.hello         0.2s  recreate: env.LOG_LEVEL changed: `info` → `debug`, no"#]],
    );
}

#[test]
fn terminal_that_is_narrow_cuts_what_moves() {
    check_tty(
        &good_run(),
        40,
        2050,
        expect![[r#"
            Waiting for another run: `devenv up` (pi
            d 12)
            ✓ image.postgres  Pulled 104.0 MB in 1.1
            s
            ⠋ postgres.db       0.0s  start: no cont
            ⠋ app.hello         0.0s  recreate: env."#]],
    );
}

#[test]
fn terminal_after_the_run() {
    check_tty(
        &good_run(),
        100,
        5000,
        expect![[r#"
            Waiting for another run: `devenv up` (pid 12)
            ✓ image.postgres  Pulled 104.0 MB in 1.1s
            note: `app.hello`: port 8080 is taken, it gets 8081
            ✓ postgres.db     Started in 290 ms
            ✓ app.hello       Started on 127.0.0.1:8081 in 689 ms (env.LOG_LEVEL changed: `info` → `debug`)
            3 steps done, 1 up to date in 1.8s"#]],
    );
}

#[test]
fn terminal_after_failures() {
    check_tty(
        &failed_run(),
        80,
        5000,
        expect![[r#"
            ✗ task.test  failed after 99 ms
            ✗ app.hello  failed after 100 ms
            - task.lint  cancelled after 119 ms

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

            Failed after 121 ms: 2 steps failed, 1 cancelled, 1 not started"#]],
    );
}

#[test]
fn terminal_after_a_cancel() {
    check_tty(
        &cancelled_run(),
        80,
        5000,
        expect![[r#"
            Ctrl-C: stopping 1 running step, once more to end at once
            Ctrl-C again: ending at once
            - build.hello  cancelled after 2.4s
            Cancelled after 2.4s: 1 step cancelled, 1 not started"#]],
    );
}

#[test]
fn terminal_counts_what_does_not_fit() {
    let names: Vec<String> = (10..30).map(|n| format!("service.s{n}")).collect();
    let mut records = vec![at(0, started(&["service.s10"]))];
    records.extend(
        names
            .iter()
            .map(|name| at(1, starts(name, Action::Start, vec![]))),
    );
    records.push(at(2, ends("service.s10", done(""), 1)));
    check_tty(
        &records,
        60,
        1000,
        expect![[r#"
        ✓ service.s10  Started in 1 ms
        ⠋ service.s11    1.0s  start
        ⠋ service.s12    1.0s  start
        ⠋ service.s13    1.0s  start
        ⠋ service.s14    1.0s  start
        ⠋ service.s15    1.0s  start
        ⠋ service.s16    1.0s  start
        ⠋ service.s17    1.0s  start
        ⠋ service.s18    1.0s  start
        ⠋ service.s19    1.0s  start
        ⠋ service.s20    1.0s  start
        ⠋ service.s21    1.0s  start
        ⠋ service.s22    1.0s  start
          and 7 more"#]],
    );
}

#[test]
fn terminal_is_left_clean_when_the_renderer_goes_early() {
    let terminal = InMemoryTerm::new(20, 80);
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let mut tty = Tty::new(Seen::new(None, false), false, false, target);
    good_run()[..5].iter().for_each(|record| tty.show(record));
    drop(tty);
    expect!["Waiting for another run: `devenv up` (pid 12)"].assert_eq(&terminal.contents());
}
