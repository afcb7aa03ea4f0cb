//! Contents of files, each once, by the digest that a fingerprint has of the file: of its content and whether it is executable.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Results, ResultsError};
use crate::plan::{Digest, fingerprint::content_hasher};

/// A piece that is copied at once.
const PIECE: usize = 256 << 10;

impl Results {
    pub(super) fn object(&self, digest: &Digest) -> PathBuf {
        let folder = format!("{digest:.2}");
        self.dir.join("objects").join(folder).join(digest.to_hex())
    }

    /// Whether there is an object of this size. What is in it is looked at when it is used.
    pub(super) fn has(&self, digest: &Digest, size: u64) -> bool {
        let object = self.object(digest).symlink_metadata();
        object.is_ok_and(|object| object.is_file() && object.len() == size)
    }

    /// Removes it unless it is what it should be.
    pub(super) fn check(&self, digest: &Digest, mode: u32) {
        let object = self.object(digest);
        let checked = Hashed::open(&object, mode).and_then(|mut source| {
            io::copy(&mut source, &mut io::sink())?;
            Ok(source.digest() == *digest)
        });
        if !checked.unwrap_or(false) {
            let _ = fs::remove_file(&object);
        }
    }

    /// Keeps the file's content under its digest.
    pub(super) fn keep(
        &self,
        file: &Path,
        (mode, size): (u32, u64),
        digest: &Digest,
    ) -> Result<(), ResultsError> {
        let object = self.object(digest);
        if self.has(digest, size) {
            touch(&object);
            return Ok(());
        }
        let fail = |source| ResultsError::Keep {
            path: object.clone(),
            source,
        };
        let mut source = Hashed::open(file, mode).map_err(fail)?;
        let temp = copied(&object, &mut source).map_err(fail)?;
        if source.digest() != *digest {
            return Err(ResultsError::Changed {
                path: file.display().to_string(),
            });
        }
        // Another process may have written the same meanwhile.
        temp.persist(&object).map_err(|error| fail(error.error))?;
        Ok(())
    }

    /// Writes a kept content to its place. False when it is damaged; then it is removed.
    pub(super) fn copy_out(&self, digest: &Digest, mode: u32, place: &Path) -> io::Result<bool> {
        let object = self.object(digest);
        let mut source = match Hashed::open(&object, mode) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let temp = copied(place, &mut source)?;
        if source.digest() != *digest {
            let _ = fs::remove_file(&object);
            return Ok(false);
        }
        temp.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        temp.persist(place).map_err(|error| error.error)?;
        Ok(true)
    }
}

/// Writes the whole file or nothing, for nobody but its owner to read.
pub(super) fn write(path: &Path, content: &mut impl Read) -> io::Result<()> {
    copied(path, content)?
        .persist(path)
        .map_err(|error| error.error)?;
    Ok(())
}

/// What a file is called until it is whole; six letters and digits follow.
const TEMPORARY: &str = ".devenv-";

/// Whether one that was killed may have left this file.
pub fn is_temporary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let rest = name.strip_prefix(TEMPORARY);
    rest.is_some_and(|rest| {
        rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A link in the place of what is there.
pub(super) fn link(place: &Path, target: &str) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let temp = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .make_in(folder, |path| symlink(target, path))?;
    temp.persist(place).map_err(|error| error.error)?;
    Ok(())
}

/// Best effort: it only tells what was used last.
pub(super) fn touch(path: &Path) {
    if let Ok(file) = File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn copied(path: &Path, content: &mut impl Read) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temp = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = content.read(&mut piece)?;
        if read == 0 {
            return Ok(temp);
        }
        temp.write_all(&piece[..read])?;
    }
}

/// A file whose digest is known when it was read.
struct Hashed {
    file: File,
    hasher: blake3::Hasher,
}

impl Hashed {
    fn open(path: &Path, mode: u32) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            hasher: content_hasher(mode),
        })
    }

    fn digest(&self) -> Digest {
        self.hasher.finalize().into()
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
