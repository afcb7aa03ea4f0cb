//! Waits for files to go, without waking up meanwhile.

use std::{io, path::Path};

/// Resolves when the folder has no file of this name any more. Never where the kernel does not tell (other than Linux).
#[cfg(target_os = "linux")]
pub async fn until_removed(folder: &Path, name: &str) -> io::Result<()> {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

    let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let of_removal = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF;
    inotify::add_watch(&told, folder, of_removal)?;
    // Read as a pipe is.
    let mut told = Receiver::from_owned_fd_unchecked(told)?;
    let mut events = [0; 4096];
    while folder.join(name).symlink_metadata().is_ok() {
        // What was removed is looked up, not read.
        let _some = told.read(&mut events).await?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub async fn until_removed(_: &Path, _: &str) -> io::Result<()> {
    std::future::pending().await
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn tells_of_the_file_and_of_the_whole_folder() {
        for remove in [
            (|dir: &Path| fs::remove_file(dir.join("socket"))) as fn(&Path) -> io::Result<()>,
            |dir| fs::remove_dir_all(dir),
            |dir| fs::rename(dir.join("socket"), dir.join("other")),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            let folder = dir.path().join("run");
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("socket"), "").expect("written");
            fs::write(folder.join("another"), "").expect("written");
            let mut removed = Box::pin(until_removed(&folder, "socket"));
            assert!((&mut removed).now_or_never().is_none());
            fs::remove_file(folder.join("another")).expect("removed");
            assert!((&mut removed).now_or_never().is_none());
            remove(&folder).expect("removed");
            removed.await.expect("told");
        }
    }
}
