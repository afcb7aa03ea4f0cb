//! Brings generated files to disk, or tells how the disk differs from them.

use std::{
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use similar::TextDiff;

use super::{
    Generated,
    error::{ProtoError, write_error},
    manifest::{self, Manifest, Records},
    pending::Pending,
    stage::Stage,
};
use crate::{
    config::KeyPath,
    event::count,
    sys::{fs::absent_is_fine, paths::plain},
};

/// What [`write`] did; paths relative to the project.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    pub written: Vec<String>,
    pub unchanged: Vec<String>,
    /// Files of an earlier run that nothing generates any more.
    pub deleted: Vec<String>,
    /// As `deleted`, but edited since, and therefore left alone.
    pub kept: Vec<String>,
}

/// Past tense with numbers: `Generated 2 files, 1 unchanged`.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generated {}", count(self.written.len(), "file"))?;
        for (list, word) in [
            (&self.unchanged, "unchanged"),
            (&self.deleted, "deleted"),
            (&self.kept, "edited and no longer generated"),
        ] {
            if !list.is_empty() {
                write!(f, ", {} {word}", list.len())?;
            }
        }
        Ok(())
    }
}

/// How the disk differs from what would be generated.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Diff {
    pub files: Vec<Changed>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    pub path: String,
    pub state: Existing,
    /// Unified diff from the disk to what would be generated; empty for what stays as it is.
    pub diff: String,
}

/// What is wrong with a file on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// It would be generated, but is not there.
    Missing,
    /// Its content differs.
    Changed,
    /// Nothing generates it any more: to be deleted.
    Stale,
    /// As `Stale`, but edited since: [`write`] leaves it alone, too.
    Edited,
    /// It would be generated, but what is there was not: [`write`] refuses to replace it.
    Foreign,
}

/// Brings the disk to the generated state: all or nothing, as far as the file system allows.
///
/// Files that are as wanted keep their time. A file of an earlier run that nothing generates any more is deleted when the record in
/// `state` or its signed first line proves that it was written here and not edited since.
/// `state` is the project's `.devenv` folder; the record is `proto/<name>.json` in it. Blocks.
///
/// # Errors
/// A file in the way that no generator made; a path that a link leads out of the project; a failing write.
pub fn write(
    root: &Path,
    name: &str,
    generated: &Generated,
    state: &Path,
) -> Result<Written, ProtoError> {
    let manifest_dir = &manifests(state);
    let _lock = manifest::lock(manifest_dir)?;
    let mut records = Records::load(manifest_dir);
    let Pending { wanted, stale } = Pending::find(root, name, generated, &records)?;
    let mut result = Written {
        unchanged: generated
            .files
            .keys()
            .filter(|path| !wanted.contains_key(path.as_str()))
            .cloned()
            .collect(),
        ..Written::default()
    };
    for (path, old) in &wanted {
        may_write(root, path, old.as_deref(), &records)?;
    }
    let stage = Stage::fill(
        manifest_dir,
        name,
        wanted.keys().map(|path| &generated.files[*path]),
    )?;

    // Before the files: killed in between, it claims at worst what is not there, and a claim alone deletes nothing.
    let mut new = Manifest::of(generated);
    let mut record = records.of(name);
    record.files.extend(new.files.clone());
    let mut save = |record: &Manifest| {
        records
            .save(name, record)
            .map_err(|source| write_error(manifest_dir, source))
    };
    save(&record)?;
    for (index, path) in wanted.keys().enumerate() {
        stage.place(index, root, path)?;
        result.written.push((*path).to_owned());
    }
    for (path, stale) in stale {
        if stale.deletable {
            delete(root, &path)?;
            result.deleted.push(path);
        } else {
            new.files.extend(record.files.remove_entry(&path));
            result.kept.push(path);
        }
    }
    save(&new)?;
    Ok(result)
}

