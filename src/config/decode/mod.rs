//! How a TOML value becomes a Rust value: every error of a file is collected, each with its span.
//!
//! A [`Shape`] says how one thing is written in the file: it decodes it, encodes it back and gives its JSON Schema, so the three
//! cannot drift. Tables are declared with [`record!`](record): one line per key.

mod collection;
mod fields;
pub(super) mod foreign;
mod hooks;
mod plain;
mod record;
mod rules;
pub(super) mod schema;
pub(super) mod words;

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::{Spanned, de::DeValue};

pub(super) use collection::{Keyed, Named, Paths, Tables, TablesOf, Tolerant};
pub(super) use fields::{Fields, Key, Missing};
pub(super) use hooks::HookName;
pub(super) use plain::{HttpStatus, Minutes, Scalar, Text};
pub(super) use record::{Record, record};
pub(super) use rules::*;
pub(super) use words::words;

use super::{ConfigError, ErrorSite, KeyPath, interpolate::Reference};

pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// How one thing is written in the file.
pub(super) trait Shape {
    /// What it becomes.
    type Value;

    /// `None` when it is not valid: the errors are then in `cx`.
    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value>;

    /// The value as the file would write it; null when the key would be absent.
    fn encode(value: &Self::Value) -> Json;

    /// JSON Schema of the value.
    fn schema() -> Json;

    /// What an absent key means, for shapes that may be absent.
    fn absent() -> Option<Self::Value> {
        None
    }

    /// Reads it as a key of a table.
    fn read(
        fields: &mut Fields<'_, '_, '_>,
        key: &Key,
        fallback: Option<Self::Value>,
    ) -> Option<Self::Value> {
        fields.read::<Self>(key, fallback)
    }

    /// Writes it as a key of a table.
    fn write(value: &Self::Value, key: &Key, out: &mut Map<String, Json>) {
        let json = Self::encode(value);
        if !json.is_null() {
            out.insert(key.name.into(), json);
        }
    }

    /// Adds it as a property to a table's schema.
    fn describe(key: &Key, object: &mut schema::Object) {
        let required = Self::absent().is_none() && matches!(key.missing, Missing::Error);
        object.property(key, Self::schema(), required);
    }
}

/// What decoding a file shares: the text, the environment, the place, and what was found.
pub(super) struct Cx<'a> {
    pub text: &'a str,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub path: KeyPath,
    pub errors: Vec<ConfigError>,
    /// Every mention of a step or secret, to be checked once all tables are read.
    pub references: Vec<Reference>,
}

impl<'a> Cx<'a> {
    pub fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            text,
            env,
            path: KeyPath::default(),
            errors: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Runs `f` with the path one key deeper.
    pub fn at<T>(&mut self, key: impl Into<String>, f: impl FnOnce(&mut Self) -> T) -> T {
        self.path.0.push(key.into());
        let value = f(self);
        self.path.0.pop();
        value
    }

    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut ConfigError {
        self.errors
            .push(ConfigError::new(ErrorSite::Span(span), message));
        self.errors.last_mut().expect("an error was just pushed")
    }

    /// The value has another type than the key wants. `wanted` reads after "must be".
    pub fn wrong_type(&mut self, node: &Node<'_>, wanted: &str) -> &mut ConfigError {
        let message = format!("`{}` must be {wanted}", self.path);
        let help = foreign::shape(&self.path, node);
        let error = self.error(node.span(), message);
        error.help = help;
        error.label(format!("this is {}", article(node.get_ref().type_str())))
    }
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}
