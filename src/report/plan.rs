//! `devenv plan` as text: what would happen, and why.

use std::fmt::Write as _;

use anstyle::Style;

use super::{
    progress::{BAD, CAUTION, DIM, GOOD, STRONG, styled},
    words,
};
use crate::{
    config::StepId,
    event::count,
    plan::{Action, Decision, Digest},
};

/// How many reasons of a step are shown; JSON has them all.
const REASONS: usize = 20;

/// Steps that would do something, with their reasons, in the given order; the others are counted.
pub fn plan(decisions: &[(StepId, Decision)], hash: &Digest) -> String {
    let is_change = |(_, decision): &&(StepId, Decision)| decision.action != Action::Skip;
    let changes: Vec<_> = decisions.iter().filter(is_change).collect();
    let kept = decisions.len() - changes.len();
    let mut text = String::new();
    let names = changes
        .iter()
        .map(|(step, _)| step.to_string().chars().count());
    let width = names.max().unwrap_or(0);
    for (step, decision) in &changes {
        let name = styled(STRONG, format_args!("{:width$}", step.to_string()));
        let action = styled(colour(decision.action), decision.action.as_str());
        let _ = writeln!(text, "{name}  {action}");
        for reason in decision.reasons.iter().take(REASONS) {
            let reason = words::clean(&reason.to_string());
            let _ = writeln!(text, "    {reason}");
        }
        let more = decision.reasons.len().saturating_sub(REASONS);
        if more > 0 {
            let _ = writeln!(text, "    and {more} more");
        }
    }
    if !changes.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(&changes, kept));
    let _ = writeln!(
        text,
        "{}",
        styled(DIM, format_args!("plan {}", hash.short()))
    );
    text
}

fn summary(changes: &[&(StepId, Decision)], kept: usize) -> String {
    if changes.is_empty() {
        let verb = if kept == 1 { "is" } else { "are" };
        let steps = count(kept, "step");
        return format!("No changes: {steps} {verb} up to date");
    }
    let mut counts: Vec<(Action, usize)> = Vec::new();
    for (_, decision) in changes {
        match counts
            .iter_mut()
            .find(|(action, _)| *action == decision.action)
        {
            Some((_, count)) => *count += 1,
            None => counts.push((decision.action, 1)),
        }
    }
    let counts = counts
        .iter()
        .map(|(action, count)| format!("{count} to {}", action.as_str()));
    let changed = count(changes.len(), "change");
    let detail = counts.collect::<Vec<_>>().join(", ");
    format!("{changed}: {detail}; {kept} up to date")
}

fn colour(action: Action) -> Style {
    match action {
        Action::Skip => DIM,
        Action::Start
        | Action::Run
        | Action::Restore
        | Action::Install
        | Action::Pull
        | Action::Build => GOOD,
        Action::Apply | Action::Restart | Action::Recreate => CAUTION,
        Action::Remove => BAD,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::plan::{Change, Reason};

    fn check(decisions: &[(&str, Action, &[Reason])], expected: Expect) {
        let decisions: Vec<_> = decisions
            .iter()
            .map(|(step, action, reasons)| {
                let step = step.parse().expect("a step id");
                (step, Decision::of(*action, reasons.to_vec()))
            })
            .collect();
        let text = plan(&decisions, &Digest::of("plan"));
        expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn changes_come_with_every_reason() {
        let level = Reason::Field {
            field: "env.LOG_LEVEL".to_owned(),
            change: Change::Value {
                from: "info".to_owned(),
                to: "debug".to_owned(),
            },
        };
        let build = Reason::Upstream {
            step: "build.hello".parse().expect("a step id"),
        };
        let pending = Reason::Pending {
            what: "3 migrations to apply".to_owned(),
        };
        check(
            &[
                ("toolchain.rust", Action::Skip, &[]),
                (
                    "build.hello",
                    Action::Build,
                    &[Reason::New {
                        what: "image".to_owned(),
                    }],
                ),
                ("migrate.db", Action::Apply, &[pending]),
                ("app.hello", Action::Recreate, &[level, build]),
            ],
            expect![[r#"
                build.hello  build
                    no image yet
                migrate.db   apply
                    3 migrations to apply
                app.hello    recreate
                    env.LOG_LEVEL changed: `info` → `debug`
                    `build.hello` runs first

                3 changes: 1 to build, 1 to apply, 1 to recreate; 1 up to date
                plan 29fde71e3ef2
            "#]],
        );
    }

    #[test]
    fn the_end_of_a_long_list_of_reasons_is_counted() {
        let pending = |number| Reason::Pending {
            what: format!("reason {number}"),
        };
        let reasons: Vec<_> = (1..=REASONS + 3).map(pending).collect();
        let step = "migrate.db".parse().expect("a step id");
        let rows = [(step, Decision::of(Action::Apply, reasons))];
        let text = plan(&rows, &Digest::of("plan"));
        assert!(text.contains("    reason 20\n    and 3 more\n"), "{text}");
    }

    #[test]
    fn no_changes_is_one_line() {
        check(
            &[
                ("toolchain.rust", Action::Skip, &[]),
                ("postgres.db", Action::Skip, &[]),
            ],
            expect![[r#"
                No changes: 2 steps are up to date
                plan 29fde71e3ef2
            "#]],
        );
        check(
            &[("toolchain.rust", Action::Skip, &[])],
            expect![[r#"
            No changes: 1 step is up to date
            plan 29fde71e3ef2
        "#]],
        );
    }
}
