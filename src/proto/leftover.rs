//! Files that nothing generates any more and no table of the file answers for: what tables that are gone left behind.

use std::{collections::BTreeSet, path::Path};

use super::{
    error::{ProtoError, write_error},
    manifest::{self, Records},
    output::{Changed, delete, manifests},
    pending::{is_ours, read},
};
use crate::event::Fault;

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

/// The error about files that were generated, then edited, and that nothing generates any more: they are never deleted, and it is the
/// same wherever they are found.
pub fn edited(paths: &[String]) -> Option<Fault> {
    match paths {
        [] => None,
        [path] => Some(
            Fault::new(format!(
                "`{path}` was edited, and nothing generates it any more"
            ))
            .at_file(path, 1, 1)
            .help("delete it; or, to keep it, take away its first line and give it another name"),
        ),
        many => {
            let fault = Fault::new(format!(
                "{} files were edited, and nothing generates them any more",
                many.len()
            ));
            let named = many.iter().map(|path| format!("`{path}`"));
            Some(named.fold(fault, Fault::note).help(
                "delete them; or, to keep one, take away its first line and give it another name",
            ))
        }
    }
}
