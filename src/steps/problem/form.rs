//! The forms in which programs name a place. Pure: a line in, what it says out.

use std::borrow::Cow;

use crate::event::Severity;

/// As the program wrote it.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub path: String,
    pub line: usize,
    pub column: usize,
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub severity: Severity,
    pub code: Option<String>,
    pub message: String,
}

impl Head {
    pub fn error(message: &str) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            message: message.to_owned(),
        }
    }
}

/// The line without escape sequences (ECMA-48): `ESC [ … letter`, `ESC ] … BEL`, and `ESC` with one character.
pub fn plain(line: &str) -> Cow<'_, str> {
    if !line.contains('\x1b') {
        return line.into();
    }
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.find(|c| ('\x40'..='\x7e').contains(c));
            }
            Some(']') => {
                chars.find(|c| matches!(c, '\x07' | '\\'));
            }
            Some(_) | None => {}
        }
    }
    out.into()
}

/// rustc, clippy, ruff: ` --> src/x.rs:3:5`, below what is wrong.
pub fn arrow(line: &str) -> Option<Place> {
    let (place, rest) = place(line.trim_start().strip_prefix("--> ")?)?;
    rest.is_empty().then_some(place)
}

/// rustc, clippy: `error[E0308]: mismatched types`; ruff: ``F401 [*] `os` imported but unused``. `Some(None)` for a line that begins
/// something else, such as a note with an arrow of its own.
pub fn head(line: &str) -> Option<Option<Head>> {
    if line.starts_with("note:") || line.starts_with("help:") {
        return Some(None);
    }
    for (word, severity) in [("error", Severity::Error), ("warning", Severity::Warning)] {
        let Some(rest) = line.strip_prefix(word) else {
            continue;
        };
        let (code, message) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (code, rest) = rest.split_once(']')?;
                (Some(code.to_owned()), rest.strip_prefix(": ")?)
            }
            None => (None, rest.strip_prefix(": ")?),
        };
        return Some(Some(Head {
            severity,
            code,
            message: message.to_owned(),
        }));
    }
    let (code, message) = ruled(line)?;
    Some(Some(Head {
        code: Some(code.to_owned()),
        ..Head::error(message)
    }))
}

/// `F401 [*] message`: capitals, then digits.
fn ruled(text: &str) -> Option<(&str, &str)> {
    let (code, message) = text.split_once(' ')?;
    let digits = code.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let is_code = (1..=4).contains(&(code.len() - digits.len()))
        && (2..=5).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| (code, message.strip_prefix("[*] ").unwrap_or(message)))
}

/// rustfmt: `Diff in src/x.rs:12:`, and before 2024 `Diff in src/x.rs at line 12:`.
pub fn unformatted(line: &str) -> Option<Place> {
    let rest = line.strip_prefix("Diff in ")?.strip_suffix(':')?;
    let (path, number) = (rest.rsplit_once(" at line ")).or_else(|| rest.rsplit_once(':'))?;
    Some(Place {
        path: path.to_owned(),
        line: number.parse().ok()?,
        column: 1,
    })
}

/// Rust: `thread 'x' panicked at src/x.rs:4:5:`, the message on the next line; before 1.73 `panicked at 'message', src/x.rs:4:5`.
pub fn panic(line: &str) -> Option<(Place, Option<&str>)> {
    let (_, rest) = line.split_once("panicked at ")?;
    if let Some(quoted) = rest.strip_prefix('\'') {
        let (message, at) = quoted.rsplit_once("', ")?;
        let (place, rest) = place(at)?;
        return rest.is_empty().then_some((place, Some(message)));
    }
    let (place, rest) = place(rest)?;
    (rest == ":").then_some((place, None))
}

/// Python: `  File "x.py", line 3, in f`.
pub fn traceback(line: &str) -> Option<Place> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (path, rest) = rest.split_once("\", line ")?;
    let (line, _) = number(rest)?;
    Some(Place {
        path: path.to_owned(),
        line,
        column: 1,
    })
}

/// gcc, go, eslint's unix format, mypy, pytest: `path:3:5: message`; TypeScript: `path(3,5): error TS2322: message`.
pub fn line(line: &str) -> Option<(Place, Head)> {
    let line = line.trim_start();
    let (place, rest) = parenthesised(line).or_else(|| place(line))?;
    let message = rest.strip_prefix(": ")?.trim();
    match message {
        "" => None,
        message => Some((place, said(message)?)),
    }
}

/// What stands behind a place. `None` for a note.
fn said(message: &str) -> Option<Head> {
    let (mut severity, mut code) = (Severity::Error, None);
    let mut message = message;
    for (word, of_word) in [
        ("fatal error", Some(Severity::Error)),
        ("error", Some(Severity::Error)),
        ("warning", Some(Severity::Warning)),
        ("note", None),
    ] {
        let Some(rest) = message.strip_prefix(word) else {
            continue;
        };
        if let Some(rest) = rest.strip_prefix(": ") {
            severity = of_word?;
            message = rest;
            break;
        }
        // TypeScript: `error TS2322: message`.
        if let Some((of_rule, rest)) = rest
            .strip_prefix(' ')
            .and_then(|rest| rest.split_once(": "))
            && !of_rule.contains(' ')
        {
            severity = of_word?;
            code = Some(of_rule.to_owned());
            message = rest;
            break;
        }
    }
    if let Some((of_rule, rest)) = ruled(message) {
        code = Some(of_rule.to_owned());
        message = rest;
    }
    if let Some((rest, of_rule)) = in_brackets(message) {
        message = rest;
        code = Some(match of_rule.split_once('/') {
            Some(("Error", rule)) => rule.to_owned(),
            Some(("Warning", rule)) => {
                severity = Severity::Warning;
                rule.to_owned()
            }
            Some(_) | None => of_rule.to_owned(),
        });
    }
    Some(Head {
        severity,
        code,
        message: message.to_owned(),
    })
}

/// The rule at the end: `message [-Wunused]`, `message [Error/no-undef]`, `message  [assignment]`.
fn in_brackets(message: &str) -> Option<(&str, &str)> {
    let (rest, rule) = message.strip_suffix(']')?.rsplit_once(" [")?;
    let fits = |c: char| c.is_alphanumeric() || "-_/.=@".contains(c);
    let is_rule = rule.starts_with(|c: char| c.is_alphabetic() || "-@".contains(c));
    (is_rule && rule.chars().all(fits)).then(|| (rest.trim_end(), rule))
}

/// `path:3:5` or `path:3` at the start of the text, and what stands behind it.
fn place(text: &str) -> Option<(Place, &str)> {
    for (at, _) in text.match_indices(':') {
        let Some((line, rest)) = number(&text[at + 1..]) else {
            continue;
        };
        let path = &text[..at];
        if path.is_empty() || path.len() > 1000 {
            return None;
        }
        let column = rest.strip_prefix(':').and_then(number);
        let (column, rest) = column.unwrap_or((1, rest));
        let place = Place {
            path: path.to_owned(),
            line,
            column,
        };
        return Some((place, rest));
    }
    None
}

/// `path(3,5)`.
fn parenthesised(text: &str) -> Option<(Place, &str)> {
    let (inner, rest) = text.split_once("):")?;
    let (path, numbers) = inner.rsplit_once('(')?;
    let (line, column) = numbers.split_once(',')?;
    let place = Place {
        path: path.to_owned(),
        line: line.parse().ok()?,
        column: column.trim().parse().ok()?,
    };
    // The colon is of what follows.
    Some((place, &text[text.len() - rest.len() - 1..]))
}

/// The number at the start of the text, and what stands behind it.
fn number(text: &str) -> Option<(usize, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}