/// Compares the disk with what would be generated. Changes nothing. Blocks.
pub fn check(
    root: &Path,
    name: &str,
    generated: &Generated,
    state: &Path,
) -> Result<Diff, ProtoError> {
    let records = Records::load(&manifests(state));
    let Pending { wanted, stale } = Pending::find(root, name, generated, &records)?;
    for path in wanted.keys() {
        stays_inside(root, path)?;
    }
    let mut files: Vec<_> = wanted
        .into_iter()
        .map(|(path, old)| Changed {
            path: path.to_owned(),
            state: match &old {
                None => Existing::Missing,
                Some(old) if is_foreign(path, old, &records) => Existing::Foreign,
                Some(_) => Existing::Changed,
            },
            diff: unified(path, old.as_deref(), Some(&generated.files[path])),
        })
        .collect();
    files.extend(
        stale
            .into_iter()
            .map(|(path, stale)| match stale.deletable {
                true => Changed::stale(path, &stale.content),
                false => Changed::edited(path),
            }),
    );
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Diff { files })
}

impl Changed {
    pub(super) fn stale(path: String, content: &[u8]) -> Self {
        Self {
            diff: unified(&path, Some(content), None),
            state: Existing::Stale,
            path,
        }
    }

    pub(super) fn edited(path: String) -> Self {
        Self {
            diff: String::new(),
            state: Existing::Edited,
            path,
        }
    }
}

pub(super) fn manifests(state: &Path) -> PathBuf {
    state.join("proto")
}

/// A folder of the configuration, relative to the project and without `.`; "" is the project itself.
pub(super) fn out_folder(out: &str, key: &KeyPath) -> Result<String, ProtoError> {
    let normal = |component| match component {
        Component::Normal(part) => Ok(part.to_string_lossy()),
        _ => Err(ProtoError::OutOutside {
            key: key.clone(),
            out: out.to_owned(),
        }),
    };
    Ok(plain(out)
        .components()
        .map(normal)
        .collect::<Result<Vec<_>, _>>()?
        .join("/"))
}

/// The path of a file that a plugin names; `None` unless it lies inside the folder by its letters alone.
pub(super) fn inside(folder: &str, name: &str) -> Option<String> {
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if !name.split('/').all(good) {
        return None;
    }
    Some(if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    })
}

/// True for what no generator made.
fn is_foreign(path: &str, content: &[u8], records: &Records) -> bool {
    !content.is_empty() && !records.know(path) && !manifest::is_marked(content)
}

/// Refuses to replace what no generator made, and to write through a link out of the project.
fn may_write(
    root: &Path,
    path: &str,
    old: Option<&[u8]>,
    records: &Records,
) -> Result<(), ProtoError> {
    if old.is_some_and(|old| is_foreign(path, old, records)) {
        return Err(ProtoError::Foreign {
            path: path.to_owned(),
        });
    }
    stays_inside(root, path)
}

fn stays_inside(root: &Path, path: &str) -> Result<(), ProtoError> {
    let real = |path: &Path| {
        path.ancestors()
            .find_map(|ancestor| ancestor.canonicalize().ok())
    };
    let inside = match (real(&root.join(path)), root.canonicalize()) {
        (Some(real), Ok(root)) => real.starts_with(root),
        _ => false,
    };
    if inside {
        Ok(())
    } else {
        Err(ProtoError::LinkedOut {
            path: path.to_owned(),
        })
    }
}

/// Removes the file, and the folders that it leaves empty. It may be gone already.
pub(super) fn delete(root: &Path, path: &str) -> Result<(), ProtoError> {
    let removed = absent_is_fine(fs::remove_file(root.join(path)));
    removed.map_err(|source| ProtoError::Write {
        path: path.to_owned(),
        source,
    })?;
    for folder in Path::new(path).ancestors().skip(1) {
        if folder.as_os_str().is_empty() || fs::remove_dir(root.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// In the form of `diff -u`; `None` is a file that does not exist.
fn unified(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let title = |side: char, content: Option<&[u8]>| match content {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let (from, to) = (title('a', old), title('b', new));
    let text = |content: Option<&[u8]>| String::from_utf8(content.unwrap_or_default().to_vec());
    let (Ok(old), Ok(new)) = (text(old), text(new)) else {
        return format!("Binary files {from} and {to} differ\n");
    };
    TextDiff::from_lines(old.as_str(), new.as_str())
        .unified_diff()
        .header(&from, &to)
        .to_string()
}
