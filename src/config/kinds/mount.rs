use serde::Serialize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::decode::{Cx, Node, NotEmpty, Rule, Shape, Text, VolumeName, foreign, record};

/// `"/data" = "data"` is the named volume `data`; `"/etc/x.conf" = "./x.conf"` is a file or folder of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mount {
    /// A named volume of this worktree.
    Volume(String),
    /// A path relative to the project, or absolute.
    Bind { path: String, read_only: bool },
}

record! {
    /// A file or folder of the host.
    #[derive(Debug, Clone)]
    pub struct BindMount {
        /// Relative to the project, or absolute.
        pub path: String as Text<NotEmpty>,
        /// It cannot be written from inside.
        pub read_only: bool = false,
    }
}

impl Shape for Mount {
    type Value = Mount;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Mount> {
        if let DeValue::Table(_) = node.get_ref() {
            let BindMount { path, read_only } = BindMount::decode(node, cx)?;
            return Some(Mount::Bind { path, read_only });
        }
        let path = String::decode(node, cx)?;
        if let Some(help) = foreign::mount(&path) {
            cx.error(node.span(), format!("`{path}` is not a path"))
                .label("this has a path of the container in it")
                .help(help);
            return None;
        }
        if path.starts_with('/')
            || path
                .split('/')
                .next()
                .is_some_and(|first| first == "." || first == "..")
        {
            return Some(Mount::Bind {
                path,
                read_only: false,
            });
        }
        if let Some(inside) = path.strip_prefix('~') {
            cx.error(node.span(), format!("`{path}` is not a path"))
                .label("`~` is for shells")
                .help(format!("write \"${{env.HOME}}{inside}\""));
            return None;
        }
        if let Err(problem) = VolumeName::check(&path) {
            cx.error(
                node.span(),
                format!("`{path}` is neither a volume nor a path"),
            )
            .label(problem)
            .help(format!("for a path of the project write \"./{path}\""));
            return None;
        }
        Some(Mount::Volume(path))
    }

    fn encode(value: &Mount) -> Json {
        match value.clone() {
            Mount::Volume(name) => name.into(),
            Mount::Bind { path, read_only } => BindMount::encode(&BindMount { path, read_only }),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            {
                "type": "string",
                "description": "A named volume such as \"data\", or a path that starts with \"./\", \"../\" or \"/\".",
            },
            BindMount::schema(),
        ] })
    }
}
