//! The summary of a run as Markdown, as GitHub shows it beside a job (`GITHUB_STEP_SUMMARY`).

use std::{fmt::Write as _, path::Path};

use super::{Finding, Ran, Run, finding};
use crate::{
    event::{Fault, Outcome, count},
    report::{Timings, words},
};

/// GitHub refuses a longer one.
const LIMIT: usize = 1024 * 1024;
/// Of the output of a step that failed.
const OUTPUT_LINES: usize = 40;

/// Result, steps, failures and critical path. `prefix` is the project's folder in its repository.
pub fn summary(run: &Run, timings: &Timings, prefix: &Path) -> String {
    let mut text = head(run) + &steps(run);
    let mut path = critical_path(timings);
    let failures: Vec<_> = failures(run).collect();
    for (index, failed) in failures.iter().enumerate() {
        let failure = failed.text(prefix);
        let room = LIMIT.saturating_sub(text.len() + path.len() + 200);
        if failure.len() > room {
            let more = count(failures.len() - index, "more failure");
            let _ = writeln!(path, "\n{more}: see the log.");
            break;
        }
        text += &failure;
    }
    text += &path;
    cut(text)
}

/// Whole lines, up to the limit. Only a run of many thousand steps gets here.
fn cut(mut text: String) -> String {
    if text.len() > LIMIT {
        let mut end = LIMIT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let end = text[..end].rfind('\n').unwrap_or(end);
        text.truncate(end);
    }
    text
}

fn head(run: &Run) -> String {
    let took = words::duration(run.duration_ms);
    let (mark, said) = match &run.outcome {
        Some(Outcome::Done { .. } | Outcome::Skipped) => ("✅", format!("passed in {took}")),
        Some(Outcome::Failed { .. }) if run.steps.is_empty() => ("❌", "failed".to_owned()),
        Some(Outcome::Failed { .. }) => ("❌", format!("failed after {took}")),
        Some(Outcome::Cancelled) => ("⚠️", format!("cancelled after {took}")),
        None => ("⚠️", "did not come to its end".to_owned()),
    };
    let command = escape(&format!("devenv {}", run.command));
    format!("## {mark} {command} {said}\n")
}

fn steps(run: &Run) -> String {
    if run.steps.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n| Step | Result | Time | Why it ran |\n|---|---|--:|---|\n");
    for ran in &run.steps {
        let took = match never_began(ran) {
            true => String::new(),
            false => words::duration(ran.duration_ms),
        };
        let why = ran
            .decision
            .as_ref()
            .map(words::decision)
            .unwrap_or_default();
        let step = escape(&ran.step.to_string());
        let (result, why) = (result(ran), escape(&why));
        let _ = writeln!(text, "| {step} | {result} | {took} | {why} |");
    }
    text
}

fn never_began(ran: &Ran) -> bool {
    ran.decision.is_none() && matches!(ran.outcome, Some(Outcome::Cancelled) | None)
}

fn result(ran: &Ran) -> String {
    match &ran.outcome {
        Some(Outcome::Skipped) => "up to date".to_owned(),
        Some(Outcome::Done { summary }) => match summary.trim() {
            "" => "✅ done".to_owned(),
            summary => format!("✅ {}", escape(summary)),
        },
        Some(Outcome::Failed { .. }) => "❌ failed".to_owned(),
        Some(Outcome::Cancelled) if ran.decision.is_some() => "cancelled".to_owned(),
        Some(Outcome::Cancelled) => "not started".to_owned(),
        None => "did not come to its end".to_owned(),
    }
}

/// A failure, with the step that failed where it is one's.
struct Failed<'r> {
    ran: Option<&'r Ran>,
    fault: &'r Fault,
}

fn failures(run: &Run) -> impl Iterator<Item = Failed<'_>> {
    let of_steps = run.steps.iter().filter_map(|ran| match &ran.outcome {
        Some(Outcome::Failed { fault }) => Some(Failed {
            ran: Some(ran),
            fault,
        }),
        Some(Outcome::Skipped | Outcome::Done { .. } | Outcome::Cancelled) | None => None,
    });
    let others = run.faults.iter();
    of_steps.chain(others.map(|fault| Failed { ran: None, fault }))
}

