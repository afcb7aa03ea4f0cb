//! What is wrong with a folder of migrations, ready to be shown.

use std::{fmt, io, path::PathBuf};

use crate::event::{Explain, Fault, FaultClass, Spot};

/// One thing that is wrong in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Relative to the project.
    pub file: PathBuf,
    pub spot: Spot,
    pub what: String,
    pub help: String,
}

/// Why the migrations of a folder cannot be used. Folders are relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanError {
    /// The folder itself.
    Folder {
        dir: PathBuf,
        what: String,
        help: &'static str,
    },
    Files {
        dir: PathBuf,
        /// In the order of file names; never empty.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.file.display())?;
        let (line, column) = (self.spot.line, self.spot.column);
        if (line, column) != (1, 1) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, "` {}", self.what)
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { dir, what, .. } => {
                write!(f, "migrations folder `{}` {what}", dir.display())
            }
            Self::Files { dir, problems } => match problems.as_slice() {
                [problem] => problem.fmt(f),
                many => write!(
                    f,
                    "{} problems in migrations folder `{}`",
                    many.len(),
                    dir.display()
                ),
            },
        }
    }
}

impl std::error::Error for ScanError {}

impl ScanError {
    /// Each problem by itself, with its place. A folder's place is known to who named it.
    pub fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Folder { help, .. } => {
                vec![Fault::from_error(self).class(FaultClass::Usage).help(*help)]
            }
            Self::Files { problems, .. } => problems.iter().map(Problem::fault).collect(),
        }
    }
}

impl Problem {
    fn fault(&self) -> Fault {
        Fault::new(self.to_string())
            .class(FaultClass::Usage)
            .at_spot(&self.file, &self.spot)
            .help(&self.help)
    }
}

impl Explain for ScanError {
    fn explain(&self) -> Fault {
        match (self, self.faults().as_slice()) {
            (_, [one]) => one.clone(),
            (Self::Files { problems, .. }, _) => problems.iter().fold(
                Fault::from_error(self).class(FaultClass::Usage),
                |fault, problem| fault.note(format!("{problem}: {}", problem.help)),
            ),
            (Self::Folder { .. }, _) => Fault::from_error(self),
        }
    }
}

pub(super) fn unreadable(dir: &str, error: &io::Error) -> ScanError {
    let (what, help) = match error.kind() {
        io::ErrorKind::NotFound => (
            "does not exist".to_owned(),
            "create the first migration with `devenv migrate new NAME`, or correct `dir`",
        ),
        io::ErrorKind::NotADirectory => (
            "is no folder".to_owned(),
            "name the folder that holds the migrations",
        ),
        _ => (
            format!("cannot be read: {error}"),
            "make it readable, or correct `dir`",
        ),
    };
    ScanError::Folder {
        dir: dir.into(),
        what,
        help,
    }
}
