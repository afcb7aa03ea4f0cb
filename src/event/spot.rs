use crate::config::Place;

/// A longer line would not be read, and is no part of a run log.
const LONGEST_EXCERPT: usize = 1000;

/// A place in a file other than devenv.toml, with what stands there: the file may be another one by the time it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Both count from 1; columns in characters.
    pub line: usize,
    pub column: usize,
    /// The whole line; `None` where the file as a whole is meant.
    pub excerpt: Option<String>,
}

impl Spot {
    /// The file as a whole.
    pub const START: Spot = Spot {
        line: 1,
        column: 1,
        excerpt: None,
    };

    /// The place of a byte in the file's text.
    pub fn of(text: &str, offset: usize) -> Self {
        let place = Place::of(text, offset..offset);
        let line = text.lines().nth(place.line - 1).unwrap_or_default();
        Self {
            line: place.line,
            column: place.column,
            excerpt: (line.len() <= LONGEST_EXCERPT).then(|| line.to_owned()),
        }
    }

    /// The beginning of a line, which counts from 1.
    pub fn line(text: &str, line: usize) -> Self {
        let before = text.split_inclusive('\n').take(line.saturating_sub(1));
        Self::of(text, before.map(str::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Events, Fault};

    #[test]
    fn a_line_with_a_secret_is_not_shown() {
        let (events, _) = Events::channel();
        events.mask("hunter22");
        let fault = |text| {
            let fault = Fault::new("it failed").at_spot("a.sql", &Spot::of(text, 0));
            events.mask_fault(fault).excerpt
        };
        assert_eq!(fault("create role x password 'hunter22'"), None);
        assert_eq!(fault("create role x").as_deref(), Some("create role x"));
    }

    #[test]
    fn a_place_has_its_line_in_characters() {
        let text = "a\r\nbé c\r\n";
        let spot = |line, column, excerpt: &str| Spot {
            line,
            column,
            excerpt: Some(excerpt.to_owned()),
        };
        assert_eq!(Spot::of(text, 0), spot(1, 1, "a"));
        assert_eq!(Spot::of(text, 7), spot(2, 4, "bé c"));
        assert_eq!(Spot::of(text, 5), spot(2, 2, "bé c"), "within a character");
        assert_eq!(Spot::of(text, 99), spot(3, 1, ""));
        assert_eq!(Spot::line(text, 2), spot(2, 1, "bé c"));
        let long = "x".repeat(LONGEST_EXCERPT + 1);
        assert_eq!(Spot::of(&long, 5).excerpt, None);
    }
}
