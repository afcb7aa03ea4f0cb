//! All files below a folder that git does not ignore, on all cores. Links are not followed; `.git` and `.devenv` are left out.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use rayon::prelude::*;
use rustix::fs::{Dir, FileType, Mode, OFlags};

use super::{
    FingerprintError,
    ignores::{Ignores, Verdict},
    is_gone,
    look::FILES_PER_THREAD,
    place::{Kind, Place},
};

/// What came of one file; `None` when it has gone.
pub(super) type Each<T> = Result<Option<T>, FingerprintError>;

/// Gives name, place and kind of each wanted file or link to `each`: what comes of them is in the order of their names. Names are relative
/// to the root.
pub(super) fn walk<T: Send>(
    root: &Path,
    base: &str,
    wanted: &(impl Fn(&str) -> bool + Sync),
    each: &(impl Fn(&str, Place<'_>, Kind) -> Each<T> + Sync),
) -> Result<Vec<T>, FingerprintError> {
    let start = root.join(base);
    if !start.is_dir() {
        return Ok(Vec::new());
    }
    let walk = Walk { wanted, each };
    let parts = walk.folder(&start, base, &Ignores::above(&start, root));
    Ok(parts?.into_iter().flatten().collect())
}

struct Walk<'w, W, E> {
    wanted: &'w W,
    each: &'w E,
}

/// What the files of a folder came to: moved once, however deep they are.
type Parts<T> = Result<Vec<Vec<T>>, FingerprintError>;

/// What a folder holds.
struct Entry {
    /// Relative to the root.
    name: String,
    /// Where that ends in other characters.
    file_name: Option<OsString>,
    kind: Kind,
    verdict: Verdict,
}

impl Entry {
    fn new(folder: &str, file_name: &OsStr, kind: Kind) -> Self {
        let joined = |name: &str| match folder {
            "" => name.to_owned(),
            folder => [folder, "/", name].concat(),
        };
        match file_name.to_str() {
            Some(text) => Self {
                name: joined(text),
                file_name: None,
                kind,
                verdict: Verdict::Take,
            },
            // Escaped, so that two names never become one.
            None => Self {
                name: joined(&file_name.as_bytes().escape_ascii().to_string()),
                file_name: Some(file_name.to_owned()),
                kind,
                verdict: Verdict::Take,
            },
        }
    }

    fn file_name(&self) -> &OsStr {
        let last = || OsStr::new(self.name.rsplit('/').next().unwrap_or_default());
        self.file_name.as_deref().unwrap_or_else(last)
    }

    fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }
}

impl<W: Fn(&str) -> bool + Sync, E> Walk<'_, W, E> {
    fn folder<T>(&self, path: &Path, name: &str, above: &Arc<Ignores>) -> Parts<T>
    where
        T: Send,
        E: Fn(&str, Place<'_>, Kind) -> Each<T> + Sync,
    {
        let (dir, mut entries) = match open(path, name) {
            Ok(opened) => opened,
            // It vanished during the walk.
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            Err(source) => return Err(failed(path, source)),
        };
        let ignores = Ignores::with(above, path, entries.iter().map(Entry::file_name));
        entries.retain_mut(|entry| self.wants(entry, path, &ignores));
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let files: Vec<_> = entries.iter().filter(|entry| !entry.is_folder()).collect();
        let fd = dir.fd().map_err(|error| failed(path, error.into()))?;
        let each = |entry: &&Entry| {
            let place = Place::in_folder(fd, path, entry.file_name());
            (self.each)(&entry.name, place, entry.kind)
        };
        let files = files.par_iter().with_min_len(FILES_PER_THREAD).map(each);
        let files: Vec<_> = files.collect::<Result<_, _>>()?;
        // However deep it goes, no more folders are open than there are threads.
        drop(dir);
        let folders: Vec<_> = entries.iter().filter(|entry| entry.is_folder()).collect();
        let below = |entry: &&Entry| {
            let path = path.join(entry.file_name());
            let ignores = match entry.verdict {
                Verdict::TakeTracked => ignores.all(),
                Verdict::Take | Verdict::Leave => ignores.clone(),
            };
            self.folder(&path, &entry.name, &ignores)
        };
        let folders: Vec<_> = folders.par_iter().map(below).collect::<Result<_, _>>()?;
        Ok(in_order(&entries, files, folders))
    }

    fn wants(&self, entry: &mut Entry, folder: &Path, ignores: &Ignores) -> bool {
        let file_name = entry.file_name();
        let is_own = file_name == ".git" || file_name == ".devenv";
        if is_own || entry.kind == Kind::Other || !(entry.is_folder() || (self.wanted)(&entry.name))
        {
            return false;
        }
        entry.verdict = ignores.verdict(folder, file_name, entry.is_folder());
        entry.verdict != Verdict::Leave
    }
}

/// A folder, and what is in it.
fn open(path: &Path, name: &str) -> io::Result<(Dir, Vec<Entry>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = Dir::new(rustix::fs::open(path, flags, Mode::empty())?)?;
    let mut entries = Vec::new();
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let file_name = OsStr::from_bytes(entry.file_name().to_bytes());
        if file_name == "." || file_name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Not every file system says it.
            FileType::Unknown => match Place::in_folder(dir.fd()?, path, file_name).kind() {
                Err(error) if is_gone(&error) => continue,
                kind => kind?,
            },
            kind => kind.into(),
        };
        entries.push(Entry::new(name, file_name, kind));
    }
    Ok((dir, entries))
}

/// Files and folders by name, as they are in `entries`.
fn in_order<T>(entries: &[Entry], files: Vec<Option<T>>, folders: Vec<Vec<Vec<T>>>) -> Vec<Vec<T>> {
    let (mut files, mut folders) = (files.into_iter(), folders.into_iter());
    let runs = entries.chunk_by(|a, b| a.is_folder() == b.is_folder());
    let mut all = Vec::new();
    for run in runs {
        match run[0].is_folder() {
            true => all.extend(folders.by_ref().take(run.len()).flatten()),
            false => all.push(files.by_ref().take(run.len()).flatten().collect()),
        }
    }
    all
}

fn failed(path: &Path, source: io::Error) -> FingerprintError {
    FingerprintError::Walk {
        path: path.to_owned(),
        source,
    }
}
