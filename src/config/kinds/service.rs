use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Mount, Port, Ready};
use crate::config::{
    StepId, Template,
    decode::{AbsolutePath, EnvName, ImageRef, Keyed, Named, Paths, Text, record, words},
    duration,
};

record! {
    /// `[service.X]`: any container.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Service {
        /// Image reference.
        pub image: String as Text<ImageRef>,
        /// Replaces the image's entrypoint.
        pub entrypoint: Option<Vec<Template>>,
        /// Replaces the image's command.
        pub command: Option<Vec<Template>>,
        /// Environment variables.
        pub env: BTreeMap<String, Template> as Keyed<EnvName, Template>,
        /// Published ports, by name.
        pub ports: BTreeMap<String, Port> as Named<Port>,
        /// Volumes: path in the container → mount.
        pub volumes: BTreeMap<String, Mount> as Paths<Mount>,
        /// User it runs as; the image's when absent.
        pub user: Option<String>,
        /// Working directory; the image's when absent.
        pub workdir: Option<String> as Option<Text<AbsolutePath>>,
        /// Whether it comes back by itself when it exits.
        pub restart: Restart = "unless-stopped",
        /// Signal that asks it to stop; the image's when absent.
        pub stop_signal: Option<String>,
        /// How long it may take to stop before it is killed.
        #[serde(with = "duration")]
        pub stop_grace: Duration = "10s",
        /// When it counts as ready.
        pub ready: Option<Ready>,
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
    }
}

words! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Restart {
        /// Stays down when it exits. When that is right after its start, with 0 it has done what it was for.
        No = "no",
        OnFailure = "on-failure",
        /// Comes back by itself, also after a restart of the engine.
        #[default]
        UnlessStopped = "unless-stopped",
    }
}
