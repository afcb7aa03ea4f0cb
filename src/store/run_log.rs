//! The events of the last runs, one file a run: `.devenv/runs/<utc time>-<command>.jsonl`, the lines of `--output json`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Store, StoreError};
use crate::event::Record;

/// How many runs are kept.
const KEPT: usize = 20;

/// The log of the present run. Each record is written as it comes, so a killed run leaves what had happened until then.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    file: File,
}

impl RunLog {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(record).expect("records are plain data");
        line.push(b'\n');
        // One write, so that a kill cuts between lines.
        self.file
            .write_all(&line)
            .map_err(|source| StoreError::Write {
                path: self.path.clone(),
                source,
            })
    }
}

impl Store {
    /// Begins the log of a run of this command and removes the oldest logs beyond the last twenty.
    pub fn start_run_log(&self, command: &str) -> Result<RunLog, StoreError> {
        self.prepare()?;
        let dir = self.runs_dir();
        let log =
            create(&dir, command).map_err(|(path, source)| StoreError::Write { path, source })?;
        for old in self.run_logs().iter().rev().skip(KEPT) {
            // Another run may have removed it just now.
            let _ = fs::remove_file(old);
        }
        Ok(log)
    }

    /// The logs there are, the oldest first.
    pub fn run_logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.runs_dir()).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut logs: Vec<_> = paths
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "jsonl")
            })
            .collect();
        logs.sort();
        logs
    }

    fn runs_dir(&self) -> PathBuf {
        self.dir().join("runs")
    }
}

/// Two runs may begin in the same millisecond; each gets a file of its own.
fn create(dir: &Path, command: &str) -> Result<RunLog, (PathBuf, io::Error)> {
    fs::create_dir_all(dir).map_err(|error| (dir.to_owned(), error))?;
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let command: String = command.chars().map(word).take(40).collect();
    loop {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
        let path = dir.join(format!("{now}-{command}.jsonl"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok(RunLog { path, file }),
            // The next millisecond is free soon.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Err(error) => return Err((path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Explain, FaultClass};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::new(dir.path());
        (dir, store)
    }

    fn record(at_ms: u64) -> Record {
        let message = "a\nb".to_owned();
        let event = Event::Notice {
            step: None,
            message,
        };
        Record { at_ms, event }
    }

    #[test]
    fn every_record_is_on_disk_as_soon_as_it_is_written() {
        let (_dir, store) = store();
        let mut log = store.start_run_log("migrate new/../x").expect("a log");
        for at_ms in 0..3 {
            log.write(&record(at_ms)).expect("written");
            let text = fs::read_to_string(log.path()).expect("the log");
            assert_eq!(text.lines().count() as u64, at_ms + 1);
            let last = text.lines().last().expect("a line");
            let back: Record = serde_json::from_str(last).expect("a record");
            assert_eq!(back.at_ms, at_ms);
        }
        let name = log.path().file_name().expect("a name").to_string_lossy();
        assert!(name.ends_with("Z-migrate-new----x.jsonl"), "{name}");
    }

    #[test]
    fn the_last_twenty_are_kept() {
        let (_dir, store) = store();
        let logs: Vec<_> = (0..25)
            .map(|_| store.start_run_log("up").expect("a log").path().to_owned())
            .collect();
        let mut expected = logs[5..].to_vec();
        expected.sort();
        assert_eq!(store.run_logs(), expected);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let (dir, store) = store();
        fs::write(dir.path().join(".devenv"), "a file").expect("written");
        let error = store.start_run_log("up").expect_err("no folder");
        assert_eq!(error.explain().class, FaultClass::Environment);
    }
}
