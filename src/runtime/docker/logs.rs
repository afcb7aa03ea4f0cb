//! Output of containers, line by line.

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;

use super::{Docker, engine::status};
use crate::{
    config::StepId,
    runtime::{LogLine, LogOptions, LogStream, Runs, RuntimeError},
};

impl Docker {
    pub(super) fn log_lines(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let (docker, step) = (self.clone(), step.clone());
        let lines = async move {
            let after = match options.runs {
                Runs::All => None,
                runs => docker.last_end(&step, runs).await?,
            };
            let name = docker.container_name(&step);
            Ok::<_, RuntimeError>(docker.lines_after(step, &name, options, after))
        };
        stream::once(lines).try_flatten().boxed()
    }

    /// Lines of this container, which is one of the step.
    pub(super) fn lines_after(
        self,
        step: StepId,
        container: &str,
        options: LogOptions,
        after: Option<Timestamp>,
    ) -> impl Stream<Item = Result<LogLine, RuntimeError>> + Send + 'static + use<> {
        let mut query = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(options.follow)
            .timestamps(true);
        if let Some(tail) = options.tail {
            query = query.tail(&tail.to_string());
        }
        if let Some(since) = options.since {
            query = query.since(i32::try_from(since).unwrap_or(i32::MAX));
        }
        let client = self.engine().patient();
        let frames = client.logs(container, Some(query.build()));
        let mut splitter = Splitter::default();
        let lines = frames
            .map(Some)
            .chain(stream::iter([None]))
            .map(move |frame| match frame {
                Some(Ok(frame)) => Ok(splitter.push(frame)),
                Some(Err(error)) if status(&error) == Some(404) => {
                    Err(RuntimeError::NotRunning { step: step.clone() })
                }
                Some(Err(error)) => Err(self
                    .engine()
                    .fail(format!("read the log of `{step}`"), error)),
                None => Ok(splitter.rest()),
            })
            .map_ok(|lines| stream::iter(lines.into_iter().map(Ok)))
            .try_flatten();
        lines.try_filter_map(move |line| {
            let keep = after.is_none_or(|after| line.is_after(after));
            std::future::ready(Ok(keep.then(|| line.show(options.timestamps))))
        })
    }

    /// When the run before those ended; `None` when there was none, or when it cannot be told.
    pub(super) async fn last_end(
        &self,
        step: &StepId,
        runs: Runs,
    ) -> Result<Option<Timestamp>, RuntimeError> {
        let container = self
            .engine()
            .inspect(&self.container_name(step))
            .await
            .map_err(|error| match status(&error) {
                Some(404) => RuntimeError::NotRunning { step: step.clone() },
                _ => self.engine().fail(format!("inspect `{step}`"), error),
            })?;
        // The engine counts from the last start on purpose.
        if runs == Runs::SinceStart && container.restart_count.unwrap_or(0) > 0 {
            return Ok(None);
        }
        let state = container.state.unwrap_or_default();
        let ended = state.finished_at.and_then(|at| at.parse().ok());
        Ok(ended.filter(|at| *at > Timestamp::UNIX_EPOCH && state.running == Some(true)))
    }
}

/// A line with the engine's time.
#[derive(Debug, PartialEq, Eq)]
struct Stamped {
    stamp: String,
    line: LogLine,
}

impl Stamped {
    /// Podman tells whole seconds: a line of the second in question may be of the next run, and none of those is lost.
    fn is_after(&self, end: Timestamp) -> bool {
        self.line.written.is_none_or(|at| {
            at > end || (!self.stamp.contains('.') && at.as_second() == end.as_second())
        })
    }

    fn show(self, timestamps: bool) -> LogLine {
        if !timestamps || self.stamp.is_empty() {
            return self.line;
        }
        LogLine {
            text: format!("{} {}", self.stamp, self.line.text),
            ..self.line
        }
    }
}

/// Joins the engine's frames to lines. A line longer than 16 KiB comes in several frames, each with its own time.
#[derive(Default)]
struct Splitter {
    stdout: Partial,
    stderr: Partial,
}

#[derive(Default)]
struct Partial {
    stamp: String,
    text: Vec<u8>,
    /// A frame without its end of line came before.
    open: bool,
}

impl Splitter {
    fn push(&mut self, frame: LogOutput) -> Vec<Stamped> {
        match frame {
            LogOutput::StdErr { message } => self.stderr.push(&message, LogStream::Stderr),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => self.stdout.push(&message, LogStream::Stdout),
        }
    }

