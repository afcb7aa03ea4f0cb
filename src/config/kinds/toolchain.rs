use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::decode::{InsidePath, Sha256, Text, record, words};

record! {
    /// `[toolchain.X]`: a tool that steps use, and where it is had.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Tool {
        /// Where the tool comes from.
        pub from: ToolSource,
        /// `system`: a semver range such as ">=1.90"; `http`, `cargo`, `pip`: the exact version; `apt`: not allowed.
        pub version: Option<String>,
        /// Name of the executable; the table's name when absent.
        pub command: Option<String>,
        /// Name in the registry (`cargo`, `pip`, `apt`); the table's name when absent.
        pub package: Option<String>,
        /// `http`: archive address with `{version}`, `{os}` and `{arch}`.
        pub url: Option<String>,
        /// `http`: expected digest per platform, such as `linux-x86_64 = "<64 hex digits>"`; the lock's is used when absent.
        pub sha256: BTreeMap<String, String> as BTreeMap<String, Text<Sha256>>,
        /// `http`: platforms to lock; the keys of `sha256`, else the four usual ones.
        pub platforms: Vec<String>,
        /// `http`: what `{os}` becomes, such as `macos = "darwin"`.
        pub os: BTreeMap<String, String>,
        /// `http`: what `{arch}` becomes, such as `x86_64 = "amd64"`.
        pub arch: BTreeMap<String, String>,
        /// `http`: executables inside the archive, relative to its root (one shared leading folder is ignored), with the same in braces as `url`.
        pub bin: Vec<String> as Vec<Text<InsidePath>>,
        /// `cargo`: features to enable.
        pub features: Vec<String>,
        /// `system`: arguments that make the tool print its version; ["--version"] when absent.
        pub version_args: Vec<String> => |from| from.default_version_args(),
    }
}

words! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ToolSource {
        /// Found on PATH, its version checked against the range.
        System = "system",
        /// An archive or a bare executable, pinned by digest.
        Http = "http",
        /// `cargo install --locked` of a crate.
        Cargo = "cargo",
        /// A Python package in a virtual environment of its own, pinned by hash.
        Pip = "pip",
        /// A Debian package of the machine.
        Apt = "apt",
    }
}

impl ToolSource {
    /// Whether devenv.lock says what it is.
    pub fn is_locked(self) -> bool {
        match self {
            ToolSource::Http | ToolSource::Cargo | ToolSource::Pip => true,
            ToolSource::System | ToolSource::Apt => false,
        }
    }

    fn default_version_args(self) -> Vec<String> {
        match self {
            ToolSource::System => vec!["--version".into()],
            ToolSource::Http | ToolSource::Cargo | ToolSource::Pip | ToolSource::Apt => Vec::new(),
        }
    }
}
