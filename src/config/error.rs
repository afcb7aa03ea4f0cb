//! What is wrong with a file, and where.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Source;

/// All errors of a file, in file order.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{}` has {} error{}", self.file().display(), errors.len(), if errors.len() == 1 { "" } else { "s" })]
pub struct ConfigErrors {
    pub source_file: Arc<Source>,
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// The file that has the errors: they are all of one.
    fn file(&self) -> &Path {
        match self.errors.first().map(|error| &error.site) {
            Some(ErrorSite::File { path, .. }) => path,
            Some(ErrorSite::Span(_) | ErrorSite::Whole) | None => &self.source_file.path,
        }
    }
}

/// One error and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Such as "unknown key `prot` in `[app.hello]`".
    pub message: String,
    pub site: ErrorSite,
    /// What the marked place says.
    pub label: Option<String>,
    pub help: Option<String>,
}

/// Where an error stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorSite {
    /// Byte range in the file.
    Span(Range<usize>),
    /// A place in another file, relative to the project, whose text is not shown. Counts from 1.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    /// The file as a whole: it cannot be read.
    Whole,
}

impl ConfigError {
    pub(super) fn new(site: ErrorSite, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            site,
            label: None,
            help: None,
        }
    }

    pub(super) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Where it comes in the list: what is outside the file first, then file order.
    pub(super) fn order(&self) -> usize {
        match &self.site {
            ErrorSite::Span(span) => span.start + 1,
            ErrorSite::File { .. } | ErrorSite::Whole => 0,
        }
    }
}
