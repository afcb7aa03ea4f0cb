//! The scripts that git runs: where they are, and whose each is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::place::Place;
use crate::{
    config::{self, hook_name},
    event::{Explain, Fault, FaultClass},
    git::Repository,
    mirror::git_hook::{self, Author, Shim},
};

/// What is where git looks for a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Installed,
    /// Written by another devenv, or for a project that has moved.
    Outdated,
    /// Nothing.
    Missing,
    /// Written by devenv and edited since.
    Edited,
    /// Written by devenv for another project of the repository.
    OtherProject,
    Foreign,
}

/// A hook as it is found.
#[derive(Debug, Clone, Serialize)]
pub struct Script {
    pub hook: String,
    pub state: State,
    pub path: PathBuf,
    /// The tool that wrote a foreign one, where it can be told.
    pub tool: Option<&'static str>,
    /// Another one is kept beside it and runs first.
    pub chained: bool,
    /// Whether devenv.toml has it.
    pub configured: bool,
}

/// Where git looks for hooks.
pub struct Scripts {
    pub dir: PathBuf,
    /// Everybody who has the checkout has them.
    pub is_in_checkout: bool,
    project: String,
    top: Option<PathBuf>,
    program: String,
}

impl Scripts {
    pub async fn find(repository: &Repository, project: &str) -> Result<Self, Fault> {
        let dir = dir(repository).await?;
        Self::at(repository, &dir, project)?.ok_or_else(|| shared(repository, &dir))
    }

    /// Wherever devenv may have written: where git looks now, and where it looks when nothing else is set.
    pub async fn everywhere(repository: &Repository) -> Result<Vec<Self>, Fault> {
        let dirs = BTreeSet::from([dir(repository).await?, repository.own_hooks_dir()]);
        let found = dirs.iter().map(|dir| Self::at(repository, dir, ""));
        found.filter_map(Result::transpose).collect()
    }

    /// `None` of a folder that other repositories may have, too: devenv writes nothing there.
    fn at(repository: &Repository, dir: &Path, project: &str) -> Result<Option<Self>, Fault> {
        let program = std::env::current_exe().map_err(|error| {
            Fault::new("cannot find out where devenv is")
                .class(FaultClass::Environment)
                .note(error.to_string())
        })?;
        let is_in = |folder: &Path| dir.starts_with(folder);
        let is_in_repository = is_in(&repository.common_dir) || is_in(&repository.git_dir);
        let is_in_checkout = !is_in_repository && repository.top.as_deref().is_some_and(is_in);
        Ok((is_in_repository || is_in_checkout).then(|| Self {
            is_in_checkout,
            dir: dir.to_owned(),
            project: project.to_owned(),
            top: repository.top.clone(),
            program: program.display().to_string(),
        }))
    }

    /// The script that devenv writes for a hook.
    pub fn text(&self, hook: &str) -> String {
        let shim = Shim {
            hook,
            project: &self.project,
            // Where devenv is here says nothing of other machines.
            program: (!self.is_in_checkout).then_some(&self.program),
        };
        shim.text()
    }

    pub fn path(&self, hook: &str) -> PathBuf {
        self.dir.join(hook)
    }

    /// Where the hook is that runs before devenv's.
    pub fn chained(&self, hook: &str) -> PathBuf {
        self.dir.join(git_hook::chained(hook))
    }

