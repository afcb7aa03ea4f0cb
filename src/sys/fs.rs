//! Files: atomic writes and advisory locks.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Writes the whole file or nothing: a temporary file beside it, then a rename. Creates missing folders.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o644)
}

/// As [`write_atomic`], for nobody but its owner to read.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o600)
}

/// As [`write_atomic`], for everybody to run.
pub fn write_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o755)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut temp = tempfile::Builder::new()
        .prefix(".devenv-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(dir)?;
    temp.write_all(bytes)?;
    temp.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// As [`write_atomic`], but leaves the file and its mtime alone when it already holds these bytes. True when it wrote.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    write_atomic(path, bytes)?;
    Ok(true)
}

/// Lets a program that runs be written over: its path gets a copy, and who runs it keeps the old file. Does nothing when none does.
pub fn part_from_process(program: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(program) {
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
        _ => return Ok(()),
    }
    let (dir, meta) = (
        program.parent().unwrap_or(Path::new(".")),
        program.metadata()?,
    );
    let mut temp = tempfile::Builder::new()
        .prefix(".devenv-")
        .permissions(meta.permissions())
        .tempfile_in(dir)?;
    io::copy(&mut File::open(program)?, &mut temp)?;
    temp.as_file().set_modified(meta.modified()?)?;
    temp.persist(program).map_err(|error| error.error)?;
    Ok(())
}

/// The outcome of a removal: what was not there is removed as well.
pub fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// An advisory lock on a file. The kernel frees it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    pub path: PathBuf,
}

/// What an attempt to lock gave.
pub enum TryLock {
    Locked(Lock),
    /// Another process holds it; what it wrote about itself.
    Held {
        holder: String,
    },
}

impl Lock {
    /// Tries once. The holder's line is written into the file so that others can say for whom they wait.
    pub fn try_acquire(path: &Path, holder: &str) -> io::Result<TryLock> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(holder.as_bytes())?;
                Ok(TryLock::Locked(Lock {
                    file,
                    path: path.to_owned(),
                }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(TryLock::Held { holder })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// A new file that nobody has ever seen unlocked. What a file of the name held is gone.
    pub fn create(path: &Path, bytes: &[u8]) -> io::Result<Lock> {
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let mut temp = tempfile::Builder::new()
            .prefix(".devenv-")
            .tempfile_in(dir)?;
        temp.write_all(bytes)?;
        temp.as_file().try_lock()?;
        Ok(Lock {
            file: temp.persist(path).map_err(|error| error.error)?,
            path: path.to_owned(),
        })
    }

    /// Whether a process has locked this file. To ask keeps none from locking it.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        match File::open(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Blocks until the lock is free. For short critical sections on a blocking thread.
    pub fn acquire_blocking(path: &Path) -> io::Result<Lock> {
        let lock = Self::open(path)?;
        lock.file.lock()?;
        Ok(lock)
    }

    /// As [`Lock::acquire_blocking`], with others who only share it.
    pub fn share_blocking(path: &Path) -> io::Result<Lock> {
        let lock = Self::open(path)?;
        lock.file.lock_shared()?;
        Ok(lock)
    }

    fn open(path: &Path) -> io::Result<Lock> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Lock {
            file,
            path: path.to_owned(),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: removing it would let two processes lock two files of the same name.
        let _ = self.file.unlock();
    }
}

/// Whether this user may write there, or make it there.
pub fn may_write(path: &Path) -> bool {
    let existing = path.ancestors().find(|dir| dir.exists());
    existing.is_some_and(|dir| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok())
}

/// Bytes a user may still write at the nearest existing folder of this path.
pub fn free_space(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|dir| dir.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}
