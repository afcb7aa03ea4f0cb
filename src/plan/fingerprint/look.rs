//! The digest of one file, read only where the cache does not know it.

use std::{fs::File, io};

use rustix::buffer::spare_capacity;

use super::{
    Digest, FileCache, FingerprintError,
    cache::Entry,
    is_gone,
    place::{Kind, Place, Stamp},
};

/// What is read at once.
const PIECE: usize = 256 << 10;
/// Below this many files to look at, threads cost more than they save.
pub(super) const FILES_PER_THREAD: usize = 32;

/// What a look at a file or link told.
pub(super) struct Look {
    /// Of content and executable bit; of a link, of what it says and, where that is a file, what is in there.
    pub digest: Digest,
    /// Of the file that it is or leads to; `None` of a link to no file.
    pub stamp: Option<Stamp>,
    /// What the cache did not know of that file.
    pub learned: Option<Box<Entry>>,
}

/// Looks at what has this name in the cache. `None` when it has gone, or become something else meanwhile.
pub(super) fn look(
    name: &str,
    place: Place<'_>,
    kind: Kind,
    cache: &FileCache,
) -> Result<Option<Look>, FingerprintError> {
    let look = match kind {
        Kind::File => file(name, place, cache),
        Kind::Link => link(name, place, cache),
        Kind::Folder | Kind::Other => Ok(None),
    };
    match look {
        Err(error) if is_gone(&error) => Ok(None),
        look => look.map_err(|source| FingerprintError::Read {
            path: place.path(),
            source,
        }),
    }
}

fn file(name: &str, place: Place<'_>, cache: &FileCache) -> io::Result<Option<Look>> {
    if let Some(known) = cache.get(name) {
        let stamp = place.stamp()?;
        if stamp.is_none_or(|stamp| stamp == known.stamp) {
            return Ok(stamp.map(|_| Look {
                digest: known.digest,
                stamp,
                learned: None,
            }));
        }
    }
    let Some((file, stamp)) = place.open()? else {
        return Ok(None);
    };
    let digest = hash(&file, stamp)?;
    Ok(Some(Look {
        digest,
        stamp: Some(stamp),
        learned: Some(Box::new(Entry { stamp, digest })),
    }))
}

/// With the kind in front, a link to `x` differs from a file that holds `x`.
fn link(name: &str, place: Place<'_>, cache: &FileCache) -> io::Result<Option<Look>> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"link\0").update(&place.target()?);
    // It may lead to nothing, to a pipe, in a circle.
    let content = match place.stamp() {
        Ok(Some(_)) => file(name, place, cache)?,
        Ok(None) | Err(_) => None,
    };
    if let Some(content) = &content {
        let digest = content.digest.to_hex();
        hasher.update(b"\0").update(digest.as_bytes());
    }
    Ok(Some(Look {
        digest: hasher.finalize().into(),
        stamp: content.as_ref().and_then(|content| content.stamp),
        learned: content.and_then(|content| content.learned),
    }))
}

/// As [`content_hasher`] has it. A small file is read and hashed in one go, kind and content, which is what blake3 is fast at.
fn hash(file: &File, stamp: Stamp) -> io::Result<Digest> {
    let kind = kind(stamp.mode);
    // One more than it should hold shows the end with the first read.
    let size = usize::try_from(stamp.size).map_or(PIECE, |size| size.saturating_add(1));
    let mut piece = Vec::with_capacity(size.saturating_add(kind.len()).min(PIECE));
    piece.extend_from_slice(kind);
    let mut hasher = None;
    loop {
        match rustix::io::read(file, spare_capacity(&mut piece)) {
            Err(rustix::io::Errno::INTR) => continue,
            read => read?,
        };
        // A regular file gives less than was asked for only at its end.
        let is_end = piece.len() < piece.capacity();
        match hasher.as_mut() {
            None if is_end => return Ok(blake3::hash(&piece).into()),
            None => {
                hasher.insert(blake3::Hasher::new()).update(&piece);
            }
            Some(hasher) => {
                hasher.update(&piece);
            }
        }
        if let (true, Some(hasher)) = (is_end, &hasher) {
            return Ok(hasher.finalize().into());
        }
        piece.clear();
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
