use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

use super::Command;
use crate::config::{
    decode::{
        Cx, Fields, Node, NotEmpty, Record, Shape, TableName, Text, UrlPath, record, schema::Object,
    },
    duration,
};

/// What to do about something that needs longer to get ready than it may take.
pub const RAISE_TIMEOUT: &str = "raise `ready.timeout`";

/// When something counts as ready. Without a probe: when it has started and does not exit at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    pub probe: Option<Probe>,
    /// How long it may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// Readiness is data: evaluated in one place, whatever runs the service. Exactly one of these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// GET answers 2xx or 3xx.
    Http { path: String, port: String },
    /// A TCP connection is accepted on the named port.
    Tcp { port: String },
    /// A command in the container exits with 0.
    Exec { command: Vec<String> },
    /// A line of output contains this text.
    Log { text: String },
}

impl Probe {
    /// Its keys under `ready`, as they are written, with what they say.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        match self {
            Probe::Http { path, port } => vec![("http", path.clone()), ("port", port.clone())],
            Probe::Tcp { port } => vec![("tcp", port.clone())],
            Probe::Exec { command } => vec![("exec", command.join(" "))],
            Probe::Log { text } => vec![("log", text.clone())],
        }
    }
}

const PROBES: [&str; 4] = ["http", "tcp", "exec", "log"];

record! {
    /// When it counts as ready: exactly one of `http`, `tcp`, `exec`, `log`. Without: when it has started and does not exit at once.
    #[derive(Debug, Clone, Default)]
    pub struct ReadyKeys {
        /// Path that answers a GET with 2xx or 3xx, such as "/readyz".
        pub http: Option<String> as Option<Text<UrlPath>>,
        /// Name of the port that accepts a TCP connection.
        pub tcp: Option<String> as Option<Text<TableName>>,
        /// Command in the container that exits with 0.
        pub exec: Option<Command>,
        /// Text that a line of output contains.
        pub log: Option<String> as Option<Text<NotEmpty>>,
        /// `http`: name of the port; the one named `http`, or the only one, when absent.
        pub port: Option<String> as Option<Text<TableName>>,
        /// How long it may take.
        pub timeout: Duration = "30s",
    }
}

impl Shape for Ready {
    type Value = Ready;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Ready> {
        let mut fields = Fields::open(node, cx)?;
        let one = fields.exactly_one(&PROBES);
        if let Some(probe) = one.filter(|probe| *probe != "http") {
            fields.refuse(
                "port",
                format!("`port` belongs to `http`, not to `{probe}`"),
            );
        }
        let keys = ReadyKeys::read_keys(&mut fields);
        fields.finish();
        let (_, keys) = (one?, keys?);
        let http = keys.http.map(|path| Probe::Http {
            path,
            // Worked out by the check, which knows the ports.
            port: keys.port.unwrap_or_default(),
        });
        let exec = keys.exec.map(|command| Probe::Exec {
            command: command.argv(),
        });
        let probe = http
            .or(keys.tcp.map(|port| Probe::Tcp { port }))
            .or(exec)
            .or(keys.log.map(|text| Probe::Log { text }));
        Some(Ready {
            probe,
            timeout: keys.timeout,
        })
    }

    fn encode(value: &Ready) -> Json {
        let mut keys = ReadyKeys {
            timeout: value.timeout,
            ..ReadyKeys::default()
        };
        match value.probe.clone() {
            Some(Probe::Http { path, port }) => {
                keys.http = Some(path);
                keys.port = Some(port);
            }
            Some(Probe::Tcp { port }) => keys.tcp = Some(port),
            Some(Probe::Exec { command }) => keys.exec = Some(Command::Argv(command)),
            Some(Probe::Log { text }) => keys.log = Some(text),
            None => {}
        }
        ReadyKeys::encode(&keys)
    }

    fn schema() -> Json {
        let mut object = Object::new(ReadyKeys::DOC);
        ReadyKeys::describe_keys(&mut object);
        object.one_of = PROBES.to_vec();
        object.into_json()
    }
}
