//! Where devenv keeps what is shared by all projects, by the XDG rules, and paths as they are compared.

use std::path::{Component, Path, PathBuf};

use etcetera::{BaseStrategy, base_strategy::Xdg};

/// Tools, by digest: `$XDG_DATA_HOME/devenv`. `None` without a home directory.
pub fn data_dir() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.data_dir().join("devenv"))
}

/// What can be made again (images, prepared data directories, downloads): `$XDG_CACHE_HOME/devenv`.
pub fn cache_dir() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.cache_dir().join("devenv"))
}

/// Without what means nothing: `./a//b/` is `a/b`.
pub fn plain(path: impl AsRef<Path>) -> PathBuf {
    let parts = path.as_ref().components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_holds_names_alone_and_what_leads_out_stays() {
        for (path, expected) in [("./a//b/", "a/b"), (".", ""), ("../a/./b", "../a/b")] {
            assert_eq!(plain(path), Path::new(expected), "{path}");
        }
    }
}