    /// The last lines, which have no end.
    fn rest(&mut self) -> Vec<Stamped> {
        let Self { stdout, stderr } = self;
        [(stdout, LogStream::Stdout), (stderr, LogStream::Stderr)]
            .into_iter()
            .filter(|(partial, _)| partial.open)
            .map(|(partial, stream)| partial.take(stream))
            .collect()
    }
}

impl Partial {
    fn push(&mut self, frame: &[u8], stream: LogStream) -> Vec<Stamped> {
        let mut lines = Vec::new();
        let (stamp, rest) = split_stamp(frame);
        if !self.open {
            self.stamp = stamp.to_owned();
        }
        let mut pieces = rest.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let ended = pieces.peek().is_some();
            if !ended && piece.is_empty() {
                break;
            }
            self.text.extend_from_slice(piece);
            self.open = true;
            if ended {
                let stamp = self.stamp.clone();
                lines.push(self.take(stream));
                self.stamp = stamp;
            }
        }
        lines
    }

    fn take(&mut self, stream: LogStream) -> Stamped {
        let text = std::mem::take(&mut self.text);
        let text = text.strip_suffix(b"\r").unwrap_or(&text);
        self.open = false;
        let stamp = std::mem::take(&mut self.stamp);
        let written = stamp.parse().ok();
        Stamped {
            stamp,
            line: LogLine {
                written,
                stream,
                text: String::from_utf8_lossy(text).into_owned(),
            },
        }
    }
}

/// `2026-01-02T03:04:05.000000000Z text`; no stamp when it does not look like one.
fn split_stamp(frame: &[u8]) -> (&str, &[u8]) {
    let space = frame.iter().take(40).position(|byte| *byte == b' ');
    let stamp = space.and_then(|at| std::str::from_utf8(&frame[..at]).ok());
    match (stamp, space) {
        (Some(stamp), Some(at)) if stamp.parse::<Timestamp>().is_ok() => (stamp, &frame[at + 1..]),
        _ => ("", frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-01-02T03:04:05.000000001Z";

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: format!("{AT} {text}").into_bytes().into(),
        }
    }

    fn texts(lines: Vec<Stamped>) -> Vec<String> {
        lines.into_iter().map(|line| line.line.text).collect()
    }

    #[test]
    fn a_long_line_is_joined_without_the_times_in_between() {
        let mut splitter = Splitter::default();
        assert!(splitter.push(out("one ")).is_empty());
        assert!(splitter.push(out("long ")).is_empty());
        let lines = splitter.push(out("line\n"));
        assert_eq!(lines[0].stamp, AT);
        assert_eq!(texts(lines), ["one long line"]);
    }

    #[test]
    fn a_line_of_the_second_of_the_end_counts_when_only_seconds_are_told() {
        let end: Timestamp = "2026-01-02T03:04:05.5Z".parse().unwrap();
        for (stamp, after) in [
            ("2026-01-02T03:04:05.400000000Z", false),
            ("2026-01-02T03:04:05.600000000Z", true),
            ("2026-01-02T03:04:04Z", false),
            ("2026-01-02T03:04:05Z", true),
        ] {
            let message = format!("{stamp} text\n").into_bytes().into();
            let lines = Splitter::default().push(LogOutput::StdOut { message });
            assert_eq!(lines[0].is_after(end), after, "{stamp}");
        }
    }

    #[test]
    fn streams_do_not_mix() {
        let mut splitter = Splitter::default();
        assert!(splitter.push(out("half")).is_empty());
        let err = LogOutput::StdErr {
            message: format!("{AT} error\n").into_bytes().into(),
        };
        let lines = splitter.push(err);
        assert_eq!(lines[0].line.stream, LogStream::Stderr);
        assert_eq!(texts(lines), ["error"]);
        assert_eq!(texts(splitter.push(out(" done\n"))), ["half done"]);
    }

    #[test]
    fn empty_lines_stay_and_a_last_line_needs_no_end() {
        let mut splitter = Splitter::default();
        assert_eq!(texts(splitter.push(out("\n"))), [""]);
        assert_eq!(texts(splitter.push(out("a\r\n"))), ["a"]);
        assert!(splitter.push(out("end")).is_empty());
        assert_eq!(texts(splitter.rest()), ["end"]);
        assert!(splitter.rest().is_empty());
    }

    #[test]
    fn text_that_is_no_time_is_text() {
        assert_eq!(split_stamp(b"hello world"), ("", b"hello world".as_slice()));
        assert_eq!(split_stamp(b""), ("", b"".as_slice()));
    }
}
