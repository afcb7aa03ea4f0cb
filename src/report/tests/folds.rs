//! The log of a CI system: folds that never mix, annotations, nothing to obey in what programs print.

use std::path::PathBuf;

use expect_test::expect;

use super::{at, done, ends, log, new, started, starts};
use crate::{
    event::{Event, Outcome, Record},
    plan::Action,
    report::{
        ci::testing,
        folded::{Folded, Folds},
        progress::Seen,
    },
};

fn folded(folds: Folds) -> Folded {
    Folded::new(Seen::new(None, false), folds)
}

fn github() -> Folded {
    folded(Folds::Github {
        prefix: PathBuf::new(),
    })
}

fn gitlab() -> Folded {
    folded(Folds::Gitlab {
        began: 1_700_000_000,
    })
}

fn shown(mut folded: Folded, records: &[Record]) -> String {
    records.iter().map(|record| folded.show(record)).collect()
}

/// Two steps print in turns.
fn side_by_side() -> Vec<Record> {
    vec![
        at(0, started(&["task.a", "task.b"])),
        at(1, starts("task.a", Action::Run, vec![new("finished run")])),
        at(2, starts("task.b", Action::Build, vec![])),
        at(3, log("task.a", "a 1\n")),
        at(4, log("task.b", "b 1")),
        at(5, log("task.a", "\u{1b}[32ma 2\u{1b}[0m")),
        at(1500, ends("task.b", done("Built it"), 1498)),
        at(1600, log("task.a", "a 3")),
        at(2000, ends("task.a", done(""), 1999)),
        at(
            2001,
            Event::RunFinished {
                outcome: done(""),
                duration_ms: 2001,
            },
        ),
    ]
}

#[test]
fn what_steps_print_in_turns_is_folded_step_by_step() {
    expect![[r#"
        task.a  run: no finished run yet
        task.b  build
        ::group::task.b  Built it in 1.5s
        b 1
        ::endgroup::
        ::group::task.a  Ran in 2.0s
        a 1
        a 2
        a 3
        ::endgroup::
        2 steps done in 2.0s
    "#]]
    .assert_eq(&shown(github(), &side_by_side()));
    let marks = shown(gitlab(), &side_by_side())
        .replace('\u{1b}', "␛")
        .replace('\r', "␍");
    expect![[r#"
        task.a  run: no finished run yet
        task.b  build
        ␛[0Ksection_start:1700000001:task.b[collapsed=true]␍␛[0Ktask.b  Built it in 1.5s
        b 1
        ␛[0Ksection_end:1700000001:task.b␍␛[0K
        ␛[0Ksection_start:1700000002:task.a[collapsed=true]␍␛[0Ktask.a  Ran in 2.0s
        a 1
        a 2
        a 3
        ␛[0Ksection_end:1700000002:task.a␍␛[0K
        2 steps done in 2.0s
    "#]]
    .assert_eq(&marks);
}

#[test]
fn failures_are_annotated_and_nothing_that_a_program_prints_is_obeyed() {
    let text = shown(github(), &testing::failed_run());
    expect![[r#"
        lint.db         run: no finished run yet
        task.check      run: env.MODE changed: `a|b` → `<b>`c``
        ::warning file=migrations/V3 é#.sql,line=1,col=7,title=lint.db%3A syntax::the SQL lint cannot read this statement: a,b:c 100%25
        lint.db         failed after 1.2s
        ::error file=migrations/V2__new.sql,line=2,col=1,title=lint.db%3A ban-drop-table::dropping a table may break existing clients%0Ahelp: release an app that does not use it first
        ::group::task.check      failed after 1m 01s
        | ::error file=a.rs::not mine
          | ::stop-commands::x
        see ## [endgroup] and ## [error]x

        a | b ]]> </system-out> & <script>
        ``` %0A 100% end
        ::endgroup::
        ::error file=devenv.toml,title=task.check::`make | check <all>` failed with code 2%0Aits last output:%0A::error::x%0A]]> ``` end

        error[ban-drop-table]: dropping a table may break existing clients
         --> migrations/V2__new.sql:2:1
          |
        2 | drop table a;
          | ^^^^
          |
          = help: release an app that does not use it first

        error: 1 finding in migrations
         |
         = help: accept it

        last output of `task.check`:
          | ::error file=a.rs::not mine
            | ::stop-commands::x
          see ## [endgroup] and ## [error]x

          a | b ]]> </system-out> & <script>
          ``` %0A 100% end
        error: `make | check <all>` failed with code 2
         |
         = note: its last output:
                 | ::error::x
                 ]]> ``` end

        Failed after 1m 02s: 2 steps failed, 1 up to date, 1 not started
    "#]].assert_eq(&text);
    let own = ["::group::", "::endgroup::", "::error ", "::warning "];
    for line in text
        .lines()
        .filter(|line| line.trim_start().starts_with("::"))
    {
        assert!(own.iter().any(|own| line.starts_with(own)), "{line}");
    }
    assert!(!text.contains("##["), "{text}");
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
}

#[test]
fn no_section_of_gitlab_is_ended_by_a_program() {
    let text = shown(gitlab(), &testing::failed_run());
    for mark in ["section_start:", "section_end:"] {
        let marks = text.matches(&format!("\u{1b}[0K{mark}")).count();
        assert_eq!(marks, 1, "{mark} {text:?}");
    }
    assert_eq!(text.matches('\u{1b}').count(), 4, "{text:?}");
    assert_eq!(text.matches('\r').count(), 2, "{text:?}");
}

#[test]
fn a_notice_or_a_name_is_no_command_either() {
    let notice = Event::Notice {
        step: None,
        message: "a\n::set-env name=A::b".to_owned(),
        fault: None,
    };
    assert_eq!(
        shown(github(), &[at(0, notice)]),
        "note: a\n| ::set-env name=A::b\n"
    );
    let text = shown(
        github(),
        &[
            at(0, starts("task.a", Action::Run, vec![new("x\r::error::y")])),
            at(1, log("task.a", "x")),
            at(2, ends("task.a", done("Ran `a\n::endgroup::`"), 1)),
        ],
    );
    expect![[r#"
        task.a  run: ::error::y yet
        ::group::task.a  Ran `a ::endgroup::` in 1 ms
        x
        ::endgroup::
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_long_step_is_heard_of_each_minute() {
    let mut folded = github();
    for record in [
        at(0, started(&["task.a", "task.b"])),
        at(1000, starts("task.a", Action::Run, vec![])),
        at(50_000, starts("task.b", Action::Run, vec![])),
        at(51_000, log("task.a", "::compiling 3/10")),
    ] {
        folded.show(&record);
    }
    assert_eq!(folded.beat(60_999), "");
    assert_eq!(
        folded.beat(61_000),
        "task.a  still at it after 1m 00s: ::compiling 3/10\n"
    );
    assert_eq!(folded.beat(65_000), "");
    folded.show(&at(70_000, ends("task.b", Outcome::Skipped, 1)));
    assert_eq!(
        folded.beat(121_000),
        "task.a  still at it after 2m 00s: ::compiling 3/10\n"
    );
    folded.show(&at(122_000, ends("task.a", done(""), 1)));
    assert_eq!(folded.beat(300_000), "");
}
