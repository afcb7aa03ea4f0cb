//! `devenv ci`: the whole flow as CI runs it, and the files that make a CI service run it.

mod check;
mod generate;
mod reports;
pub mod system;
mod whole;

use std::process::ExitCode;

use super::context::Context;
use crate::{
    config::{Config, StepId, StepKind},
    event::{Fault, FaultClass, quoted},
};

/// Run the whole flow from nothing, with things of its own that are gone at the end; write and check the files of CI services.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    whole: whole::Flow,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Generate(generate::Args),
    Check(check::Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// Workflows of GitHub Actions.
    Github,
    /// The pipeline of GitLab CI.
    Gitlab,
}

impl Service {
    fn step(self) -> StepId {
        let name = match self {
            Service::Github => "github",
            Service::Gitlab => "gitlab",
        };
        StepId::new(StepKind::Ci, name)
    }
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    match args.action {
        None => whole::run(cx, args.whole).await,
        Some(Action::Generate(args)) => generate::run(cx, &args),
        Some(Action::Check(args)) => check::run(cx, &args),
    }
}

/// The steps of the services that are named, or of all that the file has.
fn services(config: &Config, named: &[Service]) -> Result<Vec<StepId>, Fault> {
    let ci = config.ci.as_ref();
    let github = ci.and_then(|ci| ci.github.as_ref());
    let gitlab = ci.and_then(|ci| ci.gitlab.as_ref());
    let mut known = Vec::new();
    known.extend(github.map(|_| Service::Github.step()));
    known.extend(gitlab.map(|_| Service::Gitlab.step()));
    if known.is_empty() {
        let table = named.first().copied().unwrap_or(Service::Github).step();
        return Err(Fault::new("devenv.toml names no CI service")
            .class(FaultClass::Usage)
            .help(format!("add a table `[{table}]`, it may be empty")));
    }
    let wanted: Vec<_> = named.iter().map(|service| service.step()).collect();
    match wanted.iter().find(|step| !known.contains(step)) {
        Some(absent) => Err(Fault::new(format!("devenv.toml has no `[{absent}]`"))
            .class(FaultClass::Usage)
            .help(format!(
                "add the table, it may be empty; it has {}",
                quoted(known)
            ))),
        None if wanted.is_empty() => Ok(known),
        None => Ok(wanted),
    }
}
