use serde::Serialize;
use serde_json::Value as Json;

use super::Command;
use crate::config::decode::{
    Cx, EnvName, Fields, Node, NotEmpty, Record, Shape, Text, record, schema::Object,
};

/// `[secret.X]`: where a secret value is had. The value is read when it is used and masked wherever it would be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    pub source: SecretSource,
}

/// Exactly one of the keys `env`, `file`, `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// An environment variable (or a line of `.env`).
    Env(String),
    /// A file, relative to the project; a trailing newline is dropped.
    File(String),
    /// The standard output of a command; a trailing newline is dropped. It is run when something starts, not to see whether it has changed: `devenv restart` takes that up.
    Command(Command),
}

const SOURCES: [&str; 3] = ["env", "file", "command"];

record! {
    /// Where a secret value is had: exactly one of the keys.
    #[derive(Debug, Clone, Default)]
    pub struct SecretKeys {
        /// An environment variable (or a line of `.env`).
        pub env: Option<String> as Option<Text<EnvName>>,
        /// A file, relative to the project; a trailing newline is dropped.
        pub file: Option<String> as Option<Text<NotEmpty>>,
        /// The standard output of a command; a trailing newline is dropped. It is run when something starts, not to see whether it has changed: `devenv restart` takes that up.
        pub command: Option<Command>,
    }
}

impl Shape for Secret {
    type Value = Secret;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Secret> {
        let mut fields = Fields::open(node, cx)?;
        let one = fields.exactly_one(&SOURCES);
        let keys = SecretKeys::read_keys(&mut fields);
        fields.finish();
        let (_, keys) = (one?, keys?);
        let source = (keys.env.map(SecretSource::Env))
            .or(keys.file.map(SecretSource::File))
            .or(keys.command.map(SecretSource::Command))?;
        Some(Secret { source })
    }

    fn encode(value: &Secret) -> Json {
        let mut keys = SecretKeys::default();
        match value.source.clone() {
            SecretSource::Env(name) => keys.env = Some(name),
            SecretSource::File(path) => keys.file = Some(path),
            SecretSource::Command(command) => keys.command = Some(command),
        }
        SecretKeys::encode(&keys)
    }

    fn schema() -> Json {
        let mut object = Object::new(SecretKeys::DOC);
        SecretKeys::describe_keys(&mut object);
        object.one_of = SOURCES.to_vec();
        object.into_json()
    }
}
