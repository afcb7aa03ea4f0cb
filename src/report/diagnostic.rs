//! Failures as text with the marked place of the file they come from.

use std::{ops::Range, path::Path};

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use super::words;
use crate::{
    config::{FILE, Source},
    event::{Fault, Severity, Site},
};

/// Text that is shown before a note about the last line of a log.
const LAST_LOG: &str = "last log: ";

/// A failure, with colours; the stream strips them where they cannot be shown. What comes with it stands before, a blank line between.
pub(super) fn fault(fault: &Fault, source: Option<&Source>) -> String {
    let before = fault
        .errors
        .iter()
        .map(|error| self::fault(error, source) + "\n");
    before.collect::<String>() + &alone(fault, source)
}

fn alone(fault: &Fault, source: Option<&Source>) -> String {
    let label = fault.label.as_deref();
    let mut elements = match (&fault.site, source) {
        (Some(Site::Key(path)), Some(source)) => match source.key(path) {
            Some(place) => vec![marked(source, place.span, label)],
            None => vec![Origin::path(shown(&source.path)).into()],
        },
        (Some(Site::Text { place, .. }), Some(source)) => {
            vec![marked(source, place.span.clone(), label)]
        }
        (Some(Site::Text { place, .. }), None) => {
            let origin = origin(Path::new(FILE), place.line, place.column);
            [origin].into_iter().chain(noted(label)).collect()
        }
        (Some(Site::File { path, line, column }), _) if let Some(text) = &fault.excerpt => {
            vec![excerpt(path, text, (*line, *column), label)]
        }
        (Some(Site::File { path, line, column }), _) => {
            let origin = origin(path, *line, *column);
            [origin].into_iter().chain(noted(label)).collect()
        }
        (Some(Site::Key(_)), None) | (None, _) => noted(label).into_iter().collect(),
    };
    elements.extend(
        fault
            .notes
            .iter()
            .map(|text| match text.strip_prefix(LAST_LOG) {
                Some(line) => note(Level::NOTE.with_name(LAST_LOG.trim_end_matches(": ")), line),
                None => note(Level::NOTE, text),
            }),
    );
    elements.extend(fault.help.as_deref().map(|help| note(Level::HELP, help)));
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Notice => Level::NOTE,
    };
    let title = level.primary_title(&fault.message);
    let title = match &fault.code {
        Some(code) => title.id(&**code),
        None => title,
    };
    let group = Group::with_title(title).elements(elements);
    Renderer::styled().render(&[group]) + "\n"
}

fn noted(label: Option<&str>) -> Option<Element<'_>> {
    label.map(|label| note(Level::NOTE, label))
}

fn marked<'a>(source: &'a Source, span: Range<usize>, label: Option<&'a str>) -> Element<'a> {
    snippet(&source.path, &source.text, 1, span, label)
}

/// A line of another file. Only where the trouble starts is known, so the word that stands there is marked.
fn excerpt<'a>(
    path: &Path,
    text: &'a str,
    (line, column): (usize, usize),
    label: Option<&'a str>,
) -> Element<'a> {
    let start = text.char_indices().nth(column - 1);
    let start = start.map_or(text.len(), |(at, _)| at);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = text[start..].find(|c| !is_word(c));
    let length = match word.unwrap_or(text.len() - start) {
        0 => text[start..].chars().next().map_or(0, char::len_utf8),
        length => length,
    };
    snippet(path, text, line, start..start + length, label)
}

fn snippet<'a>(
    path: &Path,
    text: &'a str,
    first_line: usize,
    span: Range<usize>,
    label: Option<&'a str>,
) -> Element<'a> {
    let end = text.len();
    let annotation = AnnotationKind::Primary
        .span(span.start.min(end)..span.end.min(end))
        .label(label.map(normalize_untrusted_str));
    Snippet::source(text)
        .line_start(first_line)
        .path(shown(path))
        .annotation(annotation)
        .into()
}

fn origin(path: &Path, line: usize, column: usize) -> Element<'static> {
    Origin::path(shown(path))
        .line(line)
        .char_column(column)
        .into()
}