impl Failed<'_> {
    fn text(&self, prefix: &Path) -> String {
        let Self { ran, fault } = *self;
        let step = ran.map(|ran| &ran.step);
        let name = step.map_or_else(|| "devenv".to_owned(), ToString::to_string);
        let mut text = format!("\n### {}\n\n{}\n", escape(&name), escape(&fault.message));
        let found = Finding::of(step, fault);
        let items = found.iter().filter(|found| says_more(found, fault));
        let items: String = items.map(|found| item(found, prefix)).collect();
        if !items.is_empty() {
            let _ = write!(text, "\n{items}");
        }
        if let Some(help) = &fault.help {
            let _ = writeln!(text, "\nhelp: {}", escape(help));
        }
        let last = ran.map(|ran| ran.output.last(OUTPUT_LINES).collect());
        let last: Vec<_> = last.unwrap_or_default();
        let notes = fault.notes.iter().chain(&fault.label);
        let notes = notes.map(|note| finding::lines(note));
        let notes: Vec<_> = notes.filter(|note| !repeats(note, &last)).collect();
        if !notes.is_empty() {
            let lines: Vec<_> = notes.iter().flat_map(|note| note.lines()).collect();
            let _ = write!(text, "\n{}", fenced(&lines));
        }
        if !last.is_empty() {
            let _ = write!(
                text,
                "\n<details><summary>Last output</summary>\n\n{}\n</details>\n",
                fenced(&last)
            );
        }
        text
    }
}

/// A note that brings the end of what the step printed, which is shown as well.
fn repeats(note: &str, output: &[&str]) -> bool {
    let mut brought = note.lines().skip(1).peekable();
    brought.peek().is_some() && brought.all(|line| output.contains(&line))
}

/// `- **path:3:5** message (rule)` with its help below.
fn item(found: &Finding, prefix: &Path) -> String {
    let mut text = String::from("- ");
    if let Some(location) = found.location(prefix) {
        let place = [location.line, location.column].into_iter().flatten();
        let place: String = place.map(|number| format!(":{number}")).collect();
        let _ = write!(text, "**{}{place}** ", escape(&location.path));
    }
    text += &escape(&found.fault.message);
    if let Some(code) = &found.fault.code {
        let _ = write!(text, " ({})", escape(code));
    }
    text.push('\n');
    if let Some(label) = &found.fault.label {
        let _ = writeln!(text, "  <br>{}", escape(label));
    }
    if let Some(help) = &found.fault.help {
        let _ = writeln!(text, "  <br>help: {}", escape(help));
    }
    text
}

/// A failure that sums up nothing stands above its list already.
fn says_more(found: &Finding, fault: &Fault) -> bool {
    !std::ptr::eq(found.fault, fault)
}

fn critical_path(timings: &Timings) -> String {
    let links: Vec<_> = (timings.critical_path.iter())
        .map(|link| {
            format!(
                "{} {}",
                escape(&link.step.to_string()),
                words::duration(link.took_ms)
            )
        })
        .collect();
    match links.is_empty() {
        true => String::new(),
        false => format!("\nCritical path: {}\n", links.join(" → ")),
    }
}

/// In a fence that is longer than any in the text.
fn fenced(lines: &[&str]) -> String {
    let longest = lines
        .iter()
        .map(|line| longest_run(line, '`'))
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str, wanted: char) -> usize {
    let runs = text.split(|c| c != wanted);
    runs.map(|run| run.chars().count()).max().unwrap_or(0)
}

