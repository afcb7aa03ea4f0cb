//! Versions as programs print them, and the ranges they are held against.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use semver::{Prerelease, Version, VersionReq};

use crate::sys::remembered::{file_stamp, program_stamp};

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

/// All that the version printed by `path` depends on. `None` when that cannot be known from files: then it is asked every time.
pub fn stamp(path: &Path, root: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    match real.file_name()?.to_str()? {
        "rustup" => Some(format!("{} {}", file_stamp(&real), rustup_stamp(root)?)),
        _ => program_stamp(path),
    }
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
}
