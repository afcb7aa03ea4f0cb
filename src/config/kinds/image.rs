use std::collections::BTreeMap;

use serde::Serialize;

use super::{Dockerfile, build::PathOrDockerfile};
use crate::config::decode::{ImageRef, NotEmpty, Paths, Text, record};

record! {
    /// `[image.X]`: how an image is had that no registry can serve.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Image {
        /// The reference other tables use, such as "postgres:15".
        #[serde(rename = "ref")]
        pub reference ("ref"): String as Text<ImageRef>,
        /// Build it from Debian packages.
        pub debian: Option<Debian>,
        /// Build it from a Dockerfile.
        pub dockerfile: Option<Dockerfile> as Option<PathOrDockerfile>,
    }
}

record! {
    /// A root file system of Debian packages, made by mmdebstrap.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Debian {
        /// Suite, such as "bookworm".
        pub suite: String as Text<NotEmpty>,
        /// Packages to install beside the variant's own.
        pub packages: Vec<String>,
        /// mmdebstrap variant: "extract", "custom", "essential", "apt", "minbase", ….
        pub variant: String = "apt",
        /// Extra files: path in the image → path in the project.
        pub files: BTreeMap<String, String> as Paths<String>,
        /// User the image runs as.
        pub user: Option<String>,
        /// Working directory in the image.
        pub workdir: Option<String>,
        /// Entrypoint of the image.
        pub entrypoint: Vec<String>,
        /// Command of the image.
        pub command: Vec<String>,
        /// Environment of the image.
        pub env: BTreeMap<String, String>,
    }
}
