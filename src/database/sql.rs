//! Splits SQL text into statements, as the server's own lexer would: quotes, dollar quotes, nested comments, function bodies.
//!
//! Pure. Knows no grammar beyond what is needed to tell where a statement ends and what its first words are.
//! Source: PostgreSQL documentation, "Lexical Structure"; `BEGIN ATOMIC` bodies as psql tracks them.

use std::ops::Range;

/// One statement without its semicolon, without comments before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub span: Range<usize>,
    /// Its first unquoted words, in lower case.
    words: Vec<String>,
    copies_stdin: bool,
}

/// What a statement does to the transaction it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Begin,
    End,
}

/// The text, cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub statements: Vec<Statement>,
    /// `--` comments, without their line end.
    pub comments: Vec<Range<usize>>,
}

/// Why text cannot be cut, and at which byte the trouble starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SplitError {
    pub what: &'static str,
    pub at: usize,
}

const WORDS: usize = 4;

impl Statement {
    pub fn control(&self) -> Option<Control> {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["rollback", "to", ..] | ["rollback", _, "to", ..] => None,
            ["begin", ..] | ["start", "transaction", ..] => Some(Control::Begin),
            ["commit" | "end" | "rollback" | "abort", ..] | ["prepare", "transaction", ..] => {
                Some(Control::End)
            }
            _ => None,
        }
    }

    /// `CREATE [UNIQUE] INDEX CONCURRENTLY`: what it began outlives its failure.
    pub fn builds_index_concurrently(&self) -> bool {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "index", "concurrently", ..]
                | ["create", "unique", "index", "concurrently", ..]
        )
    }

    /// `COPY … FROM STDIN`: its data would follow in the file, which is no SQL.
    pub fn copies_stdin(&self) -> bool {
        self.copies_stdin
    }
}

