//! Reads `devenv.toml` into a checked [`Config`]. Owns the file's syntax, its defaults and every error that points into it.
//!
//! A [`Config`] holds no spans: [`Source`] gives the place of a key path, also long after the file was read.

mod check;
mod decode;
mod duplicate;
pub mod duration;
mod environment;
mod error;
mod id;
mod interpolate;
mod kinds;
mod read;
mod source;
mod suggest;
mod template;

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

pub use environment::variable;
pub use error::{ConfigError, ConfigErrors, ErrorSite};
pub use id::{KeyPath, ParseStepIdError, StepId, StepKind};
pub use kinds::*;
pub use read::{load, parse, schema};
pub use source::{Place, Source};
pub use suggest::nearest;
pub use template::{Part, Template};

use decode::{HookName, Rule, Tables, TablesOf, Tolerant, record};
use read::FromReader;

/// Whether git has a hook of this name; the error says which may be meant.
pub fn hook_name(name: &str) -> Result<(), String> {
    HookName::check(name)
}

/// The file's name.
pub const FILE: &str = "devenv.toml";

record! {
    /// Everything `devenv.toml` says, checked: references exist, names are valid, needs are acyclic.
    #[derive(Debug, Clone, Serialize)]
    pub struct Config {
        /// What belongs to the project as a whole.
        pub project: Project as Tolerant<Project>,
        /// Tools that steps use, and where they are had.
        pub toolchain: BTreeMap<String, Tool> as Tables<Tool>,
        /// How images are had that no registry can serve.
        pub image: BTreeMap<String, Image> as Tables<Image>,
        /// Code generated from protobuf files.
        pub proto: BTreeMap<String, Proto> as Tables<Proto>,
        /// Postgres servers.
        pub postgres: BTreeMap<String, Postgres> as Tables<Postgres>,
        /// Containers of any image.
        pub service: BTreeMap<String, Service> as Tables<Service>,
        /// SQL migrations applied to a Postgres.
        pub migrate: BTreeMap<String, Migrate> as Tables<Migrate>,
        /// The project's own programs, built and run in containers.
        pub app: BTreeMap<String, App> as Tables<App>,
        /// Commands of the project, run on the host.
        pub task: BTreeMap<String, Task> as Tables<Task>,
        /// Requests that show that what runs answers.
        pub smoke: BTreeMap<String, Smoke> as Tables<Smoke>,
        /// What `devenv ci` does, and the files of CI services.
        pub ci: Option<Ci>,
        /// Where the project is deployed to.
        pub remote: BTreeMap<String, Remote> as Tables<Remote>,
        /// What git hooks check.
        pub hook: BTreeMap<String, Hook> as TablesOf<HookName, Hook>,
        /// Where secret values are had.
        pub secret: BTreeMap<String, Secret> as Tables<Secret>,
        /// The file it came from.
        #[serde(skip)]
        pub source: Arc<Source> as FromReader,
    }
}

#[cfg(test)]
mod tests;
