use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::config::decode::{Cx, Node, Shape, TableName, Text, record, words};

record! {
    /// `[project]`: what belongs to the project as a whole.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct Project {
        /// Name of the project: lower-case letters, digits, dashes and underscores.
        pub name: String as Text<TableName>,
        /// What keeps services running: a container engine, or plain processes of this machine.
        pub runtime: RuntimeChoice = "auto",
        /// Host ports to fall back to when a wanted one is taken, such as "20000-29999".
        pub ports: PortRange = "20000-29999",
    }
}

words! {
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum RuntimeChoice {
        /// The container engine when one answers, else processes.
        #[default]
        Auto = "auto",
        /// Containers of an engine.
        Docker = "docker",
        /// Processes of this machine.
        Process = "process",
    }
}

/// An inclusive range of host ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self {
            first: 20000,
            last: 29999,
        }
    }
}

impl PortRange {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (0 < first && first <= last).then_some(Self { first, last })
    }
}

impl Shape for PortRange {
    type Value = PortRange;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<PortRange> {
        let text = String::decode(node, cx)?;
        let range = PortRange::parse(&text);
        if range.is_none() {
            cx.error(node.span(), format!("`{text}` is not a range of ports"))
                .label("expected such as \"20000-29999\"");
        }
        range
    }

    fn encode(value: &PortRange) -> Json {
        format!("{}-{}", value.first, value.last).into()
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+-[0-9]+$" })
    }
}
