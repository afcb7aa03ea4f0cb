//! The dispatcher: what runs when, and what failures and signals do.

use std::{sync::Arc, time::Duration};

use expect_test::expect;
use futures_util::stream;
use tokio::sync::mpsc;

use super::{
    fake::{Does, Fake, Run, plan, sent_signals},
    id,
};
use crate::{
    engine::*,
    event::{Events, FaultClass, Outcome},
};

#[tokio::test]
async fn a_chain_runs_in_order_and_hands_outputs_down() {
    let run = Run::start(&[
        ("a", &[], Does::Succeed),
        ("b", &["a"], Does::Skip),
        ("c", &["b"], Does::Succeed),
    ]);
    let result = run
        .end(expect![[r#"
            run a b c
            a starts
            a ends: done, Ran it
            b ends: skipped
            c starts
            c ends: done, Ran it
            run ends: done, 2 steps done, 1 up to date
        "#]])
        .await;
    assert_eq!(result.outputs[&id("c")].digest, "c(a,b)");
    assert_eq!(result.class(), None);
}

#[tokio::test]
async fn a_run_with_nothing_to_do_says_so() {
    let run = Run::start(&[("a", &[], Does::Skip), ("b", &["a"], Does::Skip)]);
    run.end(expect![[r#"
        run a b
        a ends: skipped
        b ends: skipped
        run ends: skipped
    "#]])
        .await;
}

#[tokio::test]
async fn only_goals_and_their_needs_run() {
    let steps: &[(&str, &[&str], Does)] = &[
        ("a", &[], Does::Skip),
        ("b", &["a"], Does::Skip),
        ("other", &[], Does::Skip),
    ];
    let plan = plan(steps);
    let (events, _records) = Events::channel();
    let (acting, _) = mpsc::unbounded_channel();
    let work = Fake {
        steps: steps
            .iter()
            .map(|(name, _, does)| (id(name), (*does, Class::Light)))
            .collect(),
        acting,
    };
    let goals = [id("b"), id("not in the plan")].into();
    let options = Options::new("up");
    let result = run(
        &plan,
        &goals,
        Arc::new(work),
        &events,
        stream::empty(),
        options,
    )
    .await;
    assert_eq!(
        result.outcomes.keys().cloned().collect::<Vec<_>>(),
        [id("a"), id("b")]
    );
}

#[tokio::test]
async fn independent_steps_act_at_the_same_time() {
    let mut run = Run::start(&[
        ("a", &[], Does::Wait),
        ("b", &[], Does::Wait),
        ("c", &["a"], Does::Wait),
    ]);
    run.acting(&["a", "b"]).await;
    run.let_go("a");
    run.acting(&["b", "c"]).await;
    run.let_go("c");
    run.let_go("b");
    assert_eq!(run.result.await.expect("no panic").class(), None);
}

#[tokio::test]
async fn a_failure_cancels_the_others() {
    let mut run = Run::start(&[
        ("hangs-on", &[], Does::Wait),
        ("late", &["hangs-on"], Does::Succeed),
        ("starts", &[], Does::Wait),
        ("then-fails", &["starts"], Does::Fail),
        ("z-never", &["then-fails"], Does::Succeed),
    ]);
    run.acting(&["hangs-on", "starts"]).await;
    run.let_go("starts");
    let result = run
        .end(expect![[r#"
            run hangs-on late starts then-fails z-never
            starts starts
            hangs-on starts
            starts ends: done, Ran it
            then-fails starts
            then-fails ends: failed, `task.then-fails` failed
            late ends: cancelled
            z-never ends: cancelled
            hangs-on ends: cancelled
            run ends: failed, `task.then-fails` failed
        "#]])
        .await;
    assert_eq!(result.class(), Some(FaultClass::Step));
    assert_eq!(result.outcomes.len(), 5);
}

#[tokio::test]
async fn keeping_going_reports_every_failure() {
    let options = Options {
        policy: Policy::KeepGoing,
        limits: Limits { light: 1, heavy: 1 },
        ..Options::new("up")
    };
    let steps: &[(&str, &[&str], Does)] = &[
        ("a", &[], Does::Fail),
        ("b", &["a"], Does::Succeed),
        ("c", &[], Does::FailToDecide),
        ("d", &[], Does::Succeed),
    ];
    let run = Run::with(steps, options, stream::pending());
    let result = run
        .end(expect![[r#"
            run a b c d
            a starts
            a ends: failed, `task.a` failed
            b ends: cancelled
            c ends: failed, cannot look
            d starts
            d ends: done, Ran it
            run ends: failed, `task.a` failed
        "#]])
        .await;
    assert_eq!(result.faults.len(), 2);
}

#[tokio::test]
async fn a_panic_is_a_fault_of_its_step() {
    let run = Run::start(&[("a", &[], Does::Panic), ("b", &["a"], Does::Succeed)]);
    let result = run
        .end(expect![[r#"
            run a b
            a starts
            a ends: failed, devenv itself failed in `task.a`
            b ends: cancelled
            run ends: failed, devenv itself failed in `task.a`
        "#]])
        .await;
    assert_eq!(result.class(), Some(FaultClass::Bug));
    assert_eq!(result.faults[0].1.notes, ["panic: on purpose"]);
}

#[tokio::test]
async fn the_first_signal_lets_steps_stop() {
    let (signals, stream) = sent_signals();
    let steps: &[(&str, &[&str], Does)] = &[("a", &[], Does::Wait), ("b", &["a"], Does::Succeed)];
    let mut run = Run::with(steps, Options::new("up"), stream);
    run.acting(&["a"]).await;
    signals.send(Signal::Terminate).expect("the run listens");
    let result = run
        .end(expect![[r#"
            run a b
            a starts
            cancelling on SIGTERM
            b ends: cancelled
            a ends: cancelled
            run ends: cancelled
        "#]])
        .await;
    assert_eq!(result.class(), Some(FaultClass::Interrupted));
    assert_eq!(result.signal, Some(Signal::Terminate));
}

#[tokio::test]
async fn the_second_signal_waits_for_nobody() {
    let (signals, stream) = sent_signals();
    let mut run = Run::with(&[("a", &[], Does::Hang)], Options::new("up"), stream);
    run.acting(&["a"]).await;
    signals.send(Signal::Interrupt).expect("the run listens");
    signals.send(Signal::Interrupt).expect("the run listens");
    let result = run
        .end(expect![[r#"
            run a
            a starts
            cancelling on Ctrl-C
            cancelling on Ctrl-C
            a ends: cancelled
            run ends: cancelled
        "#]])
        .await;
    assert_eq!(result.class(), Some(FaultClass::Interrupted));
}

#[tokio::test]
async fn a_step_that_does_not_stop_is_ended_after_the_grace() {
    let options = Options {
        grace: Duration::ZERO,
        ..Options::new("up")
    };
    let steps: &[(&str, &[&str], Does)] = &[
        ("a", &[], Does::Hang),
        ("b", &[], Does::Wait),
        ("c", &["b"], Does::Fail),
    ];
    let mut run = Run::with(steps, options, stream::pending());
    run.acting(&["a", "b"]).await;
    run.let_go("b");
    let result = run.result.await.expect("no panic");
    assert!(matches!(result.outcomes[&id("a")], Outcome::Cancelled));
    assert_eq!(result.class(), Some(FaultClass::Step));
}

#[tokio::test]
async fn builds_wait_for_a_free_core_and_nothing_else_does() {
    let options = Options {
        limits: Limits { light: 4, heavy: 1 },
        ..Options::new("up")
    };
    let steps: &[(&str, &[&str], Does)] = &[
        ("heavy-1", &[], Does::Wait),
        ("heavy-2", &[], Does::Wait),
        ("light", &[], Does::Wait),
    ];
    let mut run = Run::with(steps, options, stream::pending());
    run.acting(&["heavy-1", "light"]).await;
    run.let_go("heavy-1");
    run.acting(&["heavy-2", "light"]).await;
    run.let_go("light");
    run.let_go("heavy-2");
    assert_eq!(run.result.await.expect("no panic").class(), None);
}

#[tokio::test]
async fn a_step_that_only_waits_gives_its_place_away() {
    let options = Options {
        limits: Limits { light: 1, heavy: 1 },
        ..Options::new("up")
    };
    let steps: &[(&str, &[&str], Does)] = &[
        ("a", &[], Does::WaitWithoutSlot),
        ("b", &[], Does::WaitWithoutSlot),
        ("c", &[], Does::Wait),
    ];
    let mut run = Run::with(steps, options, stream::pending());
    run.acting(&["a", "b", "c"]).await;
    for name in ["a", "b", "c"] {
        run.let_go(name);
    }
    assert_eq!(run.result.await.expect("no panic").class(), None);
}
