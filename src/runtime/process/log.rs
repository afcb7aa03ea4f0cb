//! What a step has printed: one file of lines, each with its time, stream and run, and the file before it.
//!
//! A line of the file: `2026-01-02T03:04:05.123456Z 17 O text`. Written by the supervisor alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::runtime::{LogLine, LogOptions, LogStream, Runs};

/// A file of this size is put aside, and the one put aside before it is removed.
const LARGEST: u64 = 16 << 20;

/// A line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub run: u64,
    pub line: LogLine,
}

impl Kept {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let written = parts.next()?.parse().ok()?;
        let run = parts.next()?.parse().ok()?;
        let stream = match parts.next()? {
            "O" => LogStream::Stdout,
            "E" => LogStream::Stderr,
            _ => return None,
        };
        Some(Self {
            run,
            line: LogLine {
                written: Some(written),
                stream,
                text: parts.next().unwrap_or_default().to_owned(),
            },
        })
    }
}

/// The log being written.
pub struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Writer {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
        })
    }

    /// Adds a line; its bytes may be anything but hold no end of line.
    pub fn line(&mut self, run: u64, stream: LogStream, text: &[u8]) -> io::Result<()> {
        if self.size >= LARGEST {
            fs::rename(&self.path, aside(&self.path))?;
            *self = Self::open(&self.path)?;
        }
        let stream = match stream {
            LogStream::Stdout => 'O',
            LogStream::Stderr => 'E',
        };
        let text = String::from_utf8_lossy(text);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let now = jiff::Timestamp::now();
        let line = format!("{now:.9} {run} {stream} {text}\n");
        // One write, so that a reader sees whole lines, and a kill cuts between them.
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        Ok(())
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Removes the log and what was put aside.
pub fn remove(path: &Path) {
    for path in [path.to_owned(), aside(path)] {
        let _ = fs::remove_file(path);
    }
}

/// Reads a log from its beginning, then what has come since, again and again.
pub struct Reader {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// A line whose end is not written yet.
    open: String,
}

impl Reader {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            open: String::new(),
        }
    }

    /// Whole lines that have come since the last call.
    pub fn read(&mut self) -> io::Result<Vec<Kept>> {
        let mut lines = Vec::new();
        match &mut self.file {
            None => {
                if let Some(file) = open(&aside(&self.path))? {
                    self.file = Some(file);
                    self.read_on(&mut lines)?;
                }
                self.file = open(&self.path)?;
                self.read_on(&mut lines)?;
            }
            Some(_) => {
                self.read_on(&mut lines)?;
                if self.was_put_aside()? {
                    // Nothing is added to it any more.
                    self.read_on(&mut lines)?;
                    self.file = open(&self.path)?;
                    self.read_on(&mut lines)?;
                }
            }
        }
        Ok(lines)
    }

    fn read_on(&mut self, lines: &mut Vec<Kept>) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        loop {
            if file.read_line(&mut self.open)? == 0 {
                return Ok(());
            }
            if self.open.ends_with('\n') {
                let text = std::mem::take(&mut self.open);
                lines.extend(Kept::parse(text.trim_end_matches('\n')));
            }
        }
    }

    fn was_put_aside(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let Some(file) = &self.file else {
            return Ok(true);
        };
        let open = file.get_ref().metadata()?;
        Ok(match fs::metadata(&self.path) {
            Ok(now) => now.ino() != open.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        })
    }
}

fn open(path: &Path) -> io::Result<Option<BufReader<File>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which lines are wanted, of a thing whose present run and first run on purpose are these.
pub struct Filter {
    first_run: u64,
    since: Option<jiff::Timestamp>,
    timestamps: bool,
}

impl Filter {
    pub fn of(options: &LogOptions, run: u64, first_run: u64) -> Self {
        Self {
            first_run: match options.runs {
                Runs::All => 0,
                Runs::SinceStart => first_run,
                Runs::Last => run,
            },
            since: options
                .since
                .map(|second| jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX)),
            timestamps: options.timestamps,
        }
    }

    /// Only of this run and later ones.
    pub fn from(self, run: u64) -> Self {
        Self {
            first_run: self.first_run.max(run),
            ..self
        }
    }

    /// The line as it is to be shown, if it is wanted.
    pub fn apply(&self, kept: Kept) -> Option<LogLine> {
        let mut line = kept.line;
        let late = self.since.is_none_or(|since| line.written >= Some(since));
        if kept.run < self.first_run || !late {
            return None;
        }
        if let (true, Some(written)) = (self.timestamps, line.written) {
            line.text = format!("{written:.9} {}", line.text);
        }
        Some(line)
    }
}

