//! Digests of the files a step reads: content, executable bit and link target, never times or owners.
//!
//! One field per file, so a reason can name the file that changed. The price is about 100 bytes of record per file; a step that
//! reads tens of thousands of files should name fewer of them.

mod cache;
mod ignores;
mod look;
mod place;
mod select;
mod tree;
mod walk;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Digest, Input};

use cache::Entry;
pub use cache::FileCache;
pub use look::content_hasher;
use look::look;
use place::{Kind, Place};
use select::Visited;
pub use select::{Selection, select};
pub use tree::{Node, Tree, joined, link_on_the_way};
use walk::Each;

#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    #[error("`{glob}` is not a valid glob")]
    Glob {
        glob: String,
        #[source]
        source: globset::Error,
    },
    #[error("`{glob}` leads out of the project")]
    Outside { glob: String },
    #[error("cannot look for files in `{}`", path.display())]
    Walk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write `{}`", path.display())]
    SaveCache {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// `file.<path>` → digest of each file that [`select`] finds; a file named without wildcards that does not exist is [`Input::Absent`].
///
/// Files whose size, times and inode are those of the last time are not read again; see [`FileCache`].
pub fn fingerprint(
    root: &Path,
    globs: &[String],
    cache: &FileCache,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let started = SystemTime::now();
    let visited = select::visit(root, globs, &input_of(cache))?;
    Ok(inputs(visited, cache, started))
}

/// As [`fingerprint`], of these very files: a name is no glob, and no names are no files.
pub fn fingerprint_files(
    root: &Path,
    names: &[String],
    cache: &FileCache,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let started = SystemTime::now();
    let visited = select::exact(root, names, &input_of(cache))?;
    Ok(inputs(visited, cache, started))
}

/// A field, the file's digest, and what had to be learned for it.
type Found = (String, Digest, Option<Box<Entry>>);

fn input_of(cache: &FileCache) -> impl Fn(&str, Place<'_>, Kind) -> Each<Found> + Sync {
    |name, place, kind| {
        let look = look(name, place, kind, cache)?;
        Ok(look.map(|look| (field(name), look.digest, look.learned)))
    }
}

fn inputs(
    visited: Visited<Found>,
    cache: &FileCache,
    started: SystemTime,
) -> BTreeMap<String, Input> {
    let learned = visited.each.iter();
    let learned = learned
        .filter_map(|(field, _, learned)| Some((&field[FIELD.len()..], &**learned.as_ref()?)));
    cache.remember(learned, started);
    let found = visited.each.into_iter();
    let found = found.map(|(field, digest, _)| (field, Input::Content(digest)));
    let absent = visited.absent.iter();
    let absent = absent.map(|name| (field(name), Input::Absent));
    // They come nearly in order, of which a map is made at once.
    found.chain(absent).collect()
}

/// As [`fingerprint`], of the files right in a folder whose names end so; something else of such a name is [`Input::Absent`].
/// The folder may lie outside of the root and be ignored by git; without it there are none.
pub fn fingerprint_folder(
    root: &Path,
    folder: &str,
    end: &str,
    cache: &FileCache,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let path = root.join(folder);
    let read = |source| FingerprintError::Read {
        path: path.clone(),
        source,
    };
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(read(error)),
    };
    let (mut names, mut others) = (Vec::new(), BTreeMap::new());
    for entry in entries {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(end) {
            continue;
        }
        let name = format!("{folder}/{name}");
        let kind = entry.file_type().map_err(read)?;
        if kind.is_file() || kind.is_symlink() {
            names.push(name);
        } else {
            others.insert(field(&name), Input::Absent);
        }
    }
    let mut inputs = fingerprint_files(root, &names, cache)?;
    inputs.append(&mut others);
    Ok(inputs)
}

const FIELD: &str = "file.";

fn field(path: &str) -> String {
    [FIELD, path].concat()
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A longer file is not one that a person wrote.
const LONGEST: u64 = 4 << 20;

/// The content of a file, if it can be read. What is no file (a pipe, a device) is not opened: it may never end.
pub(super) fn read_small(path: &Path) -> Option<Vec<u8>> {
    let meta = path.metadata().ok()?;
    let is_one = meta.is_file() && meta.len() <= LONGEST;
    is_one.then(|| std::fs::read(path).ok())?
}

#[cfg(test)]
mod tests;
