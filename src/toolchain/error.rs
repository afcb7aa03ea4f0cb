//! What can go wrong with a tool, and what to do then.

use std::{io, path::PathBuf};

use super::{archive::ArchiveError, download::DownloadError, system};
use crate::{
    config::KeyPath,
    event::{Explain, Fault, FaultClass, quoted},
    lockfile::LockError,
    sys::process::ProcessError,
};

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error("there is no tool `{tool}`")]
    Unknown { tool: String },
    #[error("the lock has no valid row for tool `{tool}`: {why}")]
    Unlocked { tool: String, why: String },
    #[error("tool `{tool}`: `{command}` is not on PATH")]
    NotFound { tool: String, command: String },
    #[error("tool `{tool}`: `{}` is version {found}, wanted `{wanted}`", path.display())]
    WrongVersion {
        tool: String,
        found: String,
        wanted: String,
        path: PathBuf,
    },
    #[error("tool `{tool}`: `{command}` did not tell its version")]
    ReadVersion {
        tool: String,
        command: String,
        output: Vec<String>,
    },
    #[error("tool `{tool}`: `{range}` is no version range: {message}")]
    Range {
        tool: String,
        range: String,
        message: String,
    },
    #[error("tool `{tool}` has no `{key}`")]
    Incomplete { tool: String, key: &'static str },
    #[error("tool `{tool}` has no archive for this platform, `{platform}`")]
    Platform {
        tool: String,
        platform: String,
        locked: Vec<String>,
    },
    #[error("cannot download tool `{tool}` from `{url}`")]
    Download {
        tool: String,
        url: String,
        #[source]
        source: DownloadError,
    },
    #[error("tool `{tool}`: `{url}` is not what `sha256` says")]
    OtherDigest {
        tool: String,
        platform: String,
        url: String,
        expected: String,
        found: String,
    },
    #[error("cannot unpack tool `{tool}` from `{url}`")]
    Unpack {
        tool: String,
        url: String,
        #[source]
        source: ArchiveError,
    },
    #[error("tool `{tool}` has no executable `{wanted}`")]
    NoExecutable {
        tool: String,
        wanted: String,
        has: Vec<String>,
    },
    #[error("tool `{tool}` needs `{program}`, which is not on PATH")]
    NeedsProgram {
        tool: String,
        program: &'static str,
        help: &'static str,
    },
    #[error("tool `{tool}`: `{command}` failed with {status}")]
    Command {
        tool: String,
        command: String,
        status: String,
        tail: Vec<String>,
        help: Option<String>,
    },
    #[error("tool `{tool}`: `{package}` does not have the checksum that the lock has")]
    Checksum {
        tool: String,
        package: String,
        locked: String,
        found: String,
    },
    #[error("tool `{tool}`: what `{command}` wrote cannot be read: {message}")]
    Report {
        tool: String,
        command: String,
        message: String,
    },
    #[error("tool `{tool}`: only root may install the package `{package}`")]
    NotRoot {
        tool: String,
        package: String,
        command: String,
    },
    #[error("tool `{tool}` is still not ready after its install: {why}")]
    NotReady { tool: String, why: String },
    #[error("tool `{tool}`: cannot run a command")]
    Process {
        tool: String,
        #[source]
        source: ProcessError,
    },
    #[error("cannot change `{}`", path.display())]
    Store {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no home directory to keep tools in")]
    NoHome,
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the install was cancelled")]
    Cancelled,
}

impl ToolchainError {
    fn tool(&self) -> Option<&str> {
        match self {
            ToolchainError::Unknown { tool }
            | ToolchainError::Unlocked { tool, .. }
            | ToolchainError::NotFound { tool, .. }
            | ToolchainError::WrongVersion { tool, .. }
            | ToolchainError::ReadVersion { tool, .. }
            | ToolchainError::Range { tool, .. }
            | ToolchainError::Incomplete { tool, .. }
            | ToolchainError::Platform { tool, .. }
            | ToolchainError::Download { tool, .. }
            | ToolchainError::OtherDigest { tool, .. }
            | ToolchainError::Unpack { tool, .. }
            | ToolchainError::NoExecutable { tool, .. }
            | ToolchainError::NeedsProgram { tool, .. }
            | ToolchainError::Command { tool, .. }
            | ToolchainError::Checksum { tool, .. }
            | ToolchainError::Report { tool, .. }
            | ToolchainError::NotRoot { tool, .. }
            | ToolchainError::NotReady { tool, .. }
            | ToolchainError::Process { tool, .. } => Some(tool),
            ToolchainError::Store { .. }
            | ToolchainError::NoHome
            | ToolchainError::Lock(_)
            | ToolchainError::Cancelled => None,
        }
    }

    /// The key of the tool's table that the error is about.
    fn key(&self) -> Option<&'static str> {
        match self {
            ToolchainError::Range { .. } | ToolchainError::WrongVersion { .. } => Some("version"),
            ToolchainError::NotFound { .. } => Some("command"),
            ToolchainError::Download { .. } | ToolchainError::Unpack { .. } => Some("url"),
            ToolchainError::NoExecutable { .. } => Some("bin"),
            _ => None,
        }
    }

    fn class(&self) -> FaultClass {
        match self {
            ToolchainError::Cancelled => FaultClass::Interrupted,
            ToolchainError::Process {
                source: ProcessError::Cancelled { .. },
                ..
            } => FaultClass::Interrupted,
            ToolchainError::Range { .. }
            | ToolchainError::Incomplete { .. }
            | ToolchainError::Unknown { .. }
            | ToolchainError::Unlocked { .. } => FaultClass::Usage,
            ToolchainError::NotFound { .. }
            | ToolchainError::WrongVersion { .. }
            | ToolchainError::NeedsProgram { .. }
            | ToolchainError::NotRoot { .. }
            | ToolchainError::Store { .. }
            | ToolchainError::NoHome => FaultClass::Environment,
            _ => FaultClass::Step,
        }
    }

    fn notes(&self) -> Vec<String> {
        match self {
            ToolchainError::ReadVersion { output, .. } => output.clone(),
            ToolchainError::Command { tail, .. } => tail.clone(),
            ToolchainError::Platform { locked, .. } => {
                vec![format!("devenv.lock has {}", list(locked))]
            }
            ToolchainError::NoExecutable { has, .. } => vec![format!("it has {}", list(has))],
            ToolchainError::OtherDigest {
                expected, found, ..
            } => vec![format!("expected {expected}"), format!("found    {found}")],
            ToolchainError::Checksum { locked, found, .. } => {
                vec![format!("locked {locked}"), format!("found  {found}")]
            }
            ToolchainError::Download {
                source: DownloadError::Checksum { expected, found },
                ..
            } => vec![format!("expected {expected}"), format!("found    {found}")],
            ToolchainError::Download {
                source: DownloadError::Size { expected, found },
                ..
            } => vec![
                format!("expected {expected} bytes"),
                format!("found    {found} bytes"),
            ],
            _ => Vec::new(),
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            ToolchainError::Unlocked { .. } => "run `devenv lock` and commit devenv.lock".into(),
            ToolchainError::NotFound { tool, command } => system::bring(tool, command),
            ToolchainError::WrongVersion { wanted, .. } => system::bring_version(wanted),
            ToolchainError::ReadVersion { .. } => {
                "set `version_args` to what makes it print its version".into()
            }
            ToolchainError::Range { .. } => "write a range such as \">=1.90\" or \"1.2\"".into(),
            ToolchainError::Platform { platform, .. } => {
                format!("add `{platform}` to `platforms` and run `devenv lock`")
            }
            ToolchainError::NoExecutable { .. } => {
                "name the executables with `bin` (http) or `command`".into()
            }
            ToolchainError::NeedsProgram { help, .. } => (*help).into(),
            ToolchainError::Command { help, .. } => return help.clone(),
            ToolchainError::OtherDigest { .. } => {
                "compare both with what its authors publish, and correct `sha256` only when they agree with what was found".into()
            }
            ToolchainError::Checksum { .. } => CHANGED.into(),
            ToolchainError::NotRoot { command, .. } => format!("run `{command}`"),
            ToolchainError::NoHome => "set HOME or XDG_DATA_HOME".into(),
            ToolchainError::Download { source: DownloadError::Size { .. }, tool, .. } => format!(
                "the checksum is right, so `size` in devenv.lock is not what was locked: run `devenv lock {tool}`"
            ),
            ToolchainError::Download { source, .. } => return source.help().map(Into::into),
            ToolchainError::Unpack { source, .. } => source.help().into(),
            _ => return None,
        };
        Some(text)
    }
}

