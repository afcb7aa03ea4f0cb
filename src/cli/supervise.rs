//! Hidden commands: the process that watches a worktree's processes, and the first moments of each of those.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::{
    runtime::process::{launch, supervisor},
    sys::child::Become,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    root: PathBuf,
    identity: String,
}

pub fn run(args: Args) -> ExitCode {
    let done = std::env::current_exe()
        .and_then(|program| supervisor::run(&args.root, &args.identity, program));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What a child is to do before it becomes its program.
#[derive(Debug, clap::Args)]
pub struct LaunchArgs {
    /// Control group to join.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// User to become.
    #[arg(long)]
    user: Option<String>,
    /// Signal to get when the supervisor has gone.
    #[arg(long)]
    with_parent: Option<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    argv: Vec<OsString>,
}

/// Becomes the program; the exit code of shells when it cannot.
pub fn launch(args: LaunchArgs) -> ExitCode {
    let mut again: Vec<OsString> = vec![launch::COMMAND.into()];
    if let Some(signal) = &args.with_parent {
        again.extend(["--with-parent".into(), signal.into()]);
    }
    again.push("--".into());
    again.extend(args.argv.iter().cloned());
    let name = args.argv[0].clone();
    let error = Become {
        cgroup: args.cgroup,
        user: args.user,
        with_parent: args.with_parent.as_deref().map(launch::signal),
        argv: args.argv,
        again,
    }
    .exec();
    eprintln!("cannot run `{}`: {error}", name.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => ExitCode::from(127),
        _ => ExitCode::from(126),
    }
}
