//! What a program prints, line by line, whatever its encoding.

use std::mem::take;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Nobody reads a longer line; what prints megabytes without a line end must not fill the memory.
const LONGEST: usize = 256 * 1024;

/// Both streams of a program.
pub struct Streams<O, E> {
    out: Lines<O>,
    err: Lines<E>,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Streams<O, E> {
    pub fn new(out: Option<O>, err: Option<E>) -> Self {
        Self {
            out: Lines::new(out),
            err: Lines::new(err),
        }
    }

    /// The next line of either; `None` once both have ended.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let (out, err) = (self.out.is_open(), self.err.is_open());
            let line = tokio::select! {
                line = self.out.next(), if out => line,
                line = self.err.next(), if err => line,
                else => return None,
            };
            if line.is_some() {
                return line;
            }
        }
    }
}

struct Lines<R> {
    stream: Option<BufReader<R>>,
    /// Of the present line; it outlives a read that was given up for the other stream.
    begun: Vec<u8>,
    left_out: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(stream: Option<R>) -> Self {
        Self {
            stream: stream.map(BufReader::new),
            begun: Vec::new(),
            left_out: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// The next line; `None` at the end, also where reading fails.
    async fn next(&mut self) -> Option<String> {
        loop {
            let stream = self.stream.as_mut()?;
            let bytes = stream.fill_buf().await.unwrap_or_default();
            if bytes.is_empty() {
                self.stream = None;
                return (!self.begun.is_empty()).then(|| self.line());
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let kept = part.len().min(LONGEST - self.begun.len());
            self.begun.extend_from_slice(&part[..kept]);
            self.left_out += part.len() - kept;
            let taken = part.len() + usize::from(end.is_some());
            stream.consume(taken);
            if end.is_some() {
                return Some(self.line());
            }
        }
    }

    fn line(&mut self) -> String {
        let bytes = take(&mut self.begun);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        text.truncate(text.trim_end_matches('\r').len());
        match take(&mut self.left_out) {
            0 => text,
            left_out => format!("{text} ... ({left_out} more bytes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(Some(text));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_end_as_on_any_system_and_the_last_may_have_no_end() {
        assert_eq!(
            all(b"one\r\n\ntwo \xff\nthree").await,
            ["one", "", "two \u{fffd}", "three"]
        );
        assert_eq!(all(b"one\n").await, ["one"]);
        assert!(all(b"").await.is_empty());
    }

    #[tokio::test]
    async fn of_a_line_without_end_the_beginning_is_kept() {
        let text = format!("{}\nnext", "x".repeat(LONGEST + 5));
        let lines = all(text.as_bytes()).await;
        assert_eq!(
            lines[0],
            format!("{} ... (5 more bytes)", "x".repeat(LONGEST))
        );
        assert_eq!(lines[1..], ["next"]);
    }

    #[tokio::test]
    async fn both_streams_are_read_to_their_ends() {
        let mut streams = Streams::new(Some(&b"a\nb"[..]), Some(&b"c\n"[..]));
        let mut lines = Vec::new();
        while let Some(line) = streams.next().await {
            lines.push(line);
        }
        lines.sort();
        assert_eq!(lines, ["a", "b", "c"]);
    }
}
