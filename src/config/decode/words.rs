//! Declares an enum that the file writes as one of a few words.

use serde_json::{Value as Json, json};

use super::{Cx, Node, Shape, foreign};
use crate::config::suggest;

/// `words!` writes this.
pub(in crate::config) trait Words: Copy + PartialEq + 'static {
    /// Word, its documentation, value.
    const ALL: &'static [(&'static str, Self)];

    fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, value)| *value == self);
        found.map_or("", |(word, _)| word)
    }
}

/// Reads one of the words of `W`.
pub(in crate::config) fn decode<W: Words>(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<W> {
    let text = String::decode(node, cx)?;
    let found = W::ALL.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let words: Vec<_> = W::ALL.iter().map(|(word, _)| *word).collect();
        let list = suggest::list(&words, "or");
        let message = format!("`{text}` is not a value of `{}`", cx.path);
        let foreign = foreign::word(&cx.path, &text);
        let error = cx.error(node.span(), message);
        error.help = foreign.map(str::to_owned);
        match suggest::nearest(&text, words) {
            Some(near) => error.label(format!("did you mean `{near}`?")),
            None => error.label(format!("expected {list}")),
        };
    }
    found.map(|(_, value)| *value)
}

pub(in crate::config) fn schema<W: Words>() -> Json {
    let words: Vec<_> = W::ALL.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}

macro_rules! words {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $($(#[$variant_attribute])* $variant,)*
        }

        impl $crate::config::decode::words::Words for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, $name::$variant)),*];
        }

        impl $crate::config::decode::Shape for $name {
            type Value = $name;

            fn decode(
                node: &$crate::config::decode::Node<'_>,
                cx: &mut $crate::config::decode::Cx<'_>,
            ) -> Option<$name> {
                $crate::config::decode::words::decode(node, cx)
            }

            fn encode(value: &$name) -> serde_json::Value {
                $crate::config::decode::words::Words::as_str(*value).into()
            }

            fn schema() -> serde_json::Value {
                $crate::config::decode::words::schema::<$name>()
            }
        }
    };
}

pub(in crate::config) use words;