    /// These hooks and all that are there, by name.
    pub fn list(&self, configured: &BTreeSet<String>) -> Result<BTreeMap<String, Script>, Fault> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries.flatten().collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable("read", &self.dir, &error)),
        };
        let there = entries
            .iter()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let there = there.map(|name| name.trim_end_matches(&git_hook::chained("")).to_owned());
        let names: BTreeSet<_> = there
            .filter(|name| hook_name(name).is_ok())
            .chain(configured.iter().cloned())
            .collect();
        let script = |hook: String| {
            let script = self.script(&hook, configured.contains(&hook))?;
            Ok((hook, script))
        };
        names.into_iter().map(script).collect()
    }

    fn script(&self, hook: &str, configured: bool) -> Result<Script, Fault> {
        let path = self.path(hook);
        // Also a link to a script of ours is somebody else's.
        let is_file = path.symlink_metadata().map(|meta| meta.is_file());
        let (state, tool) = match is_file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (State::Missing, None),
            Err(error) => return Err(unusable("read", &path, &error)),
            Ok(is_file) => {
                let text = fs::read(&path).unwrap_or_default();
                match git_hook::author(&text) {
                    Author::Devenv if is_file => (self.own(hook, &text), None),
                    Author::Edited if is_file => (State::Edited, None),
                    Author::Devenv | Author::Edited | Author::Other => {
                        (State::Foreign, tool(&path, &text))
                    }
                }
            }
        };
        Ok(Script {
            chained: self.chained(hook).symlink_metadata().is_ok(),
            hook: hook.to_owned(),
            state,
            path,
            tool,
            configured,
        })
    }

    fn own(&self, hook: &str, text: &[u8]) -> State {
        // Git runs no other.
        let is_program = |meta: fs::Metadata| meta.permissions().mode() & 0o111 != 0;
        if text == self.text(hook).as_bytes() {
            return match self.path(hook).metadata().is_ok_and(is_program) {
                true => State::Installed,
                false => State::Outdated,
            };
        }
        let text = String::from_utf8_lossy(text);
        let other = git_hook::project(&text).filter(|project| *project != self.project);
        let is_there = |project: &String| {
            let top = self.top.as_ref();
            top.is_some_and(|top| top.join(project).join(config::FILE).exists())
        };
        match other.filter(is_there) {
            Some(_) => State::OtherProject,
            None => State::Outdated,
        }
    }
}

/// Who wrote a hook, from what such tools write.
fn tool(path: &Path, text: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 7] = [
        ("husky", "husky"),
        ("lefthook", "lefthook"),
        ("prek", "prek"),
        ("pre-commit", "pre-commit"),
        ("overcommit", "overcommit"),
        ("git lfs", "git-lfs"),
        ("hk run", "hk"),
    ];
    let text = String::from_utf8_lossy(text);
    let is_husky = path.components().any(|part| part.as_os_str() == ".husky");
    // The name of the hook itself says nothing.
    let text = text.replace("pre-commit hook", "");
    let mut known = KNOWN.iter().filter(|(word, _)| text.contains(word));
    match is_husky {
        true => Some("husky"),
        false => known.next().map(|(_, tool)| *tool),
    }
}

async fn dir(repository: &Repository) -> Result<PathBuf, Fault> {
    let dir = repository.hooks_dir().await;
    dir.map_err(|error| error.explain())
}

/// Other repositories have the folder too.
fn shared(repository: &Repository, dir: &Path) -> Fault {
    let own = repository.own_hooks_dir();
    Fault::new(format!(
        "hooks of this repository are in `{}`, which others may share",
        dir.display()
    ))
    .class(FaultClass::Usage)
    .note("git's `core.hooksPath` says so; devenv writes only into folders of the repository")
    .help(format!(
        "give this repository its own: git config --local core.hooksPath \"{}\"",
        own.display()
    ))
}

pub fn unusable(what: &str, path: &Path, error: &io::Error) -> Fault {
    let fault = Fault::new(format!("cannot {what} `{}`", path.display()))
        .class(FaultClass::Environment)
        .note(error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => fault.help(
            "let this user write there, or name another folder: git config core.hooksPath FOLDER",
        ),
        _ => fault,
    }
}

/// The configured hooks of the project.
pub fn configured(hooks: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    hooks.into_iter().map(Into::into).collect()
}

/// Where the project's hooks are.
pub async fn of(place: &Place) -> Result<Scripts, Fault> {
    Scripts::find(&place.repository, &place.project).await
}
