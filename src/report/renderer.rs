//! The one renderer of a run, chosen once. It takes events until there are no more.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{
    folded::{Folded, Folds},
    json::json_line,
    plain::Plain,
    progress::Seen,
    tty::{FRAME_MS, Tty},
};
use crate::{config::Source, event::Record};

/// How the user asked for output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Progress on a terminal, else lines.
    #[default]
    Auto,
    Plain,
    Json,
    /// Nothing but failures, and what a person waits for.
    Failures,
}

/// Where a renderer shows what.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    pub format: Format,
    /// Standard error is a terminal that can move its cursor.
    pub is_terminal: bool,
    /// A CI system keeps the output as a log.
    pub ci: bool,
    /// Shows what steps write, too.
    pub verbose: bool,
    /// The log is one of a CI system that folds; it takes the place of plain lines.
    pub folds: Option<Folds>,
    /// The file that failures point into.
    pub source: Option<Arc<Source>>,
}

/// How often those are looked for of which nothing was heard.
const BEAT: Duration = Duration::from_secs(5);

pub enum Renderer {
    /// Progress on standard error.
    Tty(Tty),
    /// Lines on standard error.
    Plain(Plain),
    /// Lines on standard error, with what steps print folded away.
    Folded(Folded),
    /// Every record as a line on standard output.
    Json,
}

impl Renderer {
    pub fn choose(setting: Setting) -> Self {
        // What is folded away is shown again where its step failed.
        let lines_shown = setting.verbose && setting.folds.is_none();
        let seen = Seen::new(setting.source, lines_shown);
        match (setting.format, setting.folds) {
            (Format::Json, _) => Self::Json,
            (Format::Auto | Format::Plain, Some(folds)) => Self::Folded(Folded::new(seen, folds)),
            (Format::Auto, None) if setting.is_terminal && !setting.ci => {
                Self::Tty(Tty::on_stderr(seen, setting.verbose))
            }
            (Format::Auto | Format::Plain, None) => Self::Plain(Plain::new(seen, setting.verbose)),
            (Format::Failures, _) => Self::Plain(Plain::of_failures(seen)),
        }
    }

    /// Shows all records to the last, and says why an answer on standard output could not be written. Writing may block, so this
    /// wants a thread of its own.
    pub async fn run(self, records: mpsc::UnboundedReceiver<Record>) -> io::Result<()> {
        match self {
            Self::Tty(tty) => run_tty(tty, records).await,
            Self::Plain(mut plain) => {
                let stderr = anstream::AutoStream::auto(io::stderr());
                // What is told beside the answer is no answer.
                let _ = write_all(stderr, records, |record| plain.show(record)).await;
            }
            Self::Folded(folded) => run_folded(folded, records, io::stderr()).await,
            Self::Json => return write_all(io::stdout(), records, json_line).await,
        }
        Ok(())
    }
}

/// Once nothing more can be written, as when the reader has gone (`| head`), the rest is dropped: the run itself goes on.
async fn write_all(
    mut out: impl Write,
    mut records: mpsc::UnboundedReceiver<Record>,
    mut show: impl FnMut(&Record) -> String,
) -> io::Result<()> {
    let mut written = Ok(());
    while let Some(record) = records.recv().await {
        let text = show(&record);
        if written.is_ok() && !text.is_empty() {
            written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
    written
}

/// As it stands: marks hold escape sequences, and all other text holds none.
async fn run_folded(
    mut folded: Folded,
    mut records: mpsc::UnboundedReceiver<Record>,
    mut out: impl Write,
) {
    let mut clock = tokio::time::interval(BEAT);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut at_ms, mut at) = (0, Instant::now());
    loop {
        let text = tokio::select! {
            record = records.recv() => match record {
                Some(record) => {
                    (at_ms, at) = (record.at_ms, Instant::now());
                    folded.show(&record)
                }
                None => return,
            },
            _ = clock.tick() => folded.beat(at_ms + at.elapsed().as_millis() as u64),
        };
        // The run goes on when nobody reads any more.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

async fn run_tty(mut tty: Tty, mut records: mpsc::UnboundedReceiver<Record>) {
    let mut clock = tokio::time::interval(Duration::from_millis(FRAME_MS));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The run's clock, as of the last record.
    let (mut at_ms, mut at) = (0, Instant::now());
    loop {
        tokio::select! {
            record = records.recv() => match record {
                Some(record) => {
                    (at_ms, at) = (record.at_ms, Instant::now());
                    tty.show(&record);
                }
                None => return,
            },
            _ = clock.tick(), if tty.is_busy() => tty.tick(at_ms + at.elapsed().as_millis() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;

    /// Takes one line, then its reader has gone.
    struct Head {
        lines: usize,
    }

    impl Write for Head {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.lines == 1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.lines += 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_leaves_does_not_stop_the_events() {
        let (events, records) = Events::channel();
        for message in ["a", "b", "c"].map(str::to_owned) {
            events.notice(message);
        }
        drop(events);
        let (mut head, mut taken) = (Head { lines: 0 }, 0);
        let written = write_all(&mut head, records, |record| {
            taken += 1;
            json_line(record)
        });
        let error = written.await.expect_err("the reader has gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!((head.lines, taken), (1, 3));
    }

    #[tokio::test]
    async fn folded_lines_come_out_to_the_last_as_they_stand() {
        let (events, records) = Events::channel();
        let step = "task.a".parse().expect("a step id");
        events.of(&step).log("::error::printed");
        events.send(crate::event::Event::StepFinished {
            step,
            outcome: crate::event::Outcome::Skipped,
            duration_ms: 1,
        });
        events.notice("the last");
        drop(events);
        let folds = Folds::Gitlab { began: 7 };
        let mut out = Vec::new();
        let folded = Folded::new(Seen::new(None, false), folds);
        run_folded(folded, records, &mut out).await;
        let text = String::from_utf8(out).expect("UTF-8");
        let wanted = "\x1b[0Ksection_start:7:task.a[collapsed=true]\r\x1b[0Ktask.a\n::error::printed\n\
                      \x1b[0Ksection_end:7:task.a\r\x1b[0K\nnote: the last\n";
        assert_eq!(text, wanted);
    }
}
