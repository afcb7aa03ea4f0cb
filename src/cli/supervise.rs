//! Hidden commands: the process that watches a worktree's processes, and the first moments of each of those.
//!
//! Taken before clap sees the arguments, and not known to it: devenv alone says them, the first stays for as long as something runs,
//! and each start of a program waits for the second.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    runtime::process::{SUPERVISE, launch, supervisor},
    sys::child::Become,
};

/// Does what these arguments of the process say; `None` when they are for others.
pub fn answer(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    let command = arguments.next()?;
    if command == launch::COMMAND {
        return launch::parse(arguments).map(launch);
    }
    if command != SUPERVISE {
        return None;
    }
    let arguments: Vec<_> = arguments.collect();
    match arguments.as_slice() {
        [root, identity] => Some(supervise(Path::new(root), identity)),
        _ => None,
    }
}

fn supervise(root: &Path, identity: &OsStr) -> ExitCode {
    let identity = identity
        .to_str()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
    let done =
        identity.and_then(|identity| supervisor::run(root, identity, std::env::current_exe()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On a full disk nobody reads that: the exit code tells as well.
            let _ = writeln!(std::io::stderr(), "{error}");
            let number = error
                .raw_os_error()
                .and_then(|code| u8::try_from(code).ok());
            ExitCode::from(number.unwrap_or(1))
        }
    }
}

/// Becomes the program; the exit code of shells when it cannot.
fn launch(child: Become) -> ExitCode {
    let name = child.argv[0].clone();
    let error = child.exec();
    eprintln!("cannot run `{}`: {error}", name.display());
    match error.kind() {
        io::ErrorKind::NotFound => ExitCode::from(127),
        _ => ExitCode::from(126),
    }
}
