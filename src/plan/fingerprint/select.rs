//! Which files a list of globs names.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rayon::prelude::*;

use super::{
    FingerprintError, is_gone,
    look::FILES_PER_THREAD,
    place::{Kind, Place},
    walk::{Each, walk},
};

/// What globs name: paths relative to the root with `/` between folders.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub files: BTreeSet<String>,
    /// Named without wildcards, but not there.
    pub absent: BTreeSet<String>,
}

/// Finds the files under `root` that the globs name; all that git does not ignore when there is none.
///
/// `*` and `?` stop at `/`, `**` does not, a folder's name stands for all in it, and `!glob` takes files away, wherever it stands in
/// the list. What git ignores and does not track is left out, unless it is named without wildcards or lies in an ignored folder that the glob names
/// before its first wildcard. `.git` and `.devenv` are always left out. Links are not followed.
///
/// # Errors
/// An invalid glob, one that leads out of the root, or a folder that cannot be read.
pub fn select(root: &Path, globs: &[String]) -> Result<Selection, FingerprintError> {
    let visited = visit(root, globs, &|name, _, _| Ok(Some(name.to_owned())))?;
    Ok(Selection {
        files: visited.each.into_iter().collect(),
        absent: visited.absent.into_iter().collect(),
    })
}

/// What came of a visit to files.
pub(super) struct Visited<T> {
    /// By folder and name, but for what globs of several folders name; a file that several name may be here several times.
    pub each: Vec<T>,
    /// Named without wildcards, but not there.
    pub absent: Vec<String>,
}

/// As [`select`], giving name and place of each file or link to `each`, on all cores. What `each` finds gone is left out.
pub(super) fn visit<T: Send>(
    root: &Path,
    globs: &[String],
    each: &(impl Fn(&str, Place<'_>, Kind) -> Each<T> + Sync),
) -> Result<Visited<T>, FingerprintError> {
    let wanted = Wanted::parse(root, globs)?;
    let literals = wanted.literals.iter();
    let literals = literals.filter(|name| !wanted.excluded.is_match(name));
    let mut visited = exact(root, &literals.cloned().collect::<Vec<_>>(), each)?;
    for (base, globs) in wanted.walks {
        let all_below = takes_all(&base, &globs);
        let globs = glob_set(&globs)?;
        let is_wanted = |name: &str| {
            (all_below || globs.is_match(name))
                && (wanted.excluded.is_empty() || !wanted.excluded.is_match(name))
        };
        visited.each.extend(walk(root, &base, &is_wanted, each)?);
    }
    Ok(visited)
}

/// Whether one of the globs is for whatever lies in the folder: then no name has to be matched.
fn takes_all(base: &str, globs: &[String]) -> bool {
    let mut globs = globs.iter();
    globs.any(|glob| match base {
        "" => glob == "**",
        base => glob.strip_prefix(base) == Some("/**"),
    })
}

/// These very files, whatever characters their names hold; they may lie outside of the root. What is no file is absent.
pub(super) fn exact<T: Send>(
    root: &Path,
    names: &[String],
    each: &(impl Fn(&str, Place<'_>, Kind) -> Each<T> + Sync),
) -> Result<Visited<T>, FingerprintError> {
    let one = |name: &String| {
        let path = root.join(name);
        let place = Place::at(&path);
        match place.kind() {
            Ok(kind) => each(name, place, kind),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(FingerprintError::Read { path, source }),
        }
    };
    let found = names.par_iter().with_min_len(FILES_PER_THREAD).map(one);
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    let absent = names
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none());
    Ok(Visited {
        absent: absent.map(|(name, _)| name.clone()).collect(),
        each: found.into_iter().flatten().collect(),
    })
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

/// The path as text; bytes that are no UTF-8 are escaped, so that two names never become one.
pub(super) fn name(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => path.as_os_str().as_bytes().escape_ascii().to_string(),
    }
}
