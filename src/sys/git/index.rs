//! Names of the files that git tracks, read from the index: no git process.
//!
//! Source: gitformat-index(5), versions 2 to 4.

use std::{fs, path::Path};

/// Digests of the object formats, in bytes.
const SHA_1: usize = 20;
const SHA_256: usize = 32;
/// Of an entry before its digest: two times, device, inode, mode, owner, group, size.
const STAT: usize = 40;
/// An entry has another two bytes of flags.
const EXTENDED: u16 = 0x4000;
/// The length of the name, as far as it fits.
const NAME_LENGTH: u16 = 0x0fff;

/// Paths of the files in the index of this folder, relative to the worktree, sorted. Of a sparse index, a folder that is not checked out
/// ends in `/`. Files that a split index removed may be there still. Empty when there is no index, or none that can be read.
pub(super) fn names(git_dir: &Path) -> Vec<Vec<u8>> {
    let read = |name: &str| {
        let bytes = fs::read(git_dir.join(name)).ok()?;
        [SHA_1, SHA_256]
            .iter()
            .find_map(|hash| parse(&bytes, *hash))
    };
    let Some(Index { mut names, shared }) = read("index") else {
        return Vec::new();
    };
    if let Some(shared) = shared.and_then(|name| read(&name)) {
        names.extend(shared.names);
        names.sort_unstable();
    }
    names
}

struct Index {
    names: Vec<Vec<u8>>,
    /// The file that holds the rest of a split one.
    shared: Option<String>,
}

/// `None` when it is no index with digests of this length.
fn parse(bytes: &[u8], hash: usize) -> Option<Index> {
    let mut rest = bytes.strip_prefix(b"DIRC")?;
    let version = number(&mut rest)?;
    let count = number(&mut rest)?;
    // The digest of all that is before it.
    rest = rest.split_at_checked(rest.len().checked_sub(hash)?)?.0;
    let mut names: Vec<Vec<u8>> = Vec::new();
    for _ in 0..count {
        let entry = rest;
        let stat = take(&mut rest, STAT + hash)?;
        let mode = u32::from_be_bytes(*stat[24..].first_chunk()?);
        matches!(mode >> 12, 0o4 | 0o10 | 0o12 | 0o16).then_some(())?;
        let flags = u16::from_be_bytes(*take(&mut rest, 2)?.first_chunk()?);
        if flags & EXTENDED != 0 {
            take(&mut rest, 2)?;
        }
        let mut name = match version {
            2 | 3 => Vec::new(),
            4 => {
                let previous = names.last().map_or(&[][..], Vec::as_slice);
                let kept = previous.len().checked_sub(offset(&mut rest)?)?;
                previous[..kept].to_vec()
            }
            _ => return None,
        };
        let end = rest.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(take(&mut rest, end)?);
        let length = usize::from(flags & NAME_LENGTH);
        (length == name.len() || length == usize::from(NAME_LENGTH)).then_some(())?;
        match version {
            // One to eight bytes of zero, to a multiple of eight.
            2 | 3 => {
                let taken = entry.len() - rest.len();
                take(&mut rest, 8 - taken % 8)?;
            }
            _ => {
                take(&mut rest, 1)?;
            }
        }
        names.push(name);
    }
    let shared = shared(rest, hash);
    // In a split index, what stands in for an entry of the other file has no name.
    names.retain(|name| !name.is_empty());
    Some(Index { names, shared })
}

/// What the extension `link` says.
fn shared(mut rest: &[u8], hash: usize) -> Option<String> {
    while !rest.is_empty() {
        let signature = take(&mut rest, 4)?;
        let length = number(&mut rest)?;
        let content = take(&mut rest, length)?;
        if signature == b"link" {
            let digest = content.get(..hash)?.iter();
            let hex: String = digest.map(|byte| format!("{byte:02x}")).collect();
            return Some(format!("sharedindex.{hex}"));
        }
    }
    None
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let number = u32::from_be_bytes(*take(rest, 4)?.first_chunk()?);
    usize::try_from(number).ok()
}

/// Of variable length, as in a pack's deltas by offset.
fn offset(rest: &mut &[u8]) -> Option<usize> {
    let mut byte = take(rest, 1)?[0];
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = take(rest, 1)?[0];
        value = value.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
    }
    Some(value)
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::git::testing::git;

    /// In a repository with these files in its index.
    fn tracked(init: &[&str], index: &[&[&str]]) -> (tempfile::TempDir, Vec<String>) {
        let dir = tempfile::tempdir().expect("a folder");
        git(dir.path(), &[&["init", "--quiet"], init].concat());
        let long = format!("{}/x", ["folder-with-a-name"; 240].join("/"));
        let blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let blob = match init {
            [] => blob.to_owned(),
            _ => format!("{blob}{}", "0".repeat(24)),
        };
        for name in ["a", "dir/ü", "dir/sub/b", "dir/sub/bc", "tab\tname", &long] {
            let info = format!("100644,{blob},{name}");
            git(dir.path(), &["update-index", "--add", "--cacheinfo", &info]);
        }
        for args in index {
            git(dir.path(), args);
        }
        let names = names(&dir.path().join(".git"));
        let names = names
            .into_iter()
            .map(|name| String::from_utf8(name).expect("text"));
        let mut names: Vec<_> = names.collect();
        assert!(names.is_sorted(), "{names:?}");
        names.retain(|name| *name != long);
        (dir, names)
    }

    #[test]
    fn every_format_is_read() {
        let all = ["a", "dir/sub/b", "dir/sub/bc", "dir/ü", "tab\tname"];
        let version = |number| ["update-index", "--index-version", number];
        for (init, index) in [
            (&[][..], vec![&version("2")[..]]),
            (&[], vec![&version("4")]),
            (
                &[],
                vec![&version("3"), &["update-index", "--skip-worktree", "a"]],
            ),
            (&[], vec![&["update-index", "--split-index"]]),
            (&[], vec![&version("4"), &["update-index", "--split-index"]]),
            (&["--object-format=sha256"], vec![]),
            (&["--object-format=sha256"], vec![&version("4")]),
        ] {
            let (_dir, names) = tracked(init, &index);
            assert_eq!(names, all, "{init:?} {index:?}");
        }
    }

    #[test]
    fn a_damaged_index_names_nothing() {
        let (dir, _) = tracked(&[], &[]);
        let path = dir.path().join(".git/index");
        let good = fs::read(&path).expect("an index");
        for length in 0..good.len().min(600) {
            fs::write(&path, &good[..length]).expect("written");
            assert!(names(&dir.path().join(".git")).is_empty(), "{length}");
        }
        fs::remove_file(&path).expect("removed");
        assert!(names(&dir.path().join(".git")).is_empty());
    }
}
