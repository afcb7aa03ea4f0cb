//! `devenv hooks`: git's hooks check what is committed or pushed.
//!
//! `install`, `uninstall` and `status` are about the scripts that git runs ([`scripts`]); `run` is what the scripts call:
//! [`subject`] says which trees are to be checked, [`passed`] which of them were, [`check`] checks the others.

mod check;
mod facts;
mod install;
mod passed;
mod place;
mod private;
mod run;
mod scripts;
mod status;
mod steps;
mod subject;
mod uninstall;

use std::process::ExitCode;

use super::context::Context;
use crate::event::Fault;

/// Let git's hooks check what is committed or pushed, as [hook.*] of devenv.toml says.
///
/// A hook checks the files that are committed or pushed, whatever the checkout holds: in the checkout when it has just these
/// files, else in a private worktree that is removed again. It changes nothing of the project; a database or service that it needs
/// is started for it beside what is up, and stopped again. What has passed is not checked again. `git commit --no-verify`, `git
/// push --no-verify` or DEVENV_HOOKS=0 in the environment skip it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Install(install::Args),
    Uninstall(uninstall::Args),
    Status(status::Args),
    Run(run::Args),
    #[command(hide = true)]
    Steps(steps::Args),
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    match args.action {
        Action::Install(args) => install::run(cx, args).await,
        Action::Uninstall(args) => uninstall::run(cx, args).await,
        Action::Status(args) => status::run(cx, args).await,
        Action::Run(args) => run::run(cx, args).await,
        Action::Steps(args) => steps::run(cx, args).await,
    }
}
