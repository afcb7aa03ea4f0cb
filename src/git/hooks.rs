//! Where git looks for hooks.

use std::path::{Path, PathBuf};

use super::{GitError, Repository, ask::Ask};

impl Repository {
    /// `core.hooksPath`, else the repository's own. Links resolved, as far as it is there.
    pub async fn hooks_dir(&self) -> Result<PathBuf, GitError> {
        let ask = Ask::as_configured(self, &["config", "--type=path", "--get", "core.hooksPath"]);
        let path = match ask.value().await? {
            Some(path) if !path.is_empty() => {
                // Relative to where hooks are run.
                self.top.as_ref().unwrap_or(&self.git_dir).join(path)
            }
            Some(_) | None => return Ok(self.own_hooks_dir()),
        };
        Ok(resolved(&path))
    }

    /// Where they are when nothing else is configured.
    pub fn own_hooks_dir(&self) -> PathBuf {
        resolved(&self.common_dir.join("hooks"))
    }
}

fn resolved(path: &Path) -> PathBuf {
    let existing = path
        .ancestors()
        .find_map(|dir| Some((dir, dir.canonicalize().ok()?)));
    match existing {
        Some((dir, real)) => match path.strip_prefix(dir) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => real,
        },
        None => path.to_owned(),
    }
}
