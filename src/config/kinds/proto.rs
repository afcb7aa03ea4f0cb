use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{
    StepId,
    decode::{Glob, InsidePath, Text, record},
};

record! {
    /// `[proto.X]`: code generated from protobuf files.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Proto {
        /// Globs of the files to compile, relative to the project.
        pub files: Vec<String> as Vec<Text<Glob>> = ["proto/**/*.proto"],
        /// Import roots, relative to the project.
        pub include: Vec<String> = ["proto"],
        /// Rust output by prost and tonic, in process.
        pub rust: Option<RustOut>,
        /// Output of `protoc-gen-*` plugins, by plugin name.
        pub plugin: BTreeMap<String, Plugin>,
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
    }
}

record! {
    /// Rust code of prost and tonic.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct RustOut {
        /// Output folder, relative to the project.
        pub out: String as Text<InsidePath>,
        /// Generate tonic clients.
        pub client: bool = true,
        /// Generate tonic servers.
        pub server: bool = true,
        /// Extern paths: protobuf path → Rust path.
        pub extern_path: BTreeMap<String, String>,
        /// Attributes put on generated types: protobuf path → attribute.
        pub type_attribute: BTreeMap<String, String>,
        /// Attributes put on generated fields: protobuf path → attribute.
        pub field_attribute: BTreeMap<String, String>,
    }
}

record! {
    /// A `protoc-gen-*` program.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Plugin {
        /// Executable; `protoc-gen-<name>` when absent.
        pub command: Option<String>,
        /// Output folder, relative to the project.
        pub out: String as Text<InsidePath>,
        /// Options, joined by commas into the request's parameter.
        pub options: Vec<String>,
    }
}