/// Cuts the text at its semicolons. Empty statements are dropped; behind a `COPY … FROM STDIN` nothing is read.
pub fn split(text: &str) -> Result<Split, SplitError> {
    Lexer::new(text).run()
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: Split,
    start: Option<usize>,
    /// End of the last token: what is trimmed off is comments and space.
    end: usize,
    words: Vec<String>,
    last_word: String,
    copies_stdin: bool,
    parens: usize,
    /// Depth of `BEGIN ATOMIC … END` in a function's body.
    bodies: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            out: Split::default(),
            start: None,
            end: 0,
            words: Vec::new(),
            last_word: String::new(),
            copies_stdin: false,
            parens: 0,
            bodies: 0,
        }
    }

    fn run(mut self) -> Result<Split, SplitError> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment()?,
                b';' if self.parens == 0 && self.bodies == 0 => {
                    let data_follows = self.copies_stdin;
                    self.finish();
                    if data_follows {
                        break;
                    }
                    self.at += 1;
                }
                _ => self.token(byte)?,
            }
        }
        self.finish();
        Ok(self.out)
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn token(&mut self, byte: u8) -> Result<(), SplitError> {
        self.start.get_or_insert(self.at);
        match byte {
            b'\'' => self.string(Escapes::None)?,
            b'"' => self.quoted_name()?,
            b'$' => self.dollar()?,
            b'\\' => return Err(self.error("a psql command, which is no SQL", self.at)),
            b'(' => {
                self.parens += 1;
                self.at += 1;
            }
            b')' => {
                self.parens = self.parens.saturating_sub(1);
                self.at += 1;
            }
            b'0'..=b'9' => self.skip_name(),
            _ if is_name_start(byte) => self.word()?,
            _ => self.at += 1,
        }
        self.end = self.at;
        Ok(())
    }

    fn finish(&mut self) {
        let words = std::mem::take(&mut self.words);
        self.last_word.clear();
        let copies_stdin = std::mem::take(&mut self.copies_stdin);
        (self.parens, self.bodies) = (0, 0);
        if let Some(start) = self.start.take() {
            self.out.statements.push(Statement {
                span: start..self.end,
                words,
                copies_stdin,
            });
        }
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(|b| b != b'\n' && b != b'\r') {
            self.at += 1;
        }
        self.out.comments.push(start..self.at);
    }

    fn block_comment(&mut self) -> Result<(), SplitError> {
        let start = self.at;
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.error("a comment that is never closed", start)),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// At the opening quote.
    fn string(&mut self, escapes: Escapes) -> Result<(), SplitError> {
        let start = self.at;
        loop {
            self.at += 1;
            loop {
                match self.peek(0) {
                    None => return Err(self.error("a string that is never closed", start)),
                    Some(b'\\') if escapes == Escapes::Backslash => self.at += 2,
                    Some(b'\'') if self.peek(1) == Some(b'\'') => self.at += 2,
                    Some(b'\'') => break,
                    Some(_) => self.at += 1,
                }
            }
            self.at += 1;
            // A string may go on after a line break, with the same rules for backslashes.
            match self.continuation() {
                Some(quote) => self.at = quote,
                None => return Ok(()),
            }
        }
    }

    /// Where the quote of a continued string stands: after space with a line break, and comments.
    fn continuation(&self) -> Option<usize> {
        let mut at = self.at;
        let mut broken = false;
        loop {
            match self.bytes.get(at)? {
                b'\n' | b'\r' => (broken, at) = (true, at + 1),
                b' ' | b'\t' | 0x0b | 0x0c => at += 1,
                b'-' if self.bytes.get(at + 1) == Some(&b'-') => {
                    at += self.bytes[at..].iter().position(|b| *b == b'\n')?;
                }
                b'\'' if broken => return Some(at),
                _ => return None,
            }
        }
    }

    fn quoted_name(&mut self) -> Result<(), SplitError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek(0) {
                None => return Err(self.error("a quoted name that is never closed", start)),
                Some(b'"') if self.peek(1) == Some(b'"') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.last_word.clear();
        Ok(())
    }

    /// `$tag$ … $tag$`, or a lone `$` such as that of `$1`.
    fn dollar(&mut self) -> Result<(), SplitError> {
        let start = self.at;
        let mut end = self.at + 1;
        while self
            .bytes
            .get(end)
            .is_some_and(|b| is_name_start(*b) || (b.is_ascii_digit() && end > start + 1))
        {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            self.at += 1;
            return Ok(());
        }
        let tag = &self.text[start..=end];
        match self.text[end + 1..].find(tag) {
            Some(length) => {
                self.at = end + 1 + length + tag.len();
                Ok(())
            }
            None => Err(self.error("a dollar-quoted string that is never closed", start)),
        }
    }

    fn skip_name(&mut self) {
        while self
            .peek(0)
            .is_some_and(|b| is_name_start(b) || b.is_ascii_digit() || b == b'$')
        {
            self.at += 1;
        }
    }

    fn word(&mut self) -> Result<(), SplitError> {
        let start = self.at;
        self.skip_name();
        let word = self.text[start..self.at].to_lowercase();
        if self.peek(0) == Some(b'\'') && word == "e" {
            return self.string(Escapes::Backslash);
        }
        self.track_body(&word);
        let copies = self.words.first().is_some_and(|first| first == "copy");
        if copies && word == "stdin" && self.last_word == "from" {
            self.copies_stdin = true;
        }
        if self.words.len() < WORDS {
            self.words.push(word.clone());
        }
        self.last_word = word;
        Ok(())
    }

    fn track_body(&mut self, word: &str) {
        if self.parens > 0 || !self.creates_routine() {
            return;
        }
        match word {
            "atomic" if self.last_word == "begin" => self.bodies += 1,
            // CASE ends with END as well.
            "case" if self.bodies > 0 => self.bodies += 1,
            "end" => self.bodies = self.bodies.saturating_sub(1),
            _ => {}
        }
    }

    fn creates_routine(&self) -> bool {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }

    fn error(&self, what: &'static str, at: usize) -> SplitError {
        SplitError { what, at }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    Backslash,
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests;
