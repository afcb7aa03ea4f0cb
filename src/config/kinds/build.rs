use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::Command;
use crate::config::{
    Template,
    decode::{
        Cx, EnvName, Fields, Glob, ImageRef, InsidePath, Keyed, Node, NotEmpty, Paths, Record,
        Shape, Text, record, schema::Object,
    },
};

/// How the image of an app is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Build {
    /// A program built on the host and laid on a base image.
    Host(HostBuild),
    /// An image built by the engine.
    Dockerfile(Dockerfile),
}

record! {
    /// `build = { run = "cargo build --release", artifact = "target/release/hello", base = "debian:bookworm-slim" }`
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct HostBuild {
        /// The build command, run on the host.
        pub run: Command,
        /// The built executable, relative to the project.
        pub artifact: String as Text<InsidePath>,
        /// Base image reference.
        pub base: String as Text<ImageRef>,
        /// Globs of the files the build reads; all files git does not ignore when absent.
        pub inputs: Vec<String> as Vec<Text<Glob>>,
        /// Environment of the build command.
        pub env: BTreeMap<String, Template> as Keyed<EnvName, Template>,
        /// Extra files laid into the image: path in the image → path in the project.
        pub files: BTreeMap<String, String> as Paths<Text<InsidePath>>,
        /// User the image runs as.
        pub user: String as Text<NotEmpty> = "65532:65532",
    }
}

record! {
    /// `dockerfile = "Dockerfile"` or `{ path, context, target, args }`.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Dockerfile {
        /// The Dockerfile, relative to the project.
        pub path: String as Text<InsidePath> = "Dockerfile",
        /// Build context, relative to the project. Of it `.dockerignore` leaves files out; `.git` is, unless a line `!.git` there takes it back.
        pub context: String as Text<NotEmpty> = ".",
        /// Stage to build; the last when absent.
        pub target: Option<String>,
        /// Build arguments. They can be read in the image's history: no place for a secret.
        pub args: BTreeMap<String, Template>,
    }
}

/// `"Dockerfile"` for its path alone, or the table.
pub(super) struct PathOrDockerfile;

impl Shape for PathOrDockerfile {
    type Value = Dockerfile;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Dockerfile> {
        let DeValue::String(_) = node.get_ref() else {
            return Dockerfile::decode(node, cx);
        };
        Some(Dockerfile {
            path: Text::<InsidePath>::decode(node, cx)?,
            context: ".".into(),
            target: None,
            args: BTreeMap::new(),
        })
    }

    fn encode(value: &Dockerfile) -> Json {
        Dockerfile::encode(value)
    }

    fn schema() -> Json {
        json!({ "anyOf": [Text::<InsidePath>::schema(), Dockerfile::schema()] })
    }
}

/// The Dockerfile's keys written right into `build`, its path as `dockerfile`.
const PATH_KEY: (&str, &str) = ("path", "dockerfile");

impl Shape for Build {
    type Value = Build;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Build> {
        let mut fields = Fields::open(node, cx)?;
        let build = match fields.get(PATH_KEY.1).map(Node::get_ref) {
            None => HostBuild::read_keys(&mut fields).map(Build::Host),
            Some(DeValue::Table(_)) => WithDockerfile::read_keys(&mut fields)
                .map(|build| Build::Dockerfile(build.dockerfile)),
            Some(_) => {
                fields.alias(PATH_KEY.0, PATH_KEY.1);
                Dockerfile::read_keys(&mut fields).map(Build::Dockerfile)
            }
        };
        fields.finish();
        build
    }

    fn encode(value: &Build) -> Json {
        match value {
            Build::Host(host) => HostBuild::encode(host),
            Build::Dockerfile(dockerfile) => {
                let mut keys = Map::new();
                keys.insert(PATH_KEY.1.into(), Dockerfile::encode(dockerfile));
                Json::Object(keys)
            }
        }
    }

    fn schema() -> Json {
        let mut inline = Object::new(Dockerfile::DOC);
        Dockerfile::describe_keys(&mut inline);
        inline.rename(PATH_KEY.0, PATH_KEY.1);
        json!({ "anyOf": [HostBuild::schema(), inline.into_json(), WithDockerfile::schema()] })
    }
}

record! {
    /// The Dockerfile's keys in a table of their own.
    #[derive(Debug, Clone)]
    pub struct WithDockerfile {
        /// The Dockerfile and how to build it.
        pub dockerfile: Dockerfile,
    }
}
