//! The project's folder, from the one where a command was called.

use std::path::{Path, PathBuf};

use crate::{
    config,
    event::{Fault, FaultClass},
    store::Store,
};

/// The nearest folder that has devenv.toml, from this one upwards.
pub fn of(directory: &Path) -> Result<PathBuf, Fault> {
    let start = start(directory)?;
    // Also what is no file: a folder or a broken link of the name must not let a parent's file be taken.
    match start.ancestors().find(|dir| has_file(dir)) {
        Some(dir) => is_file(dir),
        None => Err(Fault::new(format!(
            "no `{}` in `{}` or any folder above it",
            config::FILE,
            start.display()
        ))
        .class(FaultClass::Usage)
        .help("run devenv inside a project, or name its folder with `-C DIR`")),
    }
}

/// The nearest folder that has something by that name, or something that devenv keeps for a project.
pub fn with_state(directory: &Path) -> Result<Option<PathBuf>, Fault> {
    let start = start(directory)?;
    let mut dirs = start.ancestors();
    let found = dirs.find(|dir| has_file(dir) || Store::new(dir).identity().is_some());
    Ok(found.map(Path::to_path_buf))
}

/// Where the search begins: absolute, links resolved.
pub fn start(directory: &Path) -> Result<PathBuf, Fault> {
    directory.canonicalize().map_err(|error| {
        Fault::new(format!("cannot open folder `{}`", directory.display()))
            .class(FaultClass::Usage)
            .note(error.to_string())
            .help("name the folder of a project, or one in it, with `-C DIR`")
    })
}

fn has_file(dir: &Path) -> bool {
    dir.join(config::FILE).symlink_metadata().is_ok()
}

/// The folder, if what is called devenv.toml in it is a file or a link to one.
fn is_file(dir: &Path) -> Result<PathBuf, Fault> {
    let path = dir.join(config::FILE);
    let what = match path.metadata() {
        Ok(meta) if meta.is_file() => return Ok(dir.to_path_buf()),
        Ok(meta) if meta.is_dir() => "it is a folder".to_owned(),
        Ok(_) => "it is neither a file nor a link to one".to_owned(),
        Err(error) => match path.read_link() {
            Ok(target) => format!("it is a link to `{}`: {error}", target.display()),
            Err(_) => error.to_string(),
        },
    };
    let fault = Fault::new(format!("cannot read `{}`", path.display()));
    Err(fault
        .class(FaultClass::Usage)
        .note(what)
        .help("make it a file, or remove it to use that of a folder above"))
}
