//! Keys and tables that a file has twice: what they are called, and where the first one stands. The parser knows only the second.

use std::{collections::BTreeSet, ops::Range};

use toml::de::{DeTable, Error};

use super::{ConfigError, ErrorSite, KeyPath, Source, read::index};

/// What the parser says of both.
const MESSAGE: &str = "duplicate key";
/// In place of the second, so that the parser tells where it belongs. No file has it.
const STAND_IN: &str = "devenv-second-of-two";

/// Those of the parser's errors that are about something given twice, and the others.
pub(super) fn split<'e>(
    errors: &'e [Error],
    source: &Source,
) -> (Vec<ConfigError>, Vec<&'e Error>) {
    let mut found = Vec::new();
    let mut others = Vec::new();
    // In the order of the file: a table comes before its keys.
    let mut twice: BTreeSet<KeyPath> = BTreeSet::new();
    for error in errors {
        let span = error.span().filter(|_| error.message() == MESSAGE);
        let Some(second) = span.and_then(|span| Second::find(source, span)) else {
            others.push(error);
            continue;
        };
        let is_inside = second
            .path
            .parent()
            .is_some_and(|parent| twice.contains(&parent));
        if !is_inside {
            found.push(second.error(source));
        }
        twice.insert(second.path);
    }
    (found, others)
}

struct Second {
    path: KeyPath,
    span: Range<usize>,
    first: Range<usize>,
    is_table: bool,
}

impl Second {
    /// What it is the second of; `None` when that cannot be told.
    fn find(source: &Source, span: Range<usize>) -> Option<Self> {
        let (before, after) = (source.text.get(..span.start)?, source.text.get(span.end..)?);
        let text = format!("{before}{STAND_IN}{after}");
        let name = source.text[span.clone()].trim_matches(['"', '\'']);
        let (root, _) = DeTable::parse_recoverable(&text);
        let mut renamed = Source {
            text: text.clone(),
            ..Source::default()
        };
        index(&mut renamed, &mut KeyPath::default(), root.get_ref());
        let mut spans = renamed.spans.iter();
        let (stand_in, place) =
            spans.find(|(path, _)| path.0.last().is_some_and(|key| key == STAND_IN))?;
        let path = stand_in.parent().unwrap_or_default().join(name);
        let first = renamed.spans.get(&path)?.key.clone();
        (first.start < span.start).then_some(Self {
            path,
            span,
            first,
            // As [`index`] has it of a table with a header.
            is_table: place.key == place.value,
        })
    }

    fn error(&self, source: &Source) -> ConfigError {
        let first = source.place(self.first.clone());
        let name = self.path.0.last().map_or("", String::as_str);
        let message = match (self.is_table, self.path.parent()) {
            (true, _) => format!("there are two tables `[{}]`", self.path),
            (false, Some(parent)) if !parent.0.is_empty() => {
                format!("`{name}` is given twice in `[{parent}]`")
            }
            (false, _) => format!("`{name}` is given twice"),
        };
        let mut error = ConfigError::new(ErrorSite::Span(self.span.clone()), message);
        error.label(format!(
            "the first is at {}:{}:{}",
            source.path.display(),
            first.line,
            first.column
        ));
        error.help(match self.is_table {
            true => "give this one another name, or put the keys of both into one",
            false => "keep one of the two",
        });
        error
    }
}
