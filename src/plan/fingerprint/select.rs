//! Which files a list of globs names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use super::{FingerprintError, is_gone, walk::walk};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

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
    let visited = visit(root, globs, |name, path, metadata| {
        let path = path();
        (name, Found { path, metadata })
    })?;
    Ok(Selection {
        files: visited.each.into_iter().collect(),
        absent: visited.absent,
    })
}

/// What came of a visit to files.
pub(super) struct Visited<T> {
    /// In no order; a file that several globs name may be here several times.
    pub each: Vec<T>,
    /// Named without wildcards, but not there.
    pub absent: BTreeSet<String>,
}

/// As [`select`], giving name, path and metadata of each file to `each`, on all cores.
pub(super) fn visit<T: Send>(
    root: &Path,
    globs: &[String],
    each: impl Fn(String, &dyn Fn() -> PathBuf, Metadata) -> T + Sync,
) -> Result<Visited<T>, FingerprintError> {
    let wanted = Wanted::parse(root, globs)?;
    let exact = exact(root, &wanted.literals)?;
    let mut all: Vec<_> = exact
        .files
        .into_iter()
        .filter(|(name, _)| !wanted.excluded.is_match(name))
        .map(|(name, found)| each(name, &|| found.path.clone(), found.metadata.clone()))
        .collect();
    for (base, globs) in wanted.walks {
        let all_below = takes_all(&base, &globs);
        let globs = glob_set(&globs)?;
        let is_wanted = |name: &str| {
            (all_below || globs.is_match(name))
                && (wanted.excluded.is_empty() || !wanted.excluded.is_match(name))
        };
        let each = |name, entry: &fs::DirEntry, metadata| each(name, &|| entry.path(), metadata);
        all.extend(walk(root, &base, &is_wanted, &each)?);
    }
    Ok(Visited {
        each: all,
        absent: exact.absent,
    })
}

/// Whether one of the globs is for whatever lies in the folder: then no name has to be matched.
fn takes_all(base: &str, globs: &[String]) -> bool {
    let mut globs = globs.iter();
    globs.any(|glob| match base {
        "" => glob == "**",
        base => glob.strip_prefix(base) == Some("/**"),
    })
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

/// The path as text; bytes that are no UTF-8 are escaped, so that two names never become one.
pub(super) fn name(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => path.as_os_str().as_bytes().escape_ascii().to_string(),
    }
}
