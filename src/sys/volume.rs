//! Folders of volumes, also for a user who cannot reach the project's own folder: what root has under `/root`, say.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{fs::absent_is_fine, user::User};

/// Where data and programs are that another user works with, when their own folder is closed to that user. Only root comes here.
pub const ELSEWHERE: &str = "/var/lib/devenv";

/// The folder itself, made if need be, when the user can reach it; else one elsewhere that it leads to by a link.
///
/// # Errors
/// There are data in it already, and the user cannot reach them.
pub fn reachable(folder: &Path, identity: &str, user: &User) -> io::Result<PathBuf> {
    if let Ok(target) = fs::read_link(folder) {
        fs::create_dir_all(&target)?;
        return Ok(target);
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let Some(closed) = closed_to(parent, user) else {
        fs::create_dir_all(folder)?;
        return Ok(folder.to_owned());
    };
    // Made empty by somebody else, or not there; what has data stays.
    if absent_is_fine(fs::remove_dir(folder)).is_err() {
        let cause = format!("user `{}` cannot enter `{}`", user.name, closed.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, cause));
    }
    let name = folder.file_name().unwrap_or_default();
    let target = Path::new(ELSEWHERE).join(identity).join(name);
    fs::create_dir_all(&target)?;
    std::os::unix::fs::symlink(&target, folder)?;
    Ok(target)
}

/// Removes the folder, also where it leads to. No error when there is none.
pub fn remove(folder: &Path) -> io::Result<()> {
    if let Ok(target) = fs::read_link(folder) {
        if target.starts_with(ELSEWHERE) {
            absent_is_fine(fs::remove_dir_all(&target))?;
            // The folder of the worktree, unless another volume is in it.
            let _ = target.parent().map(fs::remove_dir);
        }
        return absent_is_fine(fs::remove_file(folder));
    }
    absent_is_fine(fs::remove_dir_all(folder))
}

/// A folder of the worktree with a short path, for sockets. Made by who needs it.
pub fn short_folder(identity: &str) -> PathBuf {
    let digest = hex::encode(Sha256::digest(identity));
    std::env::temp_dir().join(format!("devenv-{}", &digest[..12]))
}

/// The folder on the way to this one, itself included, that the user may not enter.
pub fn closed_to<'a>(folder: &'a Path, user: &User) -> Option<&'a Path> {
    folder.ancestors().find(|dir| !is_open(dir, user))
}

/// Whether the user may go through the folder.
fn is_open(dir: &Path, user: &User) -> bool {
    let Ok(meta) = dir.metadata() else {
        return false;
    };
    let bit = match meta {
        ref meta if meta.uid() == user.uid => 0o100,
        ref meta if meta.gid() == user.gid => 0o010,
        _ => 0o001,
    };
    meta.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_is_closed_to_the_user_leads_elsewhere_and_goes_as_a_whole() {
        if !super::super::user::is_root() {
            // Nobody else can write elsewhere, and nobody else needs to.
            return;
        }
        let nobody = User::named("nobody").expect("there is such a user");
        let dir = tempfile::tempdir().expect("a folder");
        let mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode));
        let folder = dir.path().join("data/db");
        let identity = format!("volume-test-{}", std::process::id());

        mode(0o700).expect("closed");
        let target = reachable(&folder, &identity, &nobody).expect("made");
        assert_eq!(target, Path::new(ELSEWHERE).join(&identity).join("db"));
        assert_eq!(fs::read_link(&folder).expect("a link"), target);
        assert_eq!(
            reachable(&folder, &identity, &nobody).expect("there"),
            target
        );
        remove(&folder).expect("removed");
        assert!(!target.exists() && folder.symlink_metadata().is_err());
        assert!(!target.parent().expect("a parent").exists());

        mode(0o755).expect("open");
        assert_eq!(
            reachable(&folder, &identity, &nobody).expect("made"),
            folder
        );
        fs::write(folder.join("file"), "data").expect("written");
        mode(0o700).expect("closed");
        let error = reachable(&folder, &identity, &nobody).expect_err("it has data");
        assert!(
            error.to_string().contains("`nobody` cannot enter"),
            "{error}"
        );
        assert!(folder.join("file").exists());
        remove(&folder).expect("removed");
        remove(&folder).expect("nothing to do");
    }
}
