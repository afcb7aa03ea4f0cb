//! Reads the keys of one table and remembers which it knows.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Cx, Node, Shape, foreign};
use crate::config::{ConfigError, ErrorSite, suggest};

/// A key as it is declared: its name in the file, its documentation, and what its absence means.
pub(in crate::config) struct Key {
    pub name: &'static str,
    /// Lines of the doc comment.
    pub doc: &'static [&'static str],
    pub missing: Missing,
}

pub(in crate::config) enum Missing {
    /// An error, unless the shape itself may be absent.
    Error,
    /// This value, written as in the file.
    Default(&'static str),
    /// Worked out from other keys.
    Computed,
}

impl Key {
    /// The documentation on one line.
    pub fn description(&self) -> String {
        description(self.doc)
    }
}

pub(in crate::config) fn description(doc: &[&str]) -> String {
    let lines: Vec<_> = doc.iter().map(|line| line.trim()).collect();
    lines.join(" ").trim().to_owned()
}

/// A key that cannot be written in this table.
struct Fixed {
    name: &'static str,
    /// What to say to someone who writes it.
    help: &'static str,
}

/// One table being read.
pub(in crate::config) struct Fields<'t, 'c, 'a> {
    table: &'t DeTable<'t>,
    span: Range<usize>,
    pub cx: &'c mut Cx<'a>,
    known: Vec<&'static str>,
    /// Errors about keys that are not there, unless a misspelt one is found.
    missing: Vec<(&'static str, ConfigError)>,
    /// A key that is written under another name here.
    alias: Option<(&'static str, &'static str)>,
    /// A key that cannot be written here.
    fixed: Option<Fixed>,
}

impl<'t, 'c, 'a> Fields<'t, 'c, 'a> {
    /// `None`, with an error, when the value is no table.
    pub fn open(node: &'t Node<'t>, cx: &'c mut Cx<'a>) -> Option<Self> {
        let DeValue::Table(table) = node.get_ref() else {
            cx.wrong_type(node, "a table");
            return None;
        };
        Some(Self {
            table,
            span: node.span(),
            cx,
            known: Vec::new(),
            missing: Vec::new(),
            alias: None,
            fixed: None,
        })
    }

    /// Reads the key `name` under the name `written`.
    pub fn alias(&mut self, name: &'static str, written: &'static str) {
        self.alias = Some((name, written));
    }

    /// The key cannot be written here: it reads as absent, and `help` says why.
    pub fn fix(&mut self, name: &'static str, help: &'static str) {
        self.fixed = Some(Fixed { name, help });
    }

    pub fn table_name(&self) -> String {
        self.cx.path.0.last().cloned().unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<&'t Node<'t>> {
        self.table.get(name)
    }

    pub fn read<S: Shape + ?Sized>(
        &mut self,
        key: &Key,
        fallback: Option<S::Value>,
    ) -> Option<S::Value> {
        if self
            .fixed
            .as_ref()
            .is_some_and(|fixed| fixed.name == key.name)
        {
            return S::absent();
        }
        let name = match self.alias {
            Some((name, written)) if name == key.name => written,
            _ => key.name,
        };
        self.known.push(name);
        match self.get(name) {
            Some(node) => self.cx.at(name, |cx| S::decode(node, cx)),
            None => match key.missing {
                Missing::Default(text) => default::<S>(text),
                Missing::Computed => fallback,
                Missing::Error => S::absent().or_else(|| self.missing(name, key)),
            },
        }
    }

    fn missing<T>(&mut self, name: &'static str, key: &Key) -> Option<T> {
        let (shown, message) = if self.cx.path.0.is_empty() {
            (format!("[{name}]"), format!("missing table `[{name}]`"))
        } else {
            let table = table_words(self.cx);
            (name.to_owned(), format!("missing key `{name}` in {table}"))
        };
        let mut error = ConfigError::new(ErrorSite::Span(self.span.clone()), message);
        error
            .label(format!("`{shown}` is required"))
            .help(format!("`{shown}`: {}", phrase(&key.description())));
        self.missing.push((name, error));
        None
    }

    /// Exactly one of these keys must be there. `None`, with an error, when not.
    pub fn exactly_one(&mut self, names: &[&'static str]) -> Option<&'static str> {
        let list = suggest::list(names, "or");
        let table = table_words(self.cx);
        let mut found = names
            .iter()
            .filter(|name| self.table.contains_key(**name))
            .copied();
        let first = found.next();
        if let Some(second) = found.next() {
            let span = self.key_span(second);
            self.cx
                .error(span, format!("{table} has more than one of {list}"))
                .label("keep only one");
            return None;
        }
        if first.is_none() {
            let message = format!("{table} has none of {list}");
            let mut error = ConfigError::new(ErrorSite::Span(self.span.clone()), message);
            error.label("one of them is required");
            self.missing
                .extend(names.iter().map(|name| (*name, error.clone())));
        }
        first
    }

    /// The key has no meaning beside the others.
    pub fn refuse(&mut self, name: &str, message: String) {
        if self.table.contains_key(name) {
            let span = self.key_span(name);
            self.cx.error(span, message).label("remove it");
        }
    }

    fn key_span(&self, name: &str) -> Range<usize> {
        self.table
            .get_key_value(name)
            .map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Every key that nobody asked for is an error, and so is every one that is missing.
    pub fn finish(mut self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                self.unknown(name, key.span());
            }
        }
        let mut missing: Vec<_> = self.missing.into_iter().map(|(_, error)| error).collect();
        missing.dedup();
        self.cx.errors.append(&mut missing);
    }

    fn unknown(&mut self, name: &str, span: Range<usize>) {
        let message = if self.cx.path.0.is_empty() {
            format!("unknown table `[{name}]`")
        } else {
            format!("unknown key `{name}` in {}", table_words(self.cx))
        };
        let foreign = foreign::key(&self.cx.path, name);
        let error = self.cx.error(span, message);
        if let Some(fixed) = self.fixed.as_ref().filter(|fixed| fixed.name == name) {
            error.help(fixed.help);
        } else if let Some(help) = foreign {
            error.help(help);
            // What is there under a foreign name is not missing as well.
            self.missing
                .retain(|(key, _)| !help.contains(&format!("`{key}`")));
        } else if let Some(near) = suggest::nearest(name, self.known.iter().copied()) {
            error.label(format!("did you mean `{near}`?"));
            // What is misspelt is not missing as well. Of a choice, all alternatives carry the same error.
            if let Some((_, said)) = self.missing.iter().find(|(key, _)| *key == near).cloned() {
                self.missing.retain(|(_, error)| *error != said);
            }
        } else {
            let mut known = self.known.clone();
            known.sort_unstable();
            error.help(format!("known here: {}", suggest::list(&known, "and")));
        }
    }
}

/// A sentence of the documentation, to go on after a colon.
fn phrase(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => format!("{}{}", first.to_lowercase(), chars.as_str()),
        None => String::new(),
    }
}

/// A default is written as in the file and read the same way.
fn default<S: Shape + ?Sized>(text: &str) -> Option<S::Value> {
    let node = DeValue::parse(text).expect("defaults are TOML: read by the test of the schema");
    S::decode(&node, &mut Cx::new(text, &|_| None))
}

/// The table being read, as the file writes it: `[app.hello]`, `app.hello.build`.
fn table_words(cx: &Cx<'_>) -> String {
    match cx.path.0.len() {
        1 | 2 => format!("`[{}]`", cx.path),
        _ => format!("`{}`", cx.path),
    }
}
