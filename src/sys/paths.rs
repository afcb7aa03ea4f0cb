//! Where devenv keeps what is shared by all projects, by the XDG rules.

use std::path::PathBuf;

use etcetera::{BaseStrategy, base_strategy::Xdg};

/// Tools, by digest: `$XDG_DATA_HOME/devenv`. `None` without a home directory.
pub fn data_dir() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.data_dir().join("devenv"))
}

/// What can be made again (images, prepared data directories, downloads): `$XDG_CACHE_HOME/devenv`.
pub fn cache_dir() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.cache_dir().join("devenv"))
}
