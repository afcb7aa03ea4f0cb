//! Which files a list of globs names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::mpsc,
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{WalkBuilder, WalkState};

use super::{FingerprintError, is_gone};

/// A file or symbolic link, and what the file system says of it (links not followed).
#[derive(Debug, Clone)]
pub struct Found {
    pub path: PathBuf,
    pub metadata: Metadata,
}

/// What globs name, by path relative to the root with `/` between folders.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub files: BTreeMap<String, Found>,
    /// Named without wildcards, but not there.
    pub absent: BTreeSet<String>,
}

/// Finds the files under `root` that the globs name; all that git does not ignore when there is none.
///
/// `*` and `?` stop at `/`, `**` does not, a folder's name stands for all in it, and `!glob` takes files away, wherever it stands in
/// the list. What git ignores is left out, unless it is named without wildcards or lies in an ignored folder that the glob names before its
/// first wildcard. `.git` and `.devenv` are always left out. Links are not followed.
///
/// # Errors
/// An invalid glob, one that leads out of the root, or a folder that cannot be read.
pub fn select(root: &Path, globs: &[String]) -> Result<Selection, FingerprintError> {
    let wanted = Wanted::parse(root, globs)?;
    let mut selection = exact(root, &wanted.literals)?;
    selection
        .files
        .retain(|name, _| !wanted.excluded.is_match(name));
    for (base, globs) in wanted.walks {
        let globs = glob_set(&globs)?;
        walk(root, &base, |name| {
            globs.is_match(name) && !wanted.excluded.is_match(name)
        })?
        .into_iter()
        .for_each(|(name, found)| {
            selection.files.insert(name, found);
        });
    }
    Ok(selection)
}

/// These very files, whatever characters their names hold; they may lie outside of the root.
pub fn exact(root: &Path, names: &[String]) -> Result<Selection, FingerprintError> {
    let mut selection = Selection::default();
    for name in names {
        let path = root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => {
                let found = Found { path, metadata };
                selection.files.insert(name.clone(), found);
            }
            Err(error) if is_gone(&error) => {
                selection.absent.insert(name.clone());
            }
            Err(source) => return Err(FingerprintError::Read { path, source }),
        }
    }
    Ok(selection)
}

struct Wanted {
    /// Paths named as they are.
    literals: Vec<String>,
    /// Folder to walk → the globs that start in it.
    walks: BTreeMap<String, Vec<String>>,
    excluded: GlobSet,
}

impl Wanted {
    fn parse(root: &Path, globs: &[String]) -> Result<Self, FingerprintError> {
        let mut literals = Vec::new();
        let mut walks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut excluded = Vec::new();
        for glob in globs {
            if let Some(glob) = glob.strip_prefix('!') {
                let glob = normal(glob)?;
                excluded.push(format!("{glob}/**"));
                excluded.push(glob);
                continue;
            }
            let glob = normal(glob)?;
            match base(&glob) {
                Some(base) => walks.entry(base).or_default().push(glob),
                None if root.join(&glob).is_dir() => {
                    let all = if glob.is_empty() {
                        "**".to_owned()
                    } else {
                        format!("{}/**", globset::escape(&glob))
                    };
                    walks.entry(glob).or_default().push(all);
                }
                None => literals.push(glob),
            }
        }
        if literals.is_empty() && walks.is_empty() {
            walks.insert(String::new(), vec!["**".to_owned()]);
        }
        Ok(Self {
            literals,
            walks,
            excluded: glob_set(&excluded)?,
        })
    }
}

/// Without `./`, `//` and a trailing `/`.
fn normal(glob: &str) -> Result<String, FingerprintError> {
    let mut parts = Vec::new();
    for component in Path::new(glob).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(FingerprintError::Outside {
                    glob: glob.to_owned(),
                });
            }
        }
    }
    Ok(parts.join("/"))
}

/// The folder before the first wildcard; `None` without a wildcard.
fn base(glob: &str) -> Option<String> {
    let wildcard = glob.find(['*', '?', '[', '{', '\\'])?;
    let folder = glob[..wildcard].rfind('/').unwrap_or(0);
    Some(glob[..folder].to_owned())
}

fn glob_set(globs: &[String]) -> Result<GlobSet, FingerprintError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        set.add(built.map_err(|source| FingerprintError::Glob {
            glob: glob.clone(),
            source,
        })?);
    }
    set.build().map_err(|source| FingerprintError::Glob {
        glob: globs.join(" "),
        source,
    })
}

fn walk(
    root: &Path,
    base: &str,
    wanted: impl Fn(&str) -> bool + Sync,
) -> Result<Vec<(String, Found)>, FingerprintError> {
    let start = root.join(base);
    if !start.is_dir() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = mpsc::channel();
    walker(root, &start).build_parallel().run(|| {
        let sender = sender.clone();
        let wanted = &wanted;
        Box::new(move |entry| {
            let found = match entry {
                Ok(entry) => file(root, &entry, wanted),
                // A folder that vanished during the walk has no files.
                Err(error) if error.io_error().is_some_and(is_gone) => None,
                Err(error) => Some(Err(error)),
            };
            let gone = found.is_some_and(|found| sender.send(found).is_err());
            if gone {
                WalkState::Quit
            } else {
                WalkState::Continue
            }
        })
    });
    drop(sender);
    receiver
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|source| FingerprintError::Walk {
            path: start,
            source,
        })
}

fn walker(root: &Path, start: &Path) -> WalkBuilder {
    let mut builder = WalkBuilder::new(start);
    builder
        .hidden(false)
        .ignore(false)
        .require_git(false)
        // Outside a repository, a `.gitignore` in some folder above, such as the home folder, is not about this project.
        .parents(root.ancestors().any(|dir| dir.join(".git").exists()))
        .filter_entry(|entry| !matches!(entry.file_name().to_str(), Some(".git" | ".devenv")));
    builder
}

fn file(
    root: &Path,
    entry: &ignore::DirEntry,
    wanted: &impl Fn(&str) -> bool,
) -> Option<Result<(String, Found), ignore::Error>> {
    let kind = entry.file_type()?;
    if !kind.is_file() && !kind.is_symlink() {
        return None;
    }
    let name = name(entry.path().strip_prefix(root).ok()?);
    if !wanted(&name) {
        return None;
    }
    match entry.metadata() {
        Ok(metadata) => Some(Ok((
            name,
            Found {
                path: entry.path().to_owned(),
                metadata,
            },
        ))),
        Err(error) if error.io_error().is_some_and(is_gone) => None,
        Err(error) => Some(Err(error)),
    }
}

/// The path as text; bytes that are no UTF-8 are escaped, so that two names never become one.
pub(super) fn name(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => path.as_os_str().as_bytes().escape_ascii().to_string(),
    }
}
