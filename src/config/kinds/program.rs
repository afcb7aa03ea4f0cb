use serde::Serialize;

use crate::config::{
    Template,
    decode::{NotEmpty, Text, record},
};

record! {
    /// What runs where there is no container engine: `process = { command = ["redis-server", "--port", "${service.cache.port}"] }`
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Program {
        /// The program and its arguments. It runs in the project's folder and has to listen on `${….listen}`.
        pub command: Vec<Template>,
        /// The `[toolchain.X]` that brings the program; it is found on PATH when absent.
        pub tool: Option<String> as Option<Text<NotEmpty>>,
    }
}
