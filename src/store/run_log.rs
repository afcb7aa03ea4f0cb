//! The events of the last runs, one file a run: `.devenv/runs/<utc time>-<command>.jsonl`, the lines of `--output json`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Store, StoreError};
use crate::event::{Event, Record};

/// How many runs are kept.
const KEPT: usize = 20;

/// How many bytes of a log are lines that steps print.
const LINES_LIMIT: usize = 32 * 1024 * 1024;

/// The log of the present run. Each record is written as it comes, so a killed run leaves what had happened until then.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    file: File,
    lines: Lines,
}

/// Whether lines that steps print are written still.
#[derive(Debug)]
enum Lines {
    Written { bytes: usize },
    LeftOut,
}

impl RunLog {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that steps print are left out once there are 32 MiB of them, after a notice that says so.
    pub fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let line = json_line(record);
        if !matches!(record.event, Event::StepLog { .. }) {
            return self.append(&line);
        }
        let Lines::Written { bytes } = &mut self.lines else {
            return Ok(());
        };
        *bytes += line.len();
        if *bytes <= LINES_LIMIT {
            return self.append(&line);
        }
        self.lines = Lines::LeftOut;
        let message = format!(
            "what steps print from here on is not in this log: it has {} MiB of it",
            LINES_LIMIT >> 20
        );
        let notice = Event::Notice {
            step: None,
            message,
            fault: None,
        };
        self.append(&json_line(&Record::new(record.at_ms, notice)))
    }

    /// One write, so that a kill cuts between lines.
    fn append(&mut self, line: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(line)
            .map_err(|source| StoreError::Write {
                path: self.path.clone(),
                source,
            })
    }
}

fn json_line(record: &Record) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records are plain data");
    line.push(b'\n');
    line
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
            Ok(file) => {
                let lines = Lines::Written { bytes: 0 };
                return Ok(RunLog { path, file, lines });
            }
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
    use crate::{
        event::{Event, Explain, FaultClass},
        store::testing::store,
    };

    fn record(at_ms: u64) -> Record {
        let message = "a\nb".to_owned();
        let event = Event::Notice {
            step: None,
            message,
            fault: None,
        };
        Record::new(at_ms, event)
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
    fn what_steps_print_has_a_limit_and_other_events_have_none() {
        let (_dir, store) = store();
        let mut log = store.start_run_log("up").expect("a log");
        let line = |bytes: usize| {
            let event = Event::StepLog {
                step: "task.one".parse().expect("a step"),
                line: "x".repeat(bytes),
            };
            Record::new(1, event)
        };
        for bytes in [5, LINES_LIMIT - 1000, 2000, 6] {
            log.write(&line(bytes)).expect("written");
        }
        log.write(&record(2)).expect("written");
        let text = fs::read_to_string(log.path()).expect("the log");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("it has 32 MiB of it"), "{}", lines[2]);
        assert!(lines[3].contains("\"at_ms\":2"), "{}", lines[3]);
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
