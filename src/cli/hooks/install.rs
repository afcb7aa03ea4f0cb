//! `devenv hooks install`: writes the scripts that git runs.

use std::{fs, process::ExitCode};

use serde::Serialize;

use super::{
    place::Place,
    scripts::{self, Script, Scripts, State, unusable},
    uninstall,
};
use crate::{
    cli::context::Context,
    event::{Fault, FaultClass},
    sys::fs::write_program,
};

/// Let git run the hooks of devenv.toml, in every worktree of the repository.
///
/// A hook that is there already and was not written by devenv is never overwritten.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep hooks that are there already: each runs before devenv's, with the same arguments and input.
    #[arg(long)]
    chain: bool,
}

#[derive(Debug, Default, Serialize)]
struct Installed {
    folder: String,
    installed: Vec<String>,
    updated: Vec<String>,
    unchanged: Vec<String>,
    /// Those that devenv.toml no longer has.
    removed: Vec<String>,
    /// Kept, and run first.
    chained: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let place = Place::of_project(cx)?;
    let config = cx.config()?;
    if config.hook.is_empty() {
        return Err(Fault::new("devenv.toml has no `[hook.*]` table")
            .class(FaultClass::Usage)
            .help("add `[hook.pre-push]` with `run = [\"task.lint\"]`"));
    }
    let scripts = scripts::of(&place).await?;
    let listed = scripts.list(&scripts::configured(config.hook.keys()))?;
    let wanted = || listed.values().filter(|script| script.configured);
    // All or none, so that what is there is what was told.
    let in_the_way = wanted().filter_map(|script| in_the_way(&scripts, script, args.chain));
    if let Some(fault) = Fault::all(in_the_way.collect()) {
        return Err(fault);
    }
    let mut all = Installed {
        folder: scripts.dir.display().to_string(),
        ..Installed::default()
    };
    for script in wanted() {
        install(&scripts, script, &mut all)?;
    }
    let left = listed.values().filter(|script| !script.configured);
    for script in left.filter(|script| uninstall::is_ours(script.state)) {
        uninstall::remove(&scripts, script)?;
        all.removed.push(script.hook.clone());
    }
    cx.answer(&all, || all.text());
    if scripts.is_in_checkout {
        anstream::eprintln!(
            "note: the folder is in the checkout: commit the hooks, or let git ignore them"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn install(scripts: &Scripts, script: &Script, all: &mut Installed) -> Result<(), Fault> {
    let hook = &script.hook;
    let list = match script.state {
        State::Installed => {
            all.unchanged.push(hook.clone());
            return Ok(());
        }
        State::Outdated => &mut all.updated,
        State::Missing => &mut all.installed,
        State::Edited | State::OtherProject | State::Foreign => {
            let kept = fs::rename(&script.path, scripts.chained(hook));
            kept.map_err(|error| unusable("rename", &script.path, &error))?;
            all.chained.push(hook.clone());
            &mut all.installed
        }
    };
    let written = write_program(&script.path, scripts.text(hook).as_bytes());
    written.map_err(|error| unusable("write", &script.path, &error))?;
    list.push(hook.clone());
    Ok(())
}

/// Why the script cannot be written.
fn in_the_way(scripts: &Scripts, script: &Script, chain: bool) -> Option<Fault> {
    let Script { hook, path, .. } = script;
    let by = match (script.state, script.tool) {
        (State::Installed | State::Outdated | State::Missing, _) => return None,
        (State::OtherProject, _) => {
            let fault = format!("`{hook}` is installed for another project of this repository");
            return Some(Fault::new(fault).class(FaultClass::Usage).note(format!("it is `{}`", path.display())).help(
                "a repository has one hook of a name: let a task of that project run `devenv -C FOLDER hooks run` for this one",
            ));
        }
        (State::Edited, _) => return Some(edited(scripts, script)),
        (State::Foreign, Some(tool)) => format!("it is a hook of {tool}"),
        (State::Foreign, None) => "it was not written by devenv".to_owned(),
    };
    let fault = Fault::new(format!("`{}` is there already", path.display()))
        .class(FaultClass::Usage)
        .note(by);
    if !chain {
        return Some(fault.help(
            "`devenv hooks install --chain` keeps it and runs it first; or remove it if it is not needed",
        ));
    }
    if path.is_dir() {
        return Some(fault.help("move it away: git runs no folder"));
    }
    script.chained.then(|| {
        let kept = scripts.chained(hook);
        fault
            .note(format!("`{}` is kept for the same hook", kept.display()))
            .help("remove one of them")
    })
}

/// Kept and run first, it would call devenv, and devenv's own once more.
fn edited(scripts: &Scripts, script: &Script) -> Fault {
    let Script { hook, path, .. } = script;
    let beside = scripts.chained(hook);
    Fault::new(format!("`{}` is there already", path.display()))
        .class(FaultClass::Usage)
        .note("it was written by devenv and edited since")
        .help(format!(
            "remove it and run `devenv hooks install`; lines of your own belong into a task, or into a program `{}`, which runs first",
            beside.display()
        ))
}

impl Installed {
    fn text(&self) -> String {
        let mut text = String::new();
        for (word, hooks) in [
            ("Installed", &self.installed),
            ("Updated", &self.updated),
            ("Removed", &self.removed),
        ] {
            if !hooks.is_empty() {
                text += &format!("{word} {} in {}\n", hooks.join(", "), self.folder);
            }
        }
        if !self.chained.is_empty() {
            text += &format!(
                "Kept what was there of {}: it runs first\n",
                self.chained.join(", ")
            );
        }
        if text.is_empty() {
            text = format!(
                "{} up to date in {}\n",
                self.unchanged.join(", "),
                self.folder
            );
        }
        text
    }
}