/// Bytes of a stream, cut into lines. A last line needs no end.
#[derive(Default)]
pub struct Splitter {
    open: Vec<u8>,
}

impl Splitter {
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.open.extend_from_slice(&bytes[..end]);
            line(&self.open);
            self.open.clear();
            bytes = &bytes[end + 1..];
        }
        self.open.extend_from_slice(bytes);
    }

    pub fn rest(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.open.is_empty() {
            line(&self.open);
            self.open.clear();
        }
    }
}

/// For a supervisor that begins anew: the number of the last run the log tells of.
pub fn last_run(path: &Path) -> u64 {
    let Ok(mut file) = File::open(path) else {
        return 0;
    };
    let from = file
        .metadata()
        .map_or(0, |data| data.len().saturating_sub(64 << 10));
    let mut end = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.read_to_end(&mut end).is_err() {
        return 0;
    }
    let text = String::from_utf8_lossy(&end);
    let runs = text.lines().filter_map(Kept::parse).map(|kept| kept.run);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Kept]) -> Vec<&str> {
        lines.iter().map(|kept| kept.line.text.as_str()).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was_also_into_the_next_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.log");
        let mut reader = Reader::new(&path);
        assert_eq!(reader.read().expect("no file yet"), []);
        let mut writer = Writer::open(&path).expect("a log");
        writer.line(1, LogStream::Stdout, b"one").expect("written");
        writer
            .line(1, LogStream::Stderr, b" t w o \r")
            .expect("written");
        let lines = reader.read().expect("read");
        assert_eq!(texts(&lines), ["one", " t w o "]);
        assert_eq!(lines[1].line.stream, LogStream::Stderr);

        writer
            .line(2, LogStream::Stdout, b"three")
            .expect("written");
        writer.size = LARGEST;
        writer
            .line(2, LogStream::Stdout, b"four \xff")
            .expect("written");
        assert_eq!(
            texts(&reader.read().expect("read")),
            ["three", "four \u{fffd}"]
        );
        let mut all = Reader::new(&path);
        assert_eq!(all.read().expect("read").len(), 4);
        assert_eq!(last_run(&path), 2);
        remove(&path);
        assert_eq!(Reader::new(&path).read().expect("gone"), []);
    }

    #[test]
    fn bytes_become_lines_whatever_the_pieces() {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for piece in ["on", "e\n\ntw", "o\nthree"] {
            splitter.push(piece.as_bytes(), |line| lines.push(line.to_vec()));
        }
        splitter.rest(|line| lines.push(line.to_vec()));
        splitter.rest(|line| lines.push(line.to_vec()));
        assert_eq!(lines, [&b"one"[..], b"", b"two", b"three"]);
    }

    #[test]
    fn lines_are_chosen_by_run_and_time() {
        let kept = |run, second| Kept {
            run,
            line: LogLine {
                written: jiff::Timestamp::from_second(second).ok(),
                stream: LogStream::Stdout,
                text: format!("{run}"),
            },
        };
        let wanted = |options: &LogOptions| -> Vec<String> {
            let filter = Filter::of(options, 3, 2);
            let all = [kept(1, 10), kept(2, 20), kept(3, 30)];
            let lines = all.into_iter().filter_map(|kept| filter.apply(kept));
            lines.map(|line| line.text).collect()
        };
        let of = |runs| LogOptions {
            runs,
            ..LogOptions::default()
        };
        assert_eq!(wanted(&of(Runs::All)), ["1", "2", "3"]);
        assert_eq!(wanted(&of(Runs::SinceStart)), ["2", "3"]);
        assert_eq!(wanted(&of(Runs::Last)), ["3"]);
        let since = LogOptions {
            since: Some(20),
            ..LogOptions::default()
        };
        assert_eq!(wanted(&since), ["2", "3"]);
    }
}
