use std::fmt;

use serde::Serialize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::{
    decode::{Cx, Node, Shape},
    interpolate,
};

/// A string is run by `sh -c`; an array is run as it stands. `${env.NAME}` is replaced; other references are refused, they belong into `env`;
/// all else is the shell's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Command {
    Shell(String),
    Argv(Vec<String>),
}

impl Command {
    /// The argument vector to spawn.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Command::Shell(script) => vec!["sh".into(), "-c".into(), script.clone()],
            Command::Argv(argv) => argv.clone(),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Shell(script) => f.write_str(script),
            Command::Argv(argv) => f.write_str(&argv.join(" ")),
        }
    }
}

impl Shape for Command {
    type Value = Command;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Command> {
        let command = match node.get_ref() {
            DeValue::String(_) => Command::Shell(Word::decode(node, cx)?),
            DeValue::Array(_) => Command::Argv(Vec::<Word>::decode(node, cx)?),
            _ => {
                cx.wrong_type(node, "a string or an array of strings");
                return None;
            }
        };
        let first = match &command {
            Command::Shell(script) => Some(script),
            Command::Argv(argv) => argv.first(),
        };
        if first.is_none_or(|word| word.trim().is_empty()) {
            cx.error(node.span(), format!("`{}` is empty", cx.path))
                .label("expected a command");
            return None;
        }
        Some(command)
    }

    fn encode(value: &Command) -> Json {
        match value {
            Command::Shell(script) => Word::encode(script),
            Command::Argv(argv) => argv.iter().map(Word::encode).collect(),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string", "description": "Run by `sh -c`. `${env.NAME}` is replaced; put other references into `env`, and write `$NAME` here." },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "description": "Run as it stands." },
        ] })
    }
}

/// A string that may be a shell's.
struct Word;

impl Shape for Word {
    type Value = String;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<String> {
        let DeValue::String(text) = node.get_ref() else {
            cx.wrong_type(node, "a string");
            return None;
        };
        interpolate::script(text, node.span(), cx)
    }

    fn encode(value: &String) -> Json {
        interpolate::escape_script(value).into()
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}
