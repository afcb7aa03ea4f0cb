//! The digest of one file, and of many on all cores.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    num::NonZero,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use super::{Digest, FileCache, FingerprintError, Found, field, is_gone};

/// Below this many files to read, threads cost more than they save.
const FILES_PER_THREAD: usize = 32;
/// What is read at once.
const PIECE: usize = 256 << 10;

/// A file of a walk, with the digest of its content where the cache knows it.
pub(super) struct Seen {
    name: String,
    /// Of a link, the metadata of the file that it leads to.
    found: Found,
    /// Where a link leads, in place of its metadata; empty of what is none.
    link: Option<Vec<u8>>,
    content: Option<Content>,
}

/// What is known of a file's content.
enum Content {
    Known(Digest),
    /// A link to no file.
    Nothing,
}

/// A file with its digest.
pub(super) struct Digested {
    pub name: String,
    pub metadata: Metadata,
    pub digest: Digest,
}

impl Digested {
    pub fn field(&self) -> String {
        field(&self.name)
    }
}

/// The digest of a file that the cache knows. Of a link it takes more than a look.
pub(super) fn known(name: &str, metadata: &Metadata, cache: &FileCache) -> Option<Digest> {
    match metadata.is_symlink() {
        true => None,
        false => cache.get(name, metadata),
    }
}

impl Seen {
    /// Looks it up. A link counts as what it says and, where that is a file, what is in there.
    pub fn of(name: String, mut found: Found, cache: &FileCache) -> Self {
        let mut link = None;
        let mut content = None;
        if found.metadata.is_symlink() {
            // What cannot be read any more has gone.
            let target = fs::read_link(&found.path).unwrap_or_default();
            link = Some(target.as_os_str().as_bytes().to_owned());
            match fs::metadata(&found.path) {
                Ok(metadata) if metadata.is_file() => found.metadata = metadata,
                _ => content = Some(Content::Nothing),
            }
        }
        if content.is_none() {
            content = cache.get(&name, &found.metadata).map(Content::Known);
        }
        Self {
            name,
            found,
            link,
            content,
        }
    }

    fn digested(self, content: Option<&Digest>) -> Digested {
        let digest = match (&self.link, content) {
            (None, Some(digest)) => *digest,
            (None, None) => Digest::of(""),
            (Some(target), content) => {
                let mut hasher = blake3::Hasher::new();
                // With the kind in front, a link to `x` differs from a file that holds `x`.
                hasher.update(b"link\0").update(target);
                if let Some(digest) = content {
                    hasher.update(b"\0").update(digest.to_hex().as_bytes());
                }
                hasher.finalize().into()
            }
        };
        Digested {
            name: self.name,
            metadata: self.found.metadata,
            digest,
        }
    }
}

/// The digest of each file, reading those that the cache does not know. A file that vanished meanwhile is left out. Remembers what it read.
pub(super) fn digest_each(
    files: Vec<Seen>,
    cache: &FileCache,
    started: SystemTime,
) -> Result<Vec<Digested>, FingerprintError> {
    let (mut all, mut unknown) = (Vec::with_capacity(files.len()), Vec::new());
    for mut seen in files {
        match seen.content.take() {
            Some(Content::Known(digest)) => all.push(seen.digested(Some(&digest))),
            Some(Content::Nothing) => all.push(seen.digested(None)),
            None => unknown.push(seen),
        }
    }
    let read = read_all(&unknown)?;
    let learned = unknown.iter().zip(&read);
    let learned = learned.filter_map(|(seen, hash)| {
        let hash = (*hash)?;
        Some((seen.name.as_str(), &seen.found.metadata, hash.into()))
    });
    cache.insert_all(learned, started);
    for (seen, hash) in unknown.into_iter().zip(read) {
        if let Some(hash) = hash {
            let digest = hash.into();
            all.push(seen.digested(Some(&digest)));
        }
    }
    Ok(all)
}

/// A file's content as its digest has it; `None` when it has gone.
type Hashes = Vec<Option<blake3::Hash>>;

/// In the order of the files, on as many threads as there are cores.
fn read_all(files: &[Seen]) -> Result<Hashes, FingerprintError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(files.len() / FILES_PER_THREAD).max(1);
    if threads == 1 {
        let mut piece = Vec::new();
        return files.iter().map(|seen| seen.read(&mut piece)).collect();
    }
    let next = AtomicUsize::new(0);
    let parts: Vec<_> = files.chunks(FILES_PER_THREAD).collect();
    let work = || {
        let (mut done, mut piece) = (Vec::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(number) else {
                return Ok(done);
            };
            let hashes = part.iter().map(|seen| seen.read(&mut piece));
            done.push((number, hashes.collect::<Result<Hashes, _>>()?));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let done: Result<Vec<_>, FingerprintError> =
                worker.join().expect("reading files does not panic");
            all.extend(done?);
        }
        Ok::<_, FingerprintError>(all)
    })?;
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().flat_map(|(_, hashes)| hashes).collect())
}

impl Seen {
    fn read(&self, piece: &mut Vec<u8>) -> Result<Option<blake3::Hash>, FingerprintError> {
        match hash(&self.found.path, &self.found.metadata, piece) {
            Ok(hash) => Ok(Some(hash)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(FingerprintError::Read {
                path: self.found.path.clone(),
                source,
            }),
        }
    }
}

/// As [`content_hasher`] has it. A small file is hashed in one go, kind and content, which is what blake3 is fast at.
fn hash(path: &Path, metadata: &Metadata, piece: &mut Vec<u8>) -> io::Result<blake3::Hash> {
    let kind = kind(metadata.permissions().mode());
    // One more than it should hold shows the end with the first read.
    let size = usize::try_from(metadata.len()).map_or(PIECE, |size| size.saturating_add(1));
    let size = size.saturating_add(kind.len()).min(PIECE);
    if piece.len() < size {
        piece.resize(size.next_power_of_two().min(PIECE), 0);
    }
    piece[..kind.len()].copy_from_slice(kind);
    let mut file = File::open(path)?;
    let mut filled = kind.len();
    let mut hasher = None;
    loop {
        let read = match file.read(&mut piece[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let content = &piece[..filled + read];
        // A regular file gives less than was asked for only at its end.
        let is_end = content.len() < piece.len();
        match hasher.as_mut() {
            None if is_end => return Ok(blake3::hash(content)),
            None => {
                hasher.insert(blake3::Hasher::new()).update(content);
            }
            Some(hasher) => {
                hasher.update(content);
            }
        }
        if let (true, Some(hasher)) = (is_end, &hasher) {
            return Ok(hasher.finalize());
        }
        filled = 0;
    }
}

/// What a file's content is added to, to get its digest.
pub fn content_hasher(mode: u32) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind(mode));
    hasher
}

fn kind(mode: u32) -> &'static [u8] {
    match mode & 0o100 {
        0 => b"file\0",
        _ => b"exec\0",
    }
}
