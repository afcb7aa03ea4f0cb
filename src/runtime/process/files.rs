//! Where the process runtime keeps things: `.devenv/run` for what only makes sense while something runs, `.devenv/data` for volumes.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::record::Record;
use crate::{
    config::StepId,
    sys::fs::{absent_is_fine, write_private},
};

/// The folders of one worktree.
#[derive(Debug, Clone)]
pub struct Files {
    run: PathBuf,
    data: PathBuf,
}

impl Files {
    pub fn of(root: &Path) -> Self {
        let dir = root.join(".devenv");
        Self {
            run: dir.join("run"),
            data: dir.join("data"),
        }
    }

    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Its owner's alone: the socket and the records tell secrets.
    pub fn prepare(&self) -> io::Result<()> {
        let mut dir = fs::DirBuilder::new();
        dir.recursive(true).mode(0o700);
        dir.create(&self.run)?;
        fs::set_permissions(&self.run, fs::Permissions::from_mode(0o700))?;
        dir.create(self.run.join("instances"))?;
        dir.create(self.run.join("logs"))
    }

    /// Name of the socket in [`Files::run`]. Always used relative to that folder: a socket's path may have only some 100 bytes.
    pub const SOCKET: &str = "supervisor.sock";

    pub fn lock(&self) -> PathBuf {
        self.run.join("supervisor.lock")
    }

    /// What the supervisor itself has to complain about.
    pub fn supervisor_log(&self) -> PathBuf {
        self.run.join("supervisor.log")
    }

    pub fn log(&self, step: &StepId) -> PathBuf {
        self.run.join("logs").join(format!("{step}.log"))
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    pub fn volumes(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in entries(&self.data)? {
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    pub fn records(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for entry in entries(&self.run.join("instances"))? {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                // What a kill left half written tells nothing; its processes are found by their mark all the same.
                records.extend(
                    fs::read(&path)
                        .ok()
                        .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok()),
                );
            }
        }
        records.sort_by(|a, b| a.step.cmp(&b.step));
        Ok(records)
    }

    /// Nothing once the folder was deleted, perhaps with the whole project: it is not to come again.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        if !self.run.is_dir() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(record).expect("a record is plain data");
        write_private(&self.record(&record.step), &bytes)
    }

    pub fn forget(&self, step: &StepId) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.record(step)))
    }

    fn record(&self, step: &StepId) -> PathBuf {
        self.run.join("instances").join(format!("{step}.json"))
    }
}

/// None when the folder does not exist.
fn entries(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}
