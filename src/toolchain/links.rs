//! `.devenv/bin`: one folder of links to the tools' executables, first on PATH. No shims: a link costs nothing when it is run.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{ToolchainError, store::failed};

const TEMP: &str = ".tmp-";

pub struct Links {
    dir: PathBuf,
}

impl Links {
    pub fn of(root: &Path) -> Self {
        Self {
            dir: root.join(".devenv").join("bin"),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lock under which the folder is rewritten.
    pub fn guard(&self) -> PathBuf {
        self.dir.with_extension("lock")
    }

    /// Whether the name, looked up with the folder first, gives this path.
    pub fn leads_to(&self, name: &str, path: &Path, rest: &OsStr) -> bool {
        match fs::read_link(self.dir.join(name)) {
            Ok(target) => target == path,
            Err(_) => first_on_path(name, rest).as_deref() == Some(path),
        }
    }

    /// Makes the folder hold exactly these links. Each is replaced by a rename, so a name never stops working.
    pub fn write(&self, wanted: &BTreeMap<String, PathBuf>) -> Result<(), ToolchainError> {
        if wanted.is_empty() && !self.dir.exists() {
            return Ok(());
        }
        let failed = |source| failed(&self.dir, source);
        fs::create_dir_all(&self.dir).map_err(failed)?;
        for (name, path) in wanted {
            let link = self.dir.join(name);
            if fs::read_link(&link).is_ok_and(|old| old == *path) {
                continue;
            }
            let temp = self.dir.join(format!("{TEMP}{name}"));
            // Left by a killed run: we hold the lock, so nobody uses it.
            let _ = fs::remove_file(&temp);
            symlink(path, &temp).map_err(failed)?;
            fs::rename(&temp, &link).map_err(failed)?;
        }
        for entry in fs::read_dir(&self.dir).map_err(failed)?.flatten() {
            let stale = !entry
                .file_name()
                .to_str()
                .is_some_and(|name| wanted.contains_key(name));
            if stale {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The first executable of the name on a PATH.
pub fn first_on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    let dirs: Vec<_> = env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .collect();
    which::which_in(name, env::join_paths(dirs).ok(), "/").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_exactly_what_is_wanted() {
        let root = tempfile::tempdir().unwrap();
        let links = Links::of(root.path());
        let target = |name: &str| ("t".to_owned(), PathBuf::from(name));
        links
            .write(&[target("/a"), ("old".into(), "/x".into())].into())
            .unwrap();
        fs::write(links.dir().join(".tmp-t"), "left by a kill").unwrap();
        links.write(&[target("/b")].into()).unwrap();
        let names: Vec<_> = fs::read_dir(links.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["t"]);
        assert!(links.leads_to("t", Path::new("/b"), OsStr::new("")));
        assert!(!links.leads_to("t", Path::new("/a"), OsStr::new("")));
    }
}
