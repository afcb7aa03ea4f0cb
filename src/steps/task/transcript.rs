//! What a task prints, as far as it is kept with its result: the beginning and the end of what is too long.

use std::{collections::VecDeque, sync::Mutex};

use crate::event::{StepEvents, count};

/// Bytes of each of the two.
const HALF: usize = 512 << 10;

/// Lines with their secrets masked.
pub(super) struct Transcript<'a> {
    events: &'a StepEvents,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    first: Vec<String>,
    first_size: usize,
    last: VecDeque<String>,
    last_size: usize,
    lost: usize,
}

impl<'a> Transcript<'a> {
    pub(super) fn new(events: &'a StepEvents) -> Self {
        let lines = Mutex::default();
        Self { events, lines }
    }

    /// Shows a line and keeps it. Await what it returns before the next one.
    pub(super) fn line(&self, line: &str) -> impl Future<Output = ()> + Send + use<> {
        let masked = self.events.masked(line);
        let mut lines = self.lines.lock().expect("no panic while the lock is held");
        lines.push(masked);
        self.events.output(line)
    }

    pub(super) fn end(self) -> Vec<String> {
        let lines = self.lines.into_inner();
        let Lines {
            mut first,
            last,
            lost,
            ..
        } = lines.expect("no panic while the lock is held");
        if lost > 0 {
            first.push(format!("… {} were not kept …", count(lost, "line")));
        }
        first.extend(last);
        first
    }
}

impl Lines {
    fn push(&mut self, line: String) {
        let size = line.len() + 1;
        if self.last.is_empty() && self.lost == 0 && self.first_size + size <= HALF {
            self.first_size += size;
            self.first.push(line);
            return;
        }
        self.last_size += size;
        self.last.push_back(line);
        while self.last_size > HALF
            && let Some(line) = self.last.pop_front()
        {
            self.last_size -= line.len() + 1;
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;

    #[test]
    fn the_beginning_and_the_end_of_what_is_too_long_are_kept() {
        let (events, _records) = Events::channel();
        events.mask("hunter2");
        let events = events.of(&"task.x".parse().expect("an id"));
        let transcript = Transcript::new(&events);
        drop(transcript.line("it is hunter2"));
        for number in 0..30_000 {
            let mut lines = transcript.lines.lock().expect("not poisoned");
            lines.push(format!("{number:099}"));
        }
        let lines = transcript.end();
        assert_eq!(lines[0], "it is ***");
        assert!(lines[1].ends_with("00") && lines[lines.len() - 1].ends_with("29999"));
        let size: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert!(size <= 2 * HALF + 100, "{size}");
        let lost = lines.iter().position(|line| line.starts_with('…'));
        let said = &lines[lost.expect("a line that tells")];
        assert_eq!(
            *said,
            format!("… {} lines were not kept …", 30_002 - lines.len())
        );
    }
}
