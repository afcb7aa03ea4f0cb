//! Events as JSON, one a line: what `--output json` prints and what the run log holds.

use crate::event::Record;

/// The record on one line, line end included.
pub fn json_line(record: &Record) -> String {
    let mut line = serde_json::to_string(record).expect("records are plain data");
    line.push('\n');
    line
}
