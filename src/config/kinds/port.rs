use serde::Serialize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::decode::{Cx, Node, Shape, record};

/// `http = 8080` or `http = { container = 80, host = 8080 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Port {
    pub container: u16,
    /// The wanted host port; another is taken, and remembered, when it is not free.
    pub host: u16,
}

record! {
    /// A port with another number on the host.
    #[derive(Debug, Clone)]
    pub struct PortPair {
        /// Port in the container.
        pub container: u16,
        /// The wanted host port; the container's when absent. Another is taken, and remembered, when it is not free.
        pub host: u16 => |container| container,
    }
}

impl Shape for Port {
    type Value = Port;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Port> {
        if let DeValue::Table(_) = node.get_ref() {
            let PortPair { container, host } = PortPair::decode(node, cx)?;
            return Some(Port { container, host });
        }
        let container = u16::decode(node, cx)?;
        Some(Port {
            container,
            host: container,
        })
    }

    fn encode(value: &Port) -> Json {
        let Port { container, host } = *value;
        match container == host {
            true => container.into(),
            false => PortPair::encode(&PortPair { container, host }),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [u16::schema(), PortPair::schema()] })
    }
}
