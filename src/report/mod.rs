//! Shows events and faults to people and programs. The one place that knows colours, widths and words.

mod ci;
mod diagnostic;
mod folded;
mod json;
mod plain;
mod plan;
mod progress;
mod renderer;
mod table;
mod tail;
mod timings;
mod tty;
mod words;

#[cfg(test)]
mod tests;

pub use ci::{Finding, Ran, Run, code_quality, junit, sarif, summary};
pub use folded::Folds;
pub use json::json_line;
pub use plan::plan;
pub use progress::note;
pub use renderer::{Format, Renderer, Setting};
pub use table::{Cell, Table};
pub use tail::Tail;
pub use timings::{Link, Span, Timings};
pub use words::{bytes, clean, duration};

use crate::{config::Source, event::Fault};

/// A failure as text, with the marked place of devenv.toml when it has one.
pub fn fault(fault: &Fault, source: Option<&Source>) -> String {
    diagnostic::fault(fault, source)
}
