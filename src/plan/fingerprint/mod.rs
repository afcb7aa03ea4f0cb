//! Digests of the files a step reads: content, executable bit and link target, never times or owners.
//!
//! One field per file, so a reason can name the file that changed. The price is about 100 bytes of record per file; a step that
//! reads tens of thousands of files should name fewer of them.

mod cache;
mod select;
mod tree;

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    num::NonZero,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use super::{Digest, Input};

pub use cache::FileCache;
pub use select::{Found, Selection, select};
pub use tree::{Node, Tree, joined, link_on_the_way};

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
        source: ignore::Error,
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

/// Below this many files to read, threads cost more than they save.
const FILES_PER_THREAD: usize = 32;

/// `file.<path>` → digest of each file that [`select`] finds; a file named without wildcards that does not exist is [`Input::Absent`].
///
/// Files whose size, times and inode are those of the last time are not read again; see [`FileCache`].
pub fn fingerprint(
    root: &Path,
    globs: &[String],
    cache: &FileCache,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let started = SystemTime::now();
    digest_all(select(root, globs)?, cache, started)
}

/// As [`fingerprint`], of these very files: a name is no glob, and no names are no files.
pub fn fingerprint_files(
    root: &Path,
    names: &[String],
    cache: &FileCache,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let started = SystemTime::now();
    digest_all(select::exact(root, names)?, cache, started)
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

fn digest_all(
    selection: Selection,
    cache: &FileCache,
    started: SystemTime,
) -> Result<BTreeMap<String, Input>, FingerprintError> {
    let absent = selection.absent.into_iter();
    let mut inputs: BTreeMap<_, _> = absent.map(|path| (field(&path), Input::Absent)).collect();
    let files = selection.files.into_iter().collect();
    let digested = digest_each(files, cache, started)?.into_iter();
    inputs.extend(digested.map(|(name, _, digest)| (field(&name), Input::Content(digest))));
    Ok(inputs)
}

/// The digest of each file, from the cache where it is known. Remembers what it read.
fn digest_each(
    files: Vec<(String, Found)>,
    cache: &FileCache,
    started: SystemTime,
) -> Result<Vec<Digested>, FingerprintError> {
    let (mut all, mut unknown) = (Vec::with_capacity(files.len()), Vec::new());
    for (name, found) in files {
        match cache.get(&name, &found.metadata) {
            Some(digest) => all.push((name, found, digest)),
            None => unknown.push((name, found)),
        }
    }
    for (name, found, digest) in digests(unknown)? {
        cache.insert(&name, &found.metadata, &digest, started);
        all.push((name, found, digest));
    }
    Ok(all)
}

fn field(path: &str) -> String {
    format!("file.{path}")
}

type Digested = (String, Found, Digest);

/// Reads the files on as many threads as there are cores. A file that vanished meanwhile is left out.
fn digests(files: Vec<(String, Found)>) -> Result<Vec<Digested>, FingerprintError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(files.len() / FILES_PER_THREAD).max(1);
    let open = Mutex::new(files);
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = open.lock().expect("no panic while the lock is held").pop();
            let Some((name, found)) = next else {
                return Ok(done);
            };
            match digest(&found.path, &found.metadata) {
                Ok(digest) => done.push((name, found, digest)),
                Err(error) if is_gone(&error) => {}
                Err(source) => {
                    return Err(FingerprintError::Read {
                        path: found.path,
                        source,
                    });
                }
            }
        }
    };
    if threads == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let done: Result<Vec<Digested>, _> =
                worker.join().expect("reading files does not panic");
            all.extend(done?);
        }
        Ok(all)
    })
}

/// Link target or content, with the kind in front, so that a link to `x` differs from a file that holds `x`.
fn digest(path: &Path, metadata: &Metadata) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    if metadata.is_symlink() {
        hasher.update(b"link\0");
        hasher.update(fs::read_link(path)?.as_os_str().as_bytes());
    } else {
        hasher = content_hasher(metadata.permissions().mode());
        hasher.update_reader(fs::File::open(path)?)?;
    }
    Ok(Digest(hasher.finalize().to_hex().to_string()))
}

/// What a file's content is added to, to get its digest.
pub fn content_hasher(mode: u32) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    let executable = mode & 0o100 != 0;
    hasher.update(if executable { b"exec\0" } else { b"file\0" });
    hasher
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
