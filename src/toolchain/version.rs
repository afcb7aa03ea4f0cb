//! Versions as programs print them, and the ranges they are held against. Remembers what a program said.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use semver::{Prerelease, Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::sys::fs::write_atomic;

/// The first version in a text: `go version go1.22.1 linux/amd64` → `1.22.1`, `jq-1.7` → `1.7`.
pub fn find(text: &str) -> Option<String> {
    let digit = |c: char| c.is_ascii_digit();
    let mut fallback = None;
    let words = text.split(|c: char| c.is_whitespace() || "(),;:\"'/@".contains(c));
    for word in words {
        let Some(start) = word.find(digit) else {
            continue;
        };
        let word = word[start..].trim_end_matches('.');
        let number = word
            .find(|c: char| !digit(c) && c != '.')
            .map_or(word, |end| &word[..end])
            .trim_end_matches('.');
        if number.contains('.') {
            let rest = &word[number.len()..];
            let tail =
                rest.starts_with(['-', '+']) && parse(&format!("{}{rest}", pad(number))).is_some();
            return Some(format!("{number}{}", if tail { rest } else { "" }));
        }
        if number == word {
            fallback.get_or_insert_with(|| number.to_owned());
        }
    }
    fallback
}

/// Three numbers: `1.7` → `1.7.0`; more than three are cut, leading zeros go.
fn pad(number: &str) -> String {
    let mut parts: Vec<_> = number
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" => "0",
            part => part,
        })
        .collect();
    parts.resize(3, "0");
    parts.join(".")
}

fn parse(text: &str) -> Option<Version> {
    Version::parse(text).ok()
}

/// Whether a found version is in the range. A pre-release counts as the version it leads to, unless the range names one.
pub fn in_range(found: &str, range: &VersionReq) -> bool {
    let split = found.find(['-', '+']).unwrap_or(found.len());
    let (number, rest) = found.split_at(split);
    let padded = pad(number);
    let Some(mut version) = parse(&format!("{padded}{rest}")).or_else(|| parse(&padded)) else {
        return false;
    };
    if range.matches(&version) {
        return true;
    }
    if range.comparators.iter().all(|part| part.pre.is_empty()) {
        version.pre = Prerelease::EMPTY;
    }
    range.matches(&version)
}

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

/// All that the version printed by `path` depends on. `None` when that cannot be known from files: then it is asked every time.
pub fn stamp(path: &Path, root: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let (asked, found) = (path.file_name()?.to_str()?, real.file_name()?.to_str()?);
    if found == "rustup" {
        return Some(format!("{} {}", file_stamp(&real), rustup_stamp(root)?));
    }
    // A shim chooses the program when it runs: `shims/python3`, or a link to a program of another name.
    let shim = path.parent()?.file_name() == Some(OsStr::new("shims"));
    let stem = asked.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    (!shim && found.contains(stem)).then(|| format!("{} {}", real.display(), file_stamp(&real)))
}

/// What rustup's choice of a toolchain depends on, and when each toolchain was last updated.
fn rustup_stamp(root: &Path) -> Option<String> {
    let home = match env::var_os("RUSTUP_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME")?).join(".rustup"),
    };
    let overrides = root
        .ancestors()
        .flat_map(|dir| [dir.join("rust-toolchain"), dir.join("rust-toolchain.toml")]);
    let mut updates: Vec<_> = fs::read_dir(home.join("update-hashes"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    updates.sort();
    let fixed = [home.join("settings.toml"), home.join("toolchains")];
    let stamps: Vec<_> = overrides
        .chain(fixed)
        .chain(updates)
        .map(|path| file_stamp(&path))
        .collect();
    let chosen = env::var("RUSTUP_TOOLCHAIN").unwrap_or_default();
    Some(format!("{chosen} {}", stamps.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_what_programs_print() {
        for (text, version) in [
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", "1.95.0"),
            ("go version go1.22.1 linux/amd64", "1.22.1"),
            ("jq-1.7", "1.7"),
            ("Python 3.11.7", "3.11.7"),
            ("v20.11.1\n", "20.11.1"),
            ("rustc 1.97.0-nightly (abc 2026-01-01)", "1.97.0-nightly"),
            (
                "Docker version 20.10.24+dfsg1, build 297e128",
                "20.10.24+dfsg1",
            ),
            ("less 590 (GNU regular expressions)", "590"),
            ("git version 2.39.5", "2.39.5"),
            ("tool 2024.01.05.", "2024.01.05"),
        ] {
            assert_eq!(find(text).as_deref(), Some(version), "{text}");
        }
        assert_eq!(find("usage: tool [OPTIONS]"), None);
    }

    #[test]
    fn ranges() {
        let check = |found: &str, range: &str| in_range(found, &range.parse().unwrap());
        assert!(check("1.95.0", ">=1.90"));
        assert!(!check("1.89.0", ">=1.90"));
        assert!(check("1.7", "1.7"));
        assert!(check("590", ">=500"));
        assert!(check("20.10.24+dfsg1", "20"));
        assert!(check("1.97.0-nightly", ">=1.90"));
        assert!(check("2024.01.05", ">=2024.1"));
        assert!(!check("1.97.0-beta", ">=1.97.0-rc"));
        assert!(check("1.2.3.4", "=1.2.3"));
    }

    #[test]
    fn a_changed_program_is_asked_again_and_a_shim_always() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let tool = root.join("tool");
        fs::write(&tool, "a").unwrap();
        let first = stamp(&tool, root).unwrap();
        assert_eq!(stamp(&tool, root), Some(first.clone()));
        let remembered = Remembered::of(root);
        remembered.put("tool", first.clone(), "1.2".into());
        assert_eq!(remembered.get("tool", &first).as_deref(), Some("1.2"));
        fs::remove_file(&tool).unwrap();
        fs::write(&tool, "longer").unwrap();
        let second = stamp(&tool, root).unwrap();
        assert_eq!(remembered.get("tool", &second), None);

        fs::create_dir(root.join("shims")).unwrap();
        fs::write(root.join("shims/tool"), "").unwrap();
        assert_eq!(stamp(&root.join("shims/tool"), root), None);
        std::os::unix::fs::symlink(&tool, root.join("other")).unwrap();
        assert_eq!(stamp(&root.join("other"), root), None);
        std::os::unix::fs::symlink(&tool, root.join("tool3.11")).unwrap();
        assert!(stamp(&root.join("tool3.11"), root).is_some());
    }
}