const CHANGED: &str = "someone published other content under the same version: find out why before you run `devenv lock`";

impl ArchiveError {
    fn help(&self) -> &'static str {
        match self {
            ArchiveError::Other(_) => {
                "open `url` in a browser: it must be the file itself, not the page that offers it"
            }
            ArchiveError::Refused { .. } => {
                "do not use this archive: tell its authors, or take the tool from elsewhere"
            }
            ArchiveError::Read { .. } => {
                "it came as its server has it, and is broken: take another `version`, or tell its authors"
            }
            ArchiveError::Write { .. } => "make room on the disk, or see who may write there",
        }
    }
}

impl DownloadError {
    fn help(&self) -> Option<&'static str> {
        match self {
            DownloadError::Checksum { .. } => Some(CHANGED),
            DownloadError::Status { .. } => Some("check `url` and `version`"),
            DownloadError::Connect { .. } | DownloadError::Truncated { .. } => {
                Some("check the network, then try again")
            }
            DownloadError::Size { .. } | DownloadError::Write { .. } | DownloadError::Cancelled => {
                None
            }
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        names => quoted(names),
    }
}

impl Explain for ToolchainError {
    fn explain(&self) -> Fault {
        if let ToolchainError::Lock(error) = self {
            return error.explain();
        }
        let mut fault = Fault::from_error(self).class(self.class());
        fault.notes.extend(self.notes());
        fault.help = self.help();
        match self.tool() {
            Some(tool) => {
                let table = KeyPath::of(["toolchain", tool]);
                fault.at_key(match (self, self.key()) {
                    (ToolchainError::OtherDigest { platform, .. }, _) => {
                        table.join("sha256").join(platform)
                    }
                    (_, Some(key)) => table.join(key),
                    (_, None) => table,
                })
            }
            None => fault,
        }
    }
}
