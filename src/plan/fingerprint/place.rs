//! Where a file is, and what the file system says of it.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

/// A name in a folder that is open: its path is taken apart once, not for each file in it.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    fd: BorrowedFd<'p>,
    folder: &'p Path,
    name: &'p OsStr,
}

/// What is at a place, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Folder,
    /// A pipe, a socket, a device.
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        }
    }
}

/// All that must be equal for a file to count as unchanged. The change time cannot be set back by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    pub changed: i64,
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
}

impl<'p> Place<'p> {
    pub fn in_folder(fd: BorrowedFd<'p>, folder: &'p Path, name: &'p OsStr) -> Self {
        Self { fd, folder, name }
    }

    pub fn at(path: &'p Path) -> Self {
        Self {
            fd: CWD,
            folder: Path::new(""),
            name: path.as_os_str(),
        }
    }

    pub fn path(self) -> PathBuf {
        self.folder.join(self.name)
    }

    pub fn kind(self) -> io::Result<Kind> {
        let stat = rustix::fs::statat(self.fd, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode).into())
    }

    /// Of the file that it is or leads to; `None` of what is none.
    pub fn stamp(self) -> io::Result<Option<Stamp>> {
        Ok(Stamp::of(&rustix::fs::statat(
            self.fd,
            self.name,
            AtFlags::empty(),
        )?))
    }

    /// As [`Self::stamp`], with the file. Something else that came in its place is not waited for.
    pub fn open(self) -> io::Result<Option<(File, Stamp)>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(self.fd, self.name, flags, Mode::empty())?;
        let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
        Ok(stamp.map(|stamp| (file.into(), stamp)))
    }

    /// Where a link leads, as it says.
    pub fn target(self) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.fd, self.name, Vec::new())?;
        Ok(target.into_bytes())
    }
}

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "they are of another size on other systems"
    )]
    fn of(stat: &Stat) -> Option<Self> {
        let kind = Kind::from(FileType::from_raw_mode(stat.st_mode));
        (kind == Kind::File).then(|| Self {
            size: stat.st_size as u64,
            modified: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            inode: stat.st_ino as u64,
            mode: stat.st_mode as u32,
        })
    }
}

/// Of the years 1678 to 2262; the same for all times outside of them, which the change time is not.
fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
