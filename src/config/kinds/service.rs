use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Mount, Port, Program, Ready};
use crate::config::{
    StepId, Template,
    decode::{AbsolutePath, EnvName, ImageRef, Keyed, Named, Paths, Text, record, words},
    duration,
};

record! {
    /// `[service.X]`: any container, or any program.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Service {
        /// Image reference. `image`, `process` or both.
        pub image: Option<String> as Option<Text<ImageRef>>,
        /// The program that runs where services are plain processes.
        pub process: Option<Program>,
        /// Containers: replaces the image's entrypoint.
        pub entrypoint: Option<Vec<Template>>,
        /// Replaces the image's command; of an app also the arguments of its artifact.
        pub command: Option<Vec<Template>>,
        /// Environment variables.
        pub env: BTreeMap<String, Template> as Keyed<EnvName, Template>,
        /// Published ports, by name.
        pub ports: BTreeMap<String, Port> as Named<Port>,
        /// Containers: path in the container → mount. A process finds the folder of a volume by `${….volume.NAME}`.
        pub volumes: BTreeMap<String, Mount> as Paths<Mount>,
        /// Containers: user it runs as; the image's when absent.
        pub user: Option<String>,
        /// Containers: working directory; the image's when absent.
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

impl Service {
    /// Where a volume of this name is in the container.
    pub fn folder(&self, volume: &str) -> Option<&str> {
        let is_it = |mount: &Mount| matches!(mount, Mount::Volume(name) if name == volume);
        let found = self.volumes.iter().find(|(_, mount)| is_it(mount));
        found.map(|(target, _)| target.as_str())
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
