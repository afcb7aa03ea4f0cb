//! The text of the file and where each key stands in it.

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use super::KeyPath;

/// A file's text with the byte spans of its keys and values.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// As shown to the user, relative to the project: `devenv.toml`.
    pub path: PathBuf,
    pub text: String,
    pub(super) spans: BTreeMap<KeyPath, Spans>,
}

#[derive(Debug, Clone)]
pub(super) struct Spans {
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// A place in a file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// Byte range in the text.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of a byte range of any text; what lies behind its end is at its end.
    pub fn of(text: &str, span: Range<usize>) -> Self {
        let before = &text[..text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
        }
    }
}

impl Source {
    /// Where the key stands; its nearest existing parent's place when the key itself is not in the file.
    pub fn key(&self, path: &KeyPath) -> Option<Place> {
        self.nearest(path)
            .map(|spans| self.place(spans.key.clone()))
    }

    /// Where the value of the key stands.
    pub fn value(&self, path: &KeyPath) -> Option<Place> {
        self.nearest(path)
            .map(|spans| self.place(spans.value.clone()))
    }

    /// Whether the file has this very key.
    pub(super) fn contains(&self, path: &KeyPath) -> bool {
        self.spans.contains_key(path)
    }

    /// The keys right under this one.
    pub(super) fn keys_of<'s>(&'s self, path: &KeyPath) -> impl Iterator<Item = &'s str> + use<'s> {
        let parent = path.clone();
        self.spans
            .range(path.clone()..)
            .map(|(path, _)| &path.0)
            .take_while({
                let parent = parent.clone();
                move |path| path.starts_with(&parent.0)
            })
            .filter(move |path| path.len() == parent.0.len() + 1)
            .filter_map(|path| path.last().map(String::as_str))
    }

    /// Keys below this one whose value the environment has a part in, joined by dots, and what the file says there.
    pub fn from_environment(&self, path: &KeyPath) -> BTreeMap<String, String> {
        let below = self.spans.range(path.clone()..);
        let below = below.take_while(|(key, _)| key.0.starts_with(&path.0));
        below
            .filter_map(|(key, spans)| {
                let written = self.text.get(spans.value.clone())?;
                let is_leaf = self.keys_of(key).next().is_none();
                let field = key.0[path.0.len()..].join(".");
                (is_leaf && written.contains("${env.")).then(|| (field, written.to_owned()))
            })
            .collect()
    }

    /// Line and column of a byte range.
    pub fn place(&self, span: Range<usize>) -> Place {
        Place::of(&self.text, span)
    }

    fn nearest(&self, path: &KeyPath) -> Option<&Spans> {
        let mut path = path.clone();
        loop {
            if let Some(spans) = self.spans.get(&path) {
                return Some(spans);
            }
            path = path.parent()?;
        }
    }
}