/// On one line, and as it stands: no tag, link, mention, emphasis or table is made of it.
fn escape(text: &str) -> String {
    let text = finding::lines(text).replace('\n', " ");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '!' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;

    use super::*;
    use crate::report::ci::testing::{self, done, ends, log, record};
    use crate::{event::Event, plan::Digest};

    fn timings(records: &[crate::event::Record]) -> Timings {
        Timings::of(records, &BTreeMap::new())
    }

    #[test]
    fn a_failed_run_names_what_failed_where_and_why_it_ran() {
        let records = testing::failed_run();
        let text = summary(
            &Run::of(&records),
            &timings(&records),
            Path::new("apps/one"),
        );
        expect![[r#"
            ## ❌ devenv ci failed after 1m 02s

            | Step | Result | Time | Why it ran |
            |---|---|--:|---|
            | toolchain.rust | up to date | 9 ms |  |
            | lint.db | ❌ failed | 1.2s | run: no finished run yet |
            | task.check | ❌ failed | 1m 01s | run: env.MODE changed: \`a\|b\` → \`&lt;b&gt;\`c\`\` |
            | app.hello | not started |  |  |

            ### lint.db

            1 finding in migrations

            - **apps/one/migrations/V2\_\_new.sql:2:1** dropping a table may break existing clients (ban-drop-table)
              <br>help: release an app that does not use it first

            help: accept it

            ### task.check

            \`make \| check &lt;all&gt;\` failed with code 2

            ````text
            its last output:
            ::error::x
            ]]> ``` end
            ````

            <details><summary>Last output</summary>

            ````text
            ::error file=a.rs::not mine
              ::stop-commands::x
            see ##[endgroup] and ##[error]x

            a | b ]]> </system-out> & <script>
            ``` %0A 100% end
            ````

            </details>

            Critical path: task.check 9.0s
        "#]].assert_eq(&text);
    }

    #[test]
    fn a_good_run_says_what_was_done() {
        let records = [
            record(Event::RunStarted {
                command: "ci".to_owned(),
                project: "x".to_owned(),
                steps: Vec::new(),
                plan: Digest::of("plan"),
            }),
            record(ends("task.a", done("Ran `true`"), 20)),
            record(ends("task.b", done(""), 30)),
            record(ends("task.c", done("Ran `a|b`"), 20)),
            record(Event::RunFinished {
                outcome: done(""),
                duration_ms: 100,
            }),
        ];
        let text = summary(&Run::of(&records), &timings(&records), Path::new(""));
        expect![[r#"
            ## ✅ devenv ci passed in 100 ms

            | Step | Result | Time | Why it ran |
            |---|---|--:|---|
            | task.a | ✅ Ran \`true\` | 20 ms |  |
            | task.b | ✅ done | 30 ms |  |
            | task.c | ✅ Ran \`a\|b\` | 20 ms |  |

            Critical path: task.c 0 ms
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn it_is_never_longer_than_github_takes() {
        let line = "x".repeat(1500);
        let fault = Fault::new("it failed");
        let mut records = Vec::new();
        for number in 0..200 {
            let name = format!("task.t{number}");
            records.extend((0..60).map(|_| record(log(&name, &line))));
            records.push(record(ends(
                &name,
                Outcome::Failed {
                    fault: fault.clone(),
                },
                1,
            )));
        }
        let text = summary(&Run::of(&records), &timings(&records), Path::new(""));
        assert!(text.len() <= LIMIT, "{}", text.len());
        assert!(text.contains("more failures: see the log."));
        assert!(text.contains("| task.t199 | ❌ failed |"));
        assert!(text.contains("Critical path: "));
    }

    #[test]
    fn what_failed_without_output_says_why() {
        let fault = Fault::new("cannot pull `a`").note("no route to host\n```");
        let run = Run::of(&[record(ends("image.a", Outcome::Failed { fault }, 1))]);
        let text = summary(&run, &timings(&[]), Path::new(""));
        assert!(
            text.contains("````text\nno route to host\n```\n````\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_known_beside_the_output_is_told_and_nothing_twice() {
        let fault = Fault::new("`GET /` was not answered as expected")
            .note("got 500")
            .note("last output of `app.a`:\nit broke")
            .note("its last output:\nGET /: 500");
        let run = Run::of(&[
            record(log("smoke.a", "GET /: 500")),
            record(ends("smoke.a", Outcome::Failed { fault }, 1)),
        ]);
        let text = summary(&run, &timings(&[]), Path::new(""));
        let notes = "```text\ngot 500\nlast output of `app.a`:\nit broke\n```\n";
        assert!(text.contains(notes), "{text}");
        assert_eq!(text.matches("GET /: 500").count(), 1, "{text}");
    }

    #[test]
    fn what_failed_before_any_step_is_named_with_its_place() {
        let place = Fault::new("unknown key `x`").at_file("devenv.toml", 3, 1);
        let fault = Fault::new("`devenv.toml` has an error").after([place]);
        let run = Run::not_begun("ci", fault);
        expect![[r#"
            ## ❌ devenv ci failed

            ### devenv

            \`devenv.toml\` has an error

            - **apps/one/devenv.toml:3:1** unknown key \`x\`
        "#]]
        .assert_eq(&summary(&run, &timings(&[]), Path::new("apps/one")));
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced(&["a ```` b"]), "`````text\na ```` b\n`````\n");
    }
}
