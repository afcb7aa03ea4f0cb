//! A run as CI systems keep it: JUnit, SARIF, GitLab's code quality, a Markdown summary; all from the events of the run.
//!
//! Pure: records in, text out. Nothing that a program printed can become a command, a tag or a table of these formats.

mod code_quality;
mod finding;
mod github;
mod gitlab;
mod junit;
mod markdown;
mod run;
mod sarif;

#[cfg(test)]
pub(super) mod testing;

pub use code_quality::code_quality;
pub use finding::Finding;
pub use junit::junit;
pub use markdown::summary;
pub use run::{Ran, Run};
pub use sarif::sarif;

pub(super) use github::Github;
pub(super) use gitlab::Gitlab;
