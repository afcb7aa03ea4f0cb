//! `devenv deploy`: runs the steps that bring the project to a remote.

use std::process::ExitCode;

use super::{context::Context, run_steps::Run, session::Logs};
use crate::{
    config::nearest,
    event::{Fault, FaultClass, quoted},
};

/// Deploy to a remote: runs its `deploy` steps with all they need.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which `[remote.*]`.
    remote: String,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let name = args.remote.as_str();
    let name = name.strip_prefix("remote.").unwrap_or(name);
    let Some(remote) = config.remote.get(name) else {
        let names = || config.remote.keys().map(String::as_str);
        let fault = Fault::new(format!("devenv.toml has no `remote.{name}`"));
        return Err(fault
            .class(FaultClass::Usage)
            .help(match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if config.remote.is_empty() => {
                    "add `[remote.NAME] deploy = [\"task.…\"]`".to_owned()
                }
                None => format!("it has {}", quoted(names())),
            }));
    };
    let run = Run {
        logs: Logs::Shown,
        ..Run::new("deploy", remote.deploy.clone())
    };
    Ok(run.execute(cx).await?.code)
}
