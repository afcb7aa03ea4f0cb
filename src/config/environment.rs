//! The environment `${env.NAME}` is taken from: the process' own, then `.env` beside the file.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

use super::{ConfigError, ErrorSite};

/// A variable of the process' environment, else of `.env` in the project's folder.
pub fn variable(root: &Path, name: &str) -> Option<String> {
    let inherited = std::env::var(name).ok();
    inherited.or_else(|| dotenv(root).0.remove(name))
}

/// The lines of `.env`, the first of a name wins, and what is wrong with the others. Nothing without a file.
pub(super) fn dotenv(root: &Path) -> (BTreeMap<String, String>, Vec<ConfigError>) {
    match std::fs::read(root.join(".env")) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
        Err(error) => (BTreeMap::new(), vec![unreadable(&error)]),
    }
}

fn parse(bytes: &[u8]) -> (BTreeMap<String, String>, Vec<ConfigError>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            return (
                BTreeMap::new(),
                vec![at(line, 1, "`.env` is not UTF-8 text")],
            );
        }
    };
    let line = Cell::new(0);
    let mut values = BTreeMap::new();
    let mut errors = Vec::new();
    for entry in dotenvy::from_read_iter(Lines { text, line: &line }) {
        match entry {
            Ok((name, value)) => {
                errors.extend(open_quote(text, line.get(), &name, &value));
                values.entry(name).or_insert(value);
            }
            // The text itself is not shown: it may hold a secret.
            Err(dotenvy::Error::LineParse(entry, _)) => {
                let more = entry.trim_end().matches('\n').count();
                let first = line.get() - more;
                let start = text.lines().nth(first - 1).unwrap_or_default();
                errors.push(not_an_entry(first, start));
            }
            Err(dotenvy::Error::Io(error)) => errors.push(unreadable(&error)),
            Err(error) => errors.push(at(line.get(), 1, &format!("cannot read `.env`: {error}"))),
        }
    }
    (values, errors)
}

/// Hands out one line at a time and counts them, since the parser does not say where an entry stood.
struct Lines<'t> {
    text: &'t str,
    line: &'t Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.text.find('\n').map_or(self.text.len(), |end| end + 1);
        let mut length = end.min(buffer.len());
        while !self.text.is_char_boundary(length) {
            length -= 1;
        }
        let (line, rest) = self.text.split_at(length);
        buffer[..length].copy_from_slice(line.as_bytes());
        if length == end && length > 0 {
            self.line.set(self.line.get() + 1);
        }
        self.text = rest;
        Ok(length)
    }
}

/// An apostrophe, as in `it's`, opens a quote that goes on to the next one, lines further down: nobody means that. A value that begins
/// with its quote may well have several lines.
fn open_quote(text: &str, last: usize, name: &str, value: &str) -> Option<ConfigError> {
    let lines: Vec<_> = text.lines().take(last).collect();
    let starts = |line: &&str| {
        let line = line.trim_start();
        let entry = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let rest = entry.strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    if !value.contains('\n') || lines.last().is_none_or(starts) {
        return None;
    }
    let first = lines.iter().rposition(starts)?;
    let (_, begins) = lines[first].split_once('=')?;
    if begins.trim_start().starts_with(['"', '\'']) {
        return None;
    }
    let before = lines[first].rfind(['"', '\''])?;
    let column = lines[first][..before].chars().count() + 1;
    let mut error = at(first + 1, column, "`.env` has a quote that is not closed");
    error.help("quote the whole value: NAME=\"value\"");
    Some(error)
}

/// What is wrong with the entry that starts so, at its value when it has one.
fn not_an_entry(line: usize, start: &str) -> ConfigError {
    let entry = start
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty());
    let value = entry.map(|(_, value)| value.trim_start());
    let before = start.len() - value.unwrap_or(start.trim_start()).len();
    let column = start[..before].chars().count() + 1;
    let (message, help) = match value.and_then(|value| value.chars().next()) {
        Some(quote @ ('"' | '\'')) => (
            "`.env` has a quoted value that is not closed, or goes on after its end",
            format!("write NAME={quote}value{quote}"),
        ),
        Some(_) => (
            "`.env` has a value that cannot be read",
            "quote values that hold spaces, quotes or `#`: NAME=\"value\"".to_owned(),
        ),
        None => (
            "`.env` has a line that is not `NAME=value`",
            "write `NAME=value`, and `#` before a comment".to_owned(),
        ),
    };
    let mut error = at(line, column, message);
    error.help(help);
    error
}

fn at(line: usize, column: usize, message: &str) -> ConfigError {
    let site = ErrorSite::File {
        path: ".env".into(),
        line,
        column,
    };
    ConfigError::new(site, message)
}

fn unreadable(error: &io::Error) -> ConfigError {
    let why = match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    let mut error = at(1, 1, &format!("cannot read `.env`: {why}"));
    error.help("make it a file of `NAME=value` lines that can be read, or remove it");
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_what_is_wrong_is_named() {
        let places = |text: &str| {
            let (_, errors) = parse(text.as_bytes());
            let place = |error: &ConfigError| match error.site {
                ErrorSite::File { line, column, .. } => (line, column),
                ErrorSite::Span(_) | ErrorSite::Whole => (0, 0),
            };
            errors.iter().map(place).collect::<Vec<_>>()
        };
        assert_eq!(places("A=1\n  B C\n"), [(2, 3)]);
        assert_eq!(places("A=1\nexport B= two words\nC=3\n"), [(2, 11)]);
        assert_eq!(places("A=1\n=2\n"), [(2, 1)]);
        assert_eq!(places("X=1\nA=it's\nB=2\nC=don't\nD=4\n"), [(2, 5)]);
        assert_eq!(places("A='two\nlines'\nB=2\nC=\"\\n\"\n"), []);
        // All that comes after an open quote is a part of it: one error, where it begins.
        assert_eq!(places("A=\"open\nB=2\nC=3\nD=4\n"), [(1, 3)]);
    }

    fn lines(text: &str) -> Vec<usize> {
        let (_, errors) = parse(text.as_bytes());
        let line = |error: &ConfigError| match error.site {
            ErrorSite::File { line, .. } => line,
            ErrorSite::Span(_) | ErrorSite::Whole => 0,
        };
        errors.iter().map(line).collect()
    }

    #[test]
    fn the_first_of_a_name_wins() {
        let (values, errors) = parse(b"\xef\xbb\xbfA=1\n# note\n\nexport B='two words'\nA=3\n");
        assert_eq!(errors, []);
        assert_eq!(values["A"], "1");
        assert_eq!(values["B"], "two words");
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(lines("A=1\nB=2\n"), [0usize; 0]);
        assert_eq!(lines("A=1\n\n# c\nB C\n"), [4]);
        assert_eq!(lines("A=1\r\nB=two words\r\n"), [2]);
        assert_eq!(lines("A=\"x\ny\"\nB=\"open\nC=1\n"), [3]);
        assert_eq!(lines(&format!("A={}\nB C\n", "é".repeat(9000))), [2]);
    }

    #[test]
    fn other_encodings_are_refused() {
        let (_, errors) = parse(b"A=1\nB=\xff\n");
        assert_eq!(errors[0].message, "`.env` is not UTF-8 text");
    }
}
