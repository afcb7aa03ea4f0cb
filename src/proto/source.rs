//! Reads the head of a `.proto` file without compiling it: its edition and its imports, with their places.
//!
//! Needed because the compiler does not know editions, and because a file that does not compile still has inputs to fingerprint.

use crate::event::Spot;

/// `edition = "2023";` or `import "a.proto";`: the string and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub at: Spot,
}

/// The statements of a file that name other files or its edition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub edition: Option<Named>,
    pub imports: Vec<Named>,
}

/// Reads what can be read: a syntax error ends nothing, it is the compiler's to report.
pub fn head(text: &str) -> Head {
    let mut head = Head::default();
    let mut statement: Vec<Token> = Vec::new();
    let mut depth = 0usize;
    for token in (Tokens { text, at: 0 }) {
        match token.kind {
            Kind::Symbol('{') => depth += 1,
            Kind::Symbol('}') => {
                depth = depth.saturating_sub(1);
                statement.clear();
            }
            Kind::Symbol(';') if depth == 0 => head.read(text, &std::mem::take(&mut statement)),
            Kind::Symbol(';') => statement.clear(),
            Kind::Word | Kind::String | Kind::Symbol(_) => statement.push(token),
        }
    }
    head
}

impl Head {
    fn read(&mut self, text: &str, statement: &[Token]) {
        let words: Vec<_> = statement.iter().map(|token| token.text(text)).collect();
        let Some(last) = statement.last().filter(|last| last.kind == Kind::String) else {
            return;
        };
        let named = || Named {
            name: last.string(text).to_owned(),
            at: Spot::of(text, last.start),
        };
        match words.as_slice() {
            ["edition", "=", _] => self.edition = Some(named()),
            ["import", _] | ["import", "public" | "weak" | "option", _] => {
                self.imports.push(named());
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    String,
    Symbol(char),
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Token {
    fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }

    /// A string without its quotes. Escapes stay: no path of a proto file has any.
    fn string<'a>(&self, text: &'a str) -> &'a str {
        self.text(text).trim_matches(['"', '\''])
    }
}

/// Words, strings and symbols; white space and comments are left out.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip();
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let (kind, length) = match first {
            '"' | '\'' => (Kind::String, string_length(rest, first)),
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Kind::Word, end)
            }
            c => (Kind::Symbol(c), c.len_utf8()),
        };
        let start = self.at;
        self.at += length;
        Some(Token {
            kind,
            start,
            end: self.at,
        })
    }
}

impl Tokens<'_> {
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                0
            };
            self.at += rest.len() - trimmed.len() + comment;
            if comment == 0 {
                return;
            }
        }
    }
}

/// Up to and with the closing quote; an unclosed string ends with its line.
fn string_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn imports(text: &str) -> Vec<(String, usize, usize)> {
        head(text)
            .imports
            .into_iter()
            .map(|import| (import.name, import.at.line, import.at.column))
            .collect()
    }

    #[test]
    fn finds_imports_and_their_places() {
        let text = r#"// import "no.proto";
syntax = "proto3"; /* import "no.proto"; */
import "a/b.proto";
é; import public 'c.proto';
import weak
  "d.proto";
option x = "import \"no.proto\";";
message M { string s = 1; }
import "e.proto";"#;
        assert_eq!(
            imports(text),
            [
                ("a/b.proto".to_owned(), 3, 8),
                ("c.proto".to_owned(), 4, 18),
                ("d.proto".to_owned(), 6, 3),
                ("e.proto".to_owned(), 9, 8),
            ]
        );
    }

    #[test]
    fn finds_the_edition() {
        let edition = |text| {
            head(text)
                .edition
                .map(|edition| (edition.name, edition.at.line))
        };
        assert_eq!(
            edition("\u{feff}/* c */\nedition = \"2023\";"),
            Some(("2023".into(), 2))
        );
        assert_eq!(edition("syntax = \"proto3\";"), None);
        assert_eq!(edition("// edition = \"2023\";"), None);
        assert_eq!(edition("message M { string edition = 1; }"), None);
    }

    proptest! {
        #[test]
        fn reads_anything(text in r#"([a-z"'/*;{}=\\\n é]|import|//|/\*){0,60}"#) {
            head(&text);
        }
    }
}
