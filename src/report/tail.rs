//! The last of what a step printed, up to a size.

use std::collections::VecDeque;

use super::words;

/// Lines without colours and control characters.
#[derive(Debug)]
pub struct Tail {
    lines: VecDeque<String>,
    size: usize,
    limit: usize,
    /// Earlier lines that are not here.
    left_out: usize,
}

impl Tail {
    /// `limit` in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            size: 0,
            limit,
            left_out: 0,
        }
    }

    pub(super) fn push(&mut self, line: &str) {
        let line = words::clean(line);
        self.size += line.len() + 1;
        self.lines.push_back(line);
        while self.size > self.limit
            && let Some(line) = self.lines.pop_front()
        {
            self.size -= line.len() + 1;
            self.left_out += 1;
        }
    }

    /// Nothing was printed.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.left_out == 0
    }

    /// At most so many.
    pub(super) fn last(&self, number: usize) -> impl Iterator<Item = &str> {
        let from = self.lines.len().saturating_sub(number);
        self.lines.range(from..).map(String::as_str)
    }

    /// All lines, after one that says how many are missing.
    pub(super) fn text(&self) -> String {
        let mut text = match self.left_out {
            0 => String::new(),
            1 => "… 1 earlier line is in the run log\n".to_owned(),
            lines => format!("… {lines} earlier lines are in the run log\n"),
        };
        for line in &self.lines {
            text += line;
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut tail = Tail::new(10_000);
        assert!(tail.is_empty());
        for number in 0..5000 {
            tail.push(&format!("line {number:>50}"));
        }
        let text = tail.text();
        assert!(text.len() < 10_100, "{}", text.len());
        assert_eq!(tail.left_out + tail.lines.len(), 5000);
        let head = format!("… {} earlier lines", tail.left_out);
        assert!(text.starts_with(&head), "{text}");
        assert!(text.ends_with("4999\n"));
        assert_eq!(tail.last(2).count(), 2);
        tail.push(&"x".repeat(10_000));
        assert_eq!(tail.text(), "… 5001 earlier lines are in the run log\n");
        assert!(!tail.is_empty());
    }
}
