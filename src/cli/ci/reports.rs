//! The files that tell of a run of CI.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::system;
use crate::{
    cli::context::Context,
    event::{Fault, FaultClass},
    report::{self, Run, Timings},
    sys::{fs::write_atomic, git::folder_of},
};

#[derive(Debug, Default, clap::Args)]
pub struct Reports {
    /// Write a JUnit report: a test case for each step.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write what was found in files as SARIF.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write what was found in files as GitLab's code quality report.
    #[arg(long, value_name = "FILE")]
    code_quality: Option<PathBuf>,
    /// Add a summary in Markdown to a file; to GITHUB_STEP_SUMMARY when absent.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

impl Reports {
    /// Sees to it that all can be written, and that none stays there of an earlier run, before anything is run.
    pub fn claim(&self) -> Result<(), Fault> {
        for path in [&self.junit, &self.sarif, &self.code_quality]
            .into_iter()
            .flatten()
        {
            let place = absolute(path);
            write_atomic(&place, b"")
                .and_then(|()| fs::remove_file(&place))
                .map_err(|error| unwritable(path, &error))?;
        }
        match self.summary() {
            Some(path) => append(&path, "").map_err(|error| unwritable(&path, &error)),
            None => Ok(()),
        }
    }

    pub fn write(&self, cx: &Context, run: &Run, timings: &Timings) -> Result<(), Fault> {
        let prefix = cx.root().map(|root| folder_of(&root));
        let prefix = prefix.unwrap_or_default();
        let whole = |path: &Option<PathBuf>, text: &dyn Fn() -> String| match path {
            Some(path) => write_atomic(&absolute(path), text().as_bytes())
                .map_err(|error| unwritable(path, &error)),
            None => Ok(()),
        };
        whole(&self.junit, &|| report::junit(run))?;
        whole(&self.sarif, &|| report::sarif(run, &prefix))?;
        whole(&self.code_quality, &|| report::code_quality(run, &prefix))?;
        let Some(path) = self.summary() else {
            return Ok(());
        };
        let text = report::summary(run, timings, &prefix);
        append(&path, &text).map_err(|error| unwritable(&path, &error))
    }

    fn summary(&self) -> Option<PathBuf> {
        self.summary.clone().or_else(system::summary)
    }
}

/// Other steps of the job may have written there.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// With a folder to put a temporary file beside it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn unwritable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(format!("cannot write the report `{}`", path.display()))
        .class(FaultClass::Environment)
        .note(error.to_string())
}
