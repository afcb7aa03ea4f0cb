//! The repository that hooks are about, and where in it the project is.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    cli::{context::Context, root},
    event::{Fault, FaultClass},
    git::{Given, Repository},
};

pub struct Place {
    pub repository: Repository,
    /// The project's folder in the repository, without slashes at its ends; empty when it is all of it.
    pub project: String,
}

impl Place {
    /// What git called a hook for, with the project that its script names.
    pub fn of_script(project: &str) -> Result<Self, Fault> {
        let cwd = current()?;
        Ok(Self {
            repository: find(&cwd)?,
            project: match project {
                "." => String::new(),
                project => project.to_owned(),
            },
        })
    }

    /// The project that the command was called in.
    pub fn of_project(cx: &Context) -> Result<Self, Fault> {
        let root = cx.root()?;
        let repository = find(&root)?;
        let top = repository.top.as_deref();
        let project = top.and_then(|top| root.strip_prefix(top).ok());
        let project = project.and_then(Path::to_str).map(str::to_owned);
        let outside = || {
            Fault::new(format!(
                "`{}` is in no checkout of its repository",
                root.display()
            ))
            .class(FaultClass::Usage)
        };
        Ok(Self {
            project: project.ok_or_else(outside)?,
            repository,
        })
    }

    /// The project's folder in the checkout, whether it is there or not.
    pub fn folder(&self) -> Option<PathBuf> {
        let top = self.repository.top.as_ref();
        top.map(|top| top.join(&self.project))
    }

    /// A file of the project, as git names it.
    pub fn path_of(&self, file: &str) -> String {
        match self.project.as_str() {
            "" => file.to_owned(),
            project => format!("{project}/{file}"),
        }
    }
}

/// The repository that a command is called in, also without a project.
pub fn repository(cx: &Context) -> Result<Repository, Fault> {
    find(&root::start(cx.directory())?)
}

fn find(start: &Path) -> Result<Repository, Fault> {
    // What git says of itself is relative to where it started this process.
    let cwd = match env::var_os("GIT_DIR") {
        Some(_) => current()?,
        None => start.to_owned(),
    };
    Repository::find(&Given::from_env(cwd)).ok_or_else(|| {
        Fault::new(format!("`{}` is in no git repository", start.display()))
            .class(FaultClass::Usage)
            .help("hooks are git's: run `git init` first")
    })
}

fn current() -> Result<PathBuf, Fault> {
    env::current_dir().map_err(|error| {
        Fault::new("cannot find out the current folder")
            .class(FaultClass::Environment)
            .note(error.to_string())
    })
}
