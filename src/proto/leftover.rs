//! Files that nothing generates any more: what tables that are gone left behind, and what was edited and is not ours to delete.

use std::{collections::BTreeSet, path::Path};

use super::{
    error::{ProtoError, write_error},
    manifest::{self, Records},
    output::{Changed, delete, manifests},
    pending::{is_ours, read, stale},
    rust,
};
use crate::{
    config::Proto,
    event::{Fault, quoted},
};

/// What a table that devenv.toml no longer has left on disk; paths relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub table: String,
    /// As they were written: safe to delete.
    pub unchanged: Vec<String>,
    /// Edited since: a person's to settle.
    pub edited: Vec<String>,
}

/// Files of tables that are not among `tables`. Changes nothing. Blocks.
pub fn leftovers(
    root: &Path,
    state: &Path,
    tables: &BTreeSet<&str>,
) -> Result<Vec<Leftover>, ProtoError> {
    let records = Records::load(&manifests(state));
    let mut found = Vec::new();
    for (table, record) in records.iter() {
        if tables.contains(table) {
            continue;
        }
        let mut leftover = Leftover {
            table: table.to_owned(),
            unchanged: Vec::new(),
            edited: Vec::new(),
        };
        for path in record.files.keys() {
            match read(root, path)? {
                None => {}
                Some(content) if is_ours(&records, path, &content) => {
                    leftover.unchanged.push(path.clone());
                }
                Some(_) => leftover.edited.push(path.clone()),
            }
        }
        if !leftover.unchanged.is_empty() || !leftover.edited.is_empty() {
            found.push(leftover);
        }
    }
    Ok(found)
}

/// The leftover as [`super::check`] tells it. Blocks.
pub fn left_behind(root: &Path, leftover: &Leftover) -> Result<Vec<Changed>, ProtoError> {
    let mut files = Vec::new();
    for path in &leftover.unchanged {
        if let Some(content) = read(root, path)? {
            files.push(Changed::stale(path.clone(), &content));
        }
    }
    files.extend(leftover.edited.iter().cloned().map(Changed::edited));
    Ok(files)
}

/// Deletes the unchanged files. The edited ones stay, and on record. Blocks.
pub fn remove(root: &Path, state: &Path, leftover: &Leftover) -> Result<(), ProtoError> {
    let dir = &manifests(state);
    let _lock = manifest::lock(dir)?;
    for path in &leftover.unchanged {
        delete(root, path)?;
    }
    let mut records = Records::load(dir);
    records
        .retain(&leftover.table, |path| leftover.edited.contains(path))
        .map_err(|source| write_error(dir, source))
}

/// Files that a table generated before and that were edited since; `generated` is what it generates now. Blocks.
pub fn kept(
    root: &Path,
    state: &Path,
    name: &str,
    proto: &Proto,
    generated: &BTreeSet<String>,
) -> Result<Vec<String>, ProtoError> {
    let records = Records::load(&manifests(state));
    let folder = match &proto.rust {
        Some(rust) => Some(rust::folder(name, rust)?),
        None => None,
    };
    let is_generated = |path: &str| generated.contains(path);
    let stale = stale(root, name, is_generated, folder.as_deref(), &records)?;
    let edited = stale.into_iter().filter(|(_, stale)| !stale.deletable);
    Ok(edited.map(|(path, _)| path).collect())
}

/// What is said of files that were generated, then edited, and that nothing generates any more. They are never deleted and in nobody's
/// way: it is an error for `--check` alone, whose question is whether the disk is as generated.
pub fn edited(paths: &[String]) -> Option<Fault> {
    let fault = Fault::new(found(paths)?).help(WAY_OUT);
    Some(match paths {
        [path] => fault.at_file(path, 1, 1),
        _ => fault,
    })
}

/// The same in one line.
pub fn edited_notice(paths: &[String]) -> Option<String> {
    Some(format!("{}: {WAY_OUT}", found(paths)?))
}

const WAY_OUT: &str =
    "delete what is not needed; to keep a file, take away its first line and give it another name";

fn found(paths: &[String]) -> Option<String> {
    let (were, them) = match paths {
        [] => return None,
        [_] => ("was", "it"),
        _ => ("were", "them"),
    };
    let names = quoted(paths);
    Some(format!(
        "{names} {were} edited, and nothing generates {them} any more"
    ))
}
