//! All files below a folder that git does not ignore, on all cores. Links are not followed; `.git` and `.devenv` are left out.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use rayon::prelude::*;

use super::{FingerprintError, is_gone};
use crate::sys::git;

/// Gives name, entry and metadata of each wanted file to `each`. Names are relative to the root.
pub(super) fn walk<T: Send>(
    root: &Path,
    base: &str,
    wanted: &(impl Fn(&str) -> bool + Sync),
    each: &(impl Fn(String, &DirEntry, Metadata) -> T + Sync),
) -> Result<Vec<T>, FingerprintError> {
    let start = root.join(base);
    if !start.is_dir() {
        return Ok(Vec::new());
    }
    let walk = Walk { wanted, each };
    let parts = walk.folder(start.clone(), base, &Ignores::above(&start, root));
    Ok(parts?.into_iter().flatten().collect())
}

struct Walk<'w, W, E> {
    wanted: &'w W,
    each: &'w E,
}

/// What the files of each folder came to: moved once, however deep they are.
type Parts<T> = Result<Vec<Vec<T>>, FingerprintError>;

impl<W: Fn(&str) -> bool + Sync, E> Walk<'_, W, E> {
    fn folder<T>(&self, path: PathBuf, name: &str, above: &Arc<Ignores>) -> Parts<T>
    where
        T: Send,
        E: Fn(String, &DirEntry, Metadata) -> T + Sync,
    {
        let failed = |source| FingerprintError::Walk {
            path: path.clone(),
            source,
        };
        let entries = match fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            // It vanished during the walk.
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let ignores = Ignores::with(above, &path, &entries);
        let (mut folders, mut files) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entry in &entries {
            let file_name = entry.file_name();
            if matches!(file_name.to_str(), Some(".git" | ".devenv")) {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if ignores.may_ignore() && ignores.is_ignored(&entry.path(), kind.is_dir()) {
                continue;
            }
            let below = match file_name.to_str() {
                Some(text) => below(name, text),
                // Escaped, so that two names never become one.
                None => below(name, &file_name.as_bytes().escape_ascii().to_string()),
            };
            if kind.is_dir() {
                folders.push((entry.path(), below));
            } else if (kind.is_file() || kind.is_symlink()) && (self.wanted)(&below) {
                match entry.metadata() {
                    Ok(metadata) => files.push((self.each)(below, entry, metadata)),
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        drop(entries);
        let parts: Result<Vec<_>, _> = folders
            .into_par_iter()
            .map(|(path, name)| self.folder(path, &name, &ignores))
            .collect();
        let mut all = vec![files];
        all.extend(parts?.into_iter().flatten());
        Ok(all)
    }
}

fn below(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => [folder, "/", name].concat(),
    }
}

/// What git ignores in a folder: its own rules, then those of the folders above it up to the repository's, then those of the user.
struct Ignores {
    rules: Vec<Gitignore>,
    above: Option<Arc<Ignores>>,
}

impl Ignores {
    /// Of what lies above a walk. Outside a repository, a `.gitignore` in some folder above, such as the home folder, is not about this
    /// project.
    fn above(start: &Path, root: &Path) -> Arc<Self> {
        let user = Gitignore::global().0;
        let mut all = Arc::new(Self {
            rules: Some(user)
                .into_iter()
                .filter(|rules| !rules.is_empty())
                .collect(),
            above: None,
        });
        let repository = root.ancestors().find(|dir| dir.join(".git").exists());
        let top = repository.unwrap_or(root);
        let folders = start.ancestors().skip(1);
        let mut folders: Vec<_> = folders.take_while(|dir| dir.starts_with(top)).collect();
        folders.reverse();
        for folder in folders {
            all = Self::added(&all, folder, folder.join(".gitignore").is_file());
        }
        all
    }

    /// With those of a folder that has these entries.
    fn with(above: &Arc<Self>, folder: &Path, entries: &[DirEntry]) -> Arc<Self> {
        let has = |name: &str| entries.iter().any(|entry| entry.file_name() == name);
        match has(".gitignore") || has(".git") {
            true => Self::added(above, folder, has(".gitignore")),
            false => above.clone(),
        }
    }

    fn added(above: &Arc<Self>, folder: &Path, has_rules: bool) -> Arc<Self> {
        let is_repository = folder.join(".git").exists();
        let own = has_rules.then(|| folder.join(".gitignore"));
        // Of all worktrees of the clone.
        let exclude = git::repository(folder).filter(|_| is_repository);
        let exclude = exclude.map(|repository| repository.common.join("info/exclude"));
        let rules = [own, exclude].into_iter().flatten();
        let rules = rules.filter_map(|file| {
            let mut builder = GitignoreBuilder::new(folder);
            // A rule that cannot be read ignores nothing, as in git.
            builder.add(file);
            builder.build().ok().filter(|rules| !rules.is_empty())
        });
        let rules: Vec<_> = rules.collect();
        // What is above a repository in another one says nothing of its files, but the user's own rules do.
        let above = match is_repository {
            true => above.topmost(),
            false => above.clone(),
        };
        match rules.is_empty() {
            true => above,
            false => Arc::new(Self {
                rules,
                above: Some(above),
            }),
        }
    }

    fn topmost(self: &Arc<Self>) -> Arc<Self> {
        let mut at = self;
        while let Some(above) = &at.above {
            at = above;
        }
        at.clone()
    }

    fn may_ignore(&self) -> bool {
        !self.rules.is_empty() || self.above.is_some()
    }

    fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        let mut at = Some(self);
        while let Some(ignores) = at {
            for rules in &ignores.rules {
                match rules.matched(path, is_folder) {
                    Match::None => {}
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                }
            }
            at = ignores.above.as_deref();
        }
        false
    }
}
