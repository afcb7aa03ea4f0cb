//! What programs said when asked, so that they are not asked again: a cache under `.devenv/`, and when what is in it still holds.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::fs::write_atomic;

/// What programs said when asked for their version: a cache, keyed by all that could change the answer.
pub struct Remembered {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    stamp: String,
    version: String,
}

type Entries = BTreeMap<String, Entry>;

impl Remembered {
    pub fn of(root: &Path) -> Self {
        Self {
            path: root.join(".devenv/cache/versions.json"),
        }
    }

    pub fn get(&self, key: &str, stamp: &str) -> Option<String> {
        let entry = self.read().remove(key)?;
        (entry.stamp == stamp).then_some(entry.version)
    }

    /// Best effort: without it the program is asked again.
    pub fn put(&self, key: &str, stamp: String, version: String) {
        let mut entries = self.read();
        entries.insert(key.to_owned(), Entry { stamp, version });
        // `plan` may be the first to write into `.devenv/`, which must stay out of commits.
        if let Some(dir) = self.path.ancestors().nth(2)
            && !dir.join(".gitignore").exists()
        {
            let _ = write_atomic(&dir.join(".gitignore"), b"*\n");
        }
        if let Ok(bytes) = serde_json::to_vec(&entries) {
            let _ = write_atomic(&self.path, &bytes);
        }
    }

    fn read(&self) -> Entries {
        fs::read(&self.path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}

/// Size, mtime and inode of a file, links followed.
pub fn file_stamp(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(meta) => format!(
            "{}:{}.{}:{}",
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ino()
        ),
        Err(_) => "absent".into(),
    }
}

/// All that the version printed by `path` depends on. `None` when that cannot be known from the file: then it is asked every time.
pub fn program_stamp(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let (asked, found) = (path.file_name()?.to_str()?, real.file_name()?.to_str()?);
    // A shim chooses the program when it runs: `shims/python3`, or a link to a program of another name.
    let shim = path.parent()?.file_name() == Some(OsStr::new("shims"));
    let stem = asked.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    (!shim && found.contains(stem)).then(|| format!("{} {}", real.display(), file_stamp(&real)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_program_is_asked_again_and_a_shim_always() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let tool = root.join("tool");
        fs::write(&tool, "a").unwrap();
        let first = program_stamp(&tool).unwrap();
        assert_eq!(program_stamp(&tool), Some(first.clone()));
        let remembered = Remembered::of(root);
        remembered.put("tool", first.clone(), "1.2".into());
        assert_eq!(remembered.get("tool", &first).as_deref(), Some("1.2"));
        fs::remove_file(&tool).unwrap();
        fs::write(&tool, "longer").unwrap();
        let second = program_stamp(&tool).unwrap();
        assert_eq!(remembered.get("tool", &second), None);

        fs::create_dir(root.join("shims")).unwrap();
        fs::write(root.join("shims/tool"), "").unwrap();
        assert_eq!(program_stamp(&root.join("shims/tool")), None);
        std::os::unix::fs::symlink(&tool, root.join("other")).unwrap();
        assert_eq!(program_stamp(&root.join("other")), None);
        std::os::unix::fs::symlink(&tool, root.join("tool3.11")).unwrap();
        assert!(program_stamp(&root.join("tool3.11")).is_some());
    }
}
