//! `devenv hooks uninstall`: removes the scripts, and puts back what was there before.

use std::{collections::BTreeSet, fs, io, process::ExitCode};

use serde::Serialize;

use super::{
    place,
    scripts::{Script, Scripts, State, unusable},
};
use crate::{cli::context::Context, event::Fault};

/// Remove the hooks that devenv installed, and put back those that were there before.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Default, Serialize)]
struct Uninstalled {
    removed: BTreeSet<String>,
    /// Those that were there before.
    restored: BTreeSet<String>,
    /// Written by devenv and edited since: left alone.
    edited: Vec<String>,
}

pub async fn run(cx: &Context, _: Args) -> Result<ExitCode, Fault> {
    let repository = place::repository(cx)?;
    let mut all = Uninstalled::default();
    for scripts in Scripts::everywhere(&repository).await? {
        for script in scripts.list(&BTreeSet::new())?.values() {
            all.take(&scripts, script)?;
        }
    }
    // Who has no hooks needs no passes. What still runs has a lock.
    let _ = fs::remove_dir_all(repository.state().join("passed"));
    cx.answer(&all, || all.text());
    for path in &all.edited {
        anstream::eprintln!("note: `{path}` was edited and is left alone");
    }
    Ok(ExitCode::SUCCESS)
}

pub fn is_ours(state: State) -> bool {
    match state {
        State::Installed | State::Outdated | State::OtherProject => true,
        State::Missing | State::Edited | State::Foreign => false,
    }
}

/// Removes the script. True when another one was put in its place. Killed in between, the script is there or the other one is.
pub fn remove(scripts: &Scripts, script: &Script) -> Result<bool, Fault> {
    let path = &script.path;
    if script.chained {
        let back = fs::rename(scripts.chained(&script.hook), path);
        return back
            .map(|()| true)
            .map_err(|error| unusable("write", path, &error));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(unusable("remove", path, &error))
        }
        Ok(()) | Err(_) => Ok(false),
    }
}

impl Uninstalled {
    fn take(&mut self, scripts: &Scripts, script: &Script) -> Result<(), Fault> {
        let is_left = script.state == State::Missing && script.chained;
        if script.state == State::Edited {
            self.edited.push(script.path.display().to_string());
        } else if is_ours(script.state) || is_left {
            if remove(scripts, script)? {
                self.restored.insert(script.hook.clone());
            }
            self.removed.insert(script.hook.clone());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = match self.removed.is_empty() {
            true => "No hook of devenv is installed\n".to_owned(),
            false => format!("Removed {}\n", names(&self.removed)),
        };
        if !self.restored.is_empty() {
            text += &format!("Put back what was there of {}\n", names(&self.restored));
        }
        text
    }
}

fn names(hooks: &BTreeSet<String>) -> String {
    let hooks: Vec<_> = hooks.iter().map(String::as_str).collect();
    hooks.join(", ")
}
