//! Files on their way to the disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::{ProtoError, write_error};
use crate::sys::fs::write_atomic;

/// The new files, complete but not in place yet; under `.devenv/`, so that a kill leaves nothing among the sources.
pub struct Stage {
    dir: PathBuf,
}

impl Stage {
    pub fn fill<'a>(
        manifest_dir: &Path,
        name: &str,
        contents: impl Iterator<Item = &'a Vec<u8>>,
    ) -> Result<Self, ProtoError> {
        let stage = Self {
            dir: manifest_dir.join(format!("{name}.stage")),
        };
        // What a killed run left; the lock says that none is running.
        let _ = fs::remove_dir_all(&stage.dir);
        fs::create_dir_all(&stage.dir).map_err(|source| write_error(&stage.dir, source))?;
        for (index, content) in contents.enumerate() {
            let path = stage.file(index);
            fs::write(&path, content).map_err(|source| write_error(&path, source))?;
        }
        Ok(stage)
    }

    fn file(&self, index: usize) -> PathBuf {
        self.dir.join(index.to_string())
    }

    pub fn place(&self, index: usize, root: &Path, path: &str) -> Result<(), ProtoError> {
        let (from, to) = (self.file(index), root.join(path));
        let dir = to.parent().unwrap_or(root);
        fs::create_dir_all(dir)
            .and_then(|()| match fs::rename(&from, &to) {
                // The output folder is on another file system.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    write_atomic(&to, &fs::read(&from)?)
                }
                renamed => renamed,
            })
            .map_err(|source| ProtoError::Write {
                path: path.to_owned(),
                source,
            })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The next run clears it too.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
