//! `devenv hooks status`: which hooks git would run.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    place::Place,
    scripts::{self, Script, State},
};
use crate::{
    cli::context::Context,
    event::Fault,
    report::{Cell, Table},
};

/// Show for each hook whether it is installed.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Status {
    folder: String,
    hooks: Vec<Script>,
}

pub async fn run(cx: &Context, _: Args) -> Result<ExitCode, Fault> {
    let place = Place::of_project(cx)?;
    let scripts = scripts::of(&place).await?;
    let listed = scripts.list(&scripts::configured(cx.config()?.hook.keys()))?;
    let status = Status {
        folder: scripts.dir.display().to_string(),
        hooks: listed.into_values().collect(),
    };
    cx.answer(&status, || text(&status));
    Ok(ExitCode::SUCCESS)
}

fn text(status: &Status) -> String {
    if status.hooks.is_empty() {
        return "devenv.toml has no `[hook.*]` table, and git no hooks\n".to_owned();
    }
    let mut table = Table::new(["HOOK", "STATE"]);
    for script in &status.hooks {
        table.row([
            Cell::from(script.hook.as_str()),
            Cell::from(words(script).as_str()),
        ]);
    }
    table.to_string()
}

fn words(script: &Script) -> String {
    let state = match (script.state, script.configured) {
        (State::Installed, true) => "installed".to_owned(),
        (State::Outdated, true) => "outdated: run `devenv hooks install`".to_owned(),
        (State::Missing, true) => "not installed: run `devenv hooks install`".to_owned(),
        (State::Edited, true) => {
            "written by devenv and edited since: remove it and run `devenv hooks install`"
                .to_owned()
        }
        (State::Edited, false) => "written by devenv and edited since".to_owned(),
        (State::OtherProject, _) => "of another project of this repository".to_owned(),
        (State::Foreign, is_wanted) => {
            let whose = match script.tool {
                Some(tool) => format!("foreign, of {tool}"),
                None => "foreign".to_owned(),
            };
            match is_wanted {
                true => {
                    format!("{whose}: `devenv hooks install --chain` keeps it and runs it first")
                }
                false => whose,
            }
        }
        (State::Installed | State::Outdated, false) => {
            "not in devenv.toml any more: run `devenv hooks install`".to_owned()
        }
        (State::Missing, false) => {
            "kept for a hook that is gone: run `devenv hooks uninstall`".to_owned()
        }
    };
    match script.chained {
        true => format!("{state}, after one that was there before"),
        false => state,
    }
}
