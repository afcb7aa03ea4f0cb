//! JUnit XML, as CI systems read it: a suite for the run, a case for each step.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Finding, Ran, Run, finding};
use crate::{
    config::StepId,
    event::{Fault, Outcome},
};

/// The run as JUnit XML. Steps that were up to date are skipped cases, those that never began say so.
pub fn junit(run: &Run) -> String {
    let mut suite = TestSuite::new(name(run));
    suite.set_time(Duration::from_millis(run.duration_ms));
    for ran in &run.steps {
        suite.add_test_case(case(ran));
    }
    for fault in &run.faults {
        let mut case = TestCase::new(name(run), failed(None, fault));
        case.set_classname("devenv");
        suite.add_test_case(case);
    }
    let mut report = Report::new(name(run));
    report.set_time(Duration::from_millis(run.duration_ms));
    report.add_test_suite(suite);
    report
        .to_string()
        .expect("a report of plain text is written to memory")
}

fn name(run: &Run) -> String {
    format!("devenv {}", run.command).trim().to_owned()
}

fn case(ran: &Ran) -> TestCase {
    let mut case = TestCase::new(ran.step.to_string(), status(ran));
    case.set_classname(ran.step.kind.as_str());
    case.set_time(Duration::from_millis(ran.duration_ms));
    if !ran.output.is_empty() {
        case.set_system_out(ran.output.text());
    }
    case
}

fn status(ran: &Ran) -> TestCaseStatus {
    let skipped = |why: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(why);
        status
    };
    match &ran.outcome {
        Some(Outcome::Done { .. }) => TestCaseStatus::success(),
        Some(Outcome::Skipped) => skipped("up to date"),
        Some(Outcome::Cancelled) if ran.decision.is_some() => skipped("cancelled"),
        Some(Outcome::Cancelled) => skipped("not started"),
        Some(Outcome::Failed { fault }) => failed(Some(&ran.step), fault),
        None => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("it did not come to its end");
            status
        }
    }
}

fn failed(step: Option<&StepId>, fault: &Fault) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(finding::lines(&fault.message));
    let mut text = String::new();
    for found in Finding::of(step, fault) {
        if let Some(site) = &found.fault.site {
            text += &format!("{site}: ");
        }
        if let Some(code) = &found.fault.code {
            text += &format!("[{code}] ");
        }
        text += &format!("{}\n", found.text());
    }
    if let (Some(help), false) = (&fault.help, fault.errors.is_empty()) {
        text += &format!("help: {help}\n");
    }
    status.set_description(text);
    status
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::report::ci::testing;

    #[test]
    fn each_step_is_a_case() {
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="devenv ci" tests="4" skipped="2" failures="2" errors="0" time="62.000">
                <testsuite name="devenv ci" tests="4" skipped="2" errors="0" failures="2" time="62.000">
                    <testcase name="toolchain.rust" classname="toolchain" time="0.009">
                        <skipped message="up to date"/>
                    </testcase>
                    <testcase name="lint.db" classname="lint" time="1.200">
                        <failure message="1 finding in migrations">migrations/V2__new.sql:2:1: [ban-drop-table] dropping a table may break existing clients
            help: release an app that does not use it first
            help: accept it
            </failure>
                    </testcase>
                    <testcase name="task.check" classname="task" time="61.000">
                        <failure message="`make | check &lt;all&gt;` failed with code 2">devenv.toml: `make | check &lt;all&gt;` failed with code 2
            its last output:
            ::error::x
            ]]&gt; ``` end
            </failure>
                        <system-out>::error file=a.rs::not mine
              ::stop-commands::x
            see ##[endgroup] and ##[error]x

            a | b ]]&gt; &lt;/system-out&gt; &amp; &lt;script&gt;
            ``` %0A 100% end
            </system-out>
                    </testcase>
                    <testcase name="app.hello" classname="app" time="0.000">
                        <skipped message="not started"/>
                    </testcase>
                </testsuite>
            </testsuites>
        "#]].assert_eq(&junit(&testing::failed()));
    }

    #[test]
    fn what_is_no_step_is_a_case_as_well() {
        let place = Fault::new("unknown key `x`").at_file("devenv.toml", 3, 1);
        let fault = Fault::new("`devenv.toml` has an error").after([place]);
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="devenv ci" tests="1" skipped="0" failures="1" errors="0" time="0.000">
                <testsuite name="devenv ci" tests="1" skipped="0" errors="0" failures="1" time="0.000">
                    <testcase name="devenv ci" classname="devenv">
                        <failure message="`devenv.toml` has an error">devenv.toml:3:1: unknown key `x`
            </failure>
                    </testcase>
                </testsuite>
            </testsuites>
        "#]]
        .assert_eq(&junit(&Run::not_begun("ci", fault)));
    }

    #[test]
    fn a_run_that_was_cut_short_is_a_report_all_the_same() {
        let records = testing::failed_run();
        let text = junit(&Run::of(&records[..4]));
        assert!(text.contains("it did not come to its end"), "{text}");
        assert!(junit(&Run::default()).contains("<testsuites name=\"devenv\""));
    }
}