fn note<'a>(level: Level<'a>, text: &str) -> Element<'a> {
    // Notes quote what programs wrote.
    let lines: Vec<_> = text.lines().map(words::clean).collect();
    level
        .message(normalize_untrusted_str(&lines.join("\n")))
        .into()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::{
        config::{self, KeyPath},
        event::Spot,
    };

    const FILE: &str = "[project]\nname = \"x\"\n\n[postgres.db]\nversion = \"15\"\n";

    fn check(failure: &Fault, expect: Expect) {
        let config = config::parse(Path::new("devenv.toml"), FILE, &|_| None).expect("valid");
        let text = fault(failure, Some(&config.source));
        expect.assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn a_key_is_marked() {
        let failure = Fault::new("service `postgres.db` was not ready after 30s")
            .at_key(KeyPath::of(["postgres", "db"]))
            .label("probe `select 1` never answered")
            .note("last log: FATAL: data directory has wrong ownership")
            .help("see `devenv logs postgres.db`, or raise `ready.timeout`");
        check(
            &failure,
            expect![[r#"
            error: service `postgres.db` was not ready after 30s
             --> devenv.toml:4:1
              |
            4 | [postgres.db]
              | ^^^^^^^^^^^^^ probe `select 1` never answered
              |
              = last log: FATAL: data directory has wrong ownership
              = help: see `devenv logs postgres.db`, or raise `ready.timeout`
        "#]],
        );
    }

    #[test]
    fn an_absent_key_marks_its_table() {
        let key = KeyPath::of(["postgres", "db", "ready", "timeout"]);
        check(
            &Fault::new("it took too long").at_key(key),
            expect![[r#"
            error: it took too long
             --> devenv.toml:4:1
              |
            4 | [postgres.db]
              | ^^^^^^^^^^^^^
        "#]],
        );
    }

    #[test]
    fn another_file_is_named() {
        let failure = Fault::new("migration `V2__index` failed")
            .at_file("migrations/V2__index.sql", 3, 14)
            .label("relation \"users\" does not exist")
            .note("SQLSTATE 42P01");
        check(
            &failure,
            expect![[r#"
            error: migration `V2__index` failed
            --> migrations/V2__index.sql:3:14
             = note: relation "users" does not exist
             = note: SQLSTATE 42P01
        "#]],
        );
    }

    #[test]
    fn a_line_of_another_file_is_shown() {
        let at = |text: &str, offset| {
            Fault::new("it failed").at_spot("V1__a.sql", &Spot::of(text, offset))
        };
        check(
            &at("\n\nselect 'é' from nope;\n", 19)
                .label("no such table")
                .help("create it"),
            expect![[r#"
                error: it failed
                 --> V1__a.sql:3:17
                  |
                3 | select 'é' from nope;
                  |                 ^^^^ no such table
                  |
                  = help: create it
            "#]],
        );
        check(
            &at("select (", 7),
            expect![[r#"
            error: it failed
             --> V1__a.sql:1:8
              |
            1 | select (
              |        ^
        "#]],
        );
        check(
            &at("select", 6),
            expect![[r#"
            error: it failed
             --> V1__a.sql:1:7
              |
            1 | select
              |       ^
        "#]],
        );
        check(
            &at("", 0),
            expect![[r#"
            error: it failed
             --> V1__a.sql:1:1
              |
            1 |
              | ^
        "#]],
        );
        check(
            &at("\tselect \u{1b}[2Jx", 15),
            expect![[r#"
            error: it failed
             --> V1__a.sql:1:14
              |
            1 |     select ␛[2Jx
              |                 ^
        "#]],
        );
    }

    #[test]
    fn without_a_place() {
        let failure = Fault::new("no engine answers")
            .note("connection refused")
            .note("line one\nline two")
            .help("start Docker");
        check(
            &failure,
            expect![[r#"
            error: no engine answers
             |
             = note: connection refused
             = note: line one
                     line two
             = help: start Docker
        "#]],
        );
        check(
            &Fault::new("interrupted"),
            expect![[r#"
            error: interrupted
        "#]],
        );
    }

    #[test]
    fn control_characters_of_others_are_not_passed_on() {
        let failure = Fault::new("a \u{1b}[31mb").note("c \u{1b}[2Jd");
        let text = fault(&failure, None);
        assert!(
            !text.contains("\u{1b}[2J") && !text.contains("\u{1b}[31mb"),
            "{text:?}"
        );
    }
}
