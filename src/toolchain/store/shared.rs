//! Entries of root's store for another user's programs: root's home is closed to everybody else.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::ContentStore;
use crate::sys::{
    fs::Lock,
    user::User,
    volume::{ELSEWHERE, closed_to},
};

/// Whether the program is one of the store's, so that [`within_reach`] can do something for those who cannot come to it.
pub fn is_stored(program: &Path) -> bool {
    entry_of(program).is_some()
}

/// Where the user has this file or folder of the store: there, else in a copy of its entry, made once. Blocks.
///
/// # Errors
/// The copy cannot be made.
pub fn within_reach(path: &Path, user: &User) -> io::Result<PathBuf> {
    match entry_of(path) {
        Some(entry) if closed_to(path, user).is_some() => {
            copy_in(&Path::new(ELSEWHERE).join("tools"), &entry, path)
        }
        Some(_) | None => Ok(path.to_owned()),
    }
}

/// The folder of the store that holds this.
fn entry_of(path: &Path) -> Option<PathBuf> {
    let store = ContentStore::open().ok()?.dir.canonicalize().ok()?;
    let entry = path.strip_prefix(&store).ok()?.components().next()?;
    Some(store.join(entry))
}

/// The path in a copy of its entry below `folder`: whole or absent, whoever is killed meanwhile.
fn copy_in(folder: &Path, entry: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = entry.file_name().unwrap_or_default();
    let copy = folder.join(name);
    let inside = path.strip_prefix(entry).map_err(io::Error::other)?;
    if copy.is_dir() {
        return Ok(copy.join(inside));
    }
    fs::create_dir_all(folder)?;
    let mut lock = copy.clone().into_os_string();
    lock.push(".lock");
    let _lock = Lock::acquire_blocking(Path::new(&lock))?;
    if !copy.is_dir() {
        let mut new = copy.clone().into_os_string();
        new.push(".new");
        let new = Path::new(&new);
        if new.exists() {
            fs::remove_dir_all(new)?;
        }
        copy_all(entry, new)?;
        fs::rename(new, &copy)?;
    }
    Ok(copy.join(inside))
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    let mut packed = tar::Builder::new(tempfile::tempfile()?);
    packed.follow_symlinks(false);
    packed.append_dir_all("", from)?;
    let mut packed = packed.into_inner()?;
    io::Seek::rewind(&mut packed)?;
    fs::create_dir(to)?;
    let mut archive = tar::Archive::new(packed);
    archive.set_preserve_permissions(true);
    archive.unpack(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))
}
