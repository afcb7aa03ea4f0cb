//! Archives and bare executables from a URL, pinned by sha256 for every platform.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};

use super::{
    Job, Ready, Run, Source, ToolStatus, ToolchainError,
    archive::{self, ArchiveError, BARE},
    differs,
    download::{self, DownloadError, Request},
    format::Promise,
    store::{ContentStore, failed},
};
use crate::{
    config::ToolSource,
    event::{Progress, Unit},
    lockfile::{Archive, ToolRow},
    sys::{paths, platform},
};

/// What is locked when the file names no platform; one that the server does not have is left out.
const USUAL: [&str; 4] = [
    "linux-aarch64",
    "linux-x86_64",
    "macos-aarch64",
    "macos-x86_64",
];

pub struct Http;

impl Source for Http {
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>> {
        resolve(job, run).boxed()
    }

    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String> {
        let version = differs("version", row.spec.as_ref(), job.tool.version.as_ref());
        version.or_else(|| {
            let (wanted, optional) = job.platforms();
            let missing = wanted
                .iter()
                .find(|name| !optional && !row.platform.contains_key(*name));
            if let Some(name) = missing {
                return Some(format!("platform `{name}` added"));
            }
            if row.platform.is_empty() {
                return Some("it has no archive".into());
            }
            row.platform
                .iter()
                .find_map(|(name, archive)| job.archive_outdated(name, archive, &wanted))
        })
    }

    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>> {
        async move {
            let archive = job.archive()?;
            let entry = ContentStore::open()?.entry(key(&archive.sha256));
            if !entry.is_dir() {
                return Ok(job.missing(match &job.tool.version {
                    Some(version) => format!("version {version} is not installed"),
                    None => "it is not installed".into(),
                }));
            }
            Ok(ToolStatus::Ready(Ready {
                paths: job.executables(&entry)?,
                version: job.tool.version.clone(),
                digest: archive.sha256.clone(),
            }))
        }
        .boxed()
    }

    fn install<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<(), ToolchainError>> {
        install(job, run).boxed()
    }
}

/// The store's name for an archive.
fn key(sha256: &str) -> &str {
    sha256.get(..32).unwrap_or(sha256)
}

impl Job {
    /// The platforms to lock, and whether one that the server does not have may be left out.
    fn platforms(&self) -> (Vec<String>, bool) {
        let named: Vec<String> = if self.tool.platforms.is_empty() {
            self.tool.sha256.keys().cloned().collect()
        } else {
            self.tool.platforms.clone()
        };
        if named.is_empty() {
            (USUAL.map(String::from).to_vec(), true)
        } else {
            (named, false)
        }
    }

    /// The address for a platform such as `linux-x86_64`.
    fn url(&self, platform: &str) -> Result<String, ToolchainError> {
        match &self.tool.url {
            Some(url) => self.filled(url, platform),
            None => Err(self.incomplete("url")),
        }
    }

    /// `{version}`, `{os}` and `{arch}` replaced by what they are on a platform.
    fn filled(&self, template: &str, platform: &str) -> Result<String, ToolchainError> {
        let (os, arch) = platform.split_once('-').unwrap_or((platform, ""));
        let named = |names: &BTreeMap<String, String>, word: &str| {
            names.get(word).cloned().unwrap_or_else(|| word.to_owned())
        };
        let mut text = template
            .replace("{os}", &named(&self.tool.os, os))
            .replace("{arch}", &named(&self.tool.arch, arch));
        if text.contains("{version}") {
            let version = self.tool.version.as_deref();
            text = text.replace(
                "{version}",
                version.ok_or_else(|| self.incomplete("version"))?,
            );
        }
        Ok(text)
    }

    fn incomplete(&self, key: &'static str) -> ToolchainError {
        ToolchainError::Incomplete {
            tool: self.name.clone(),
            key,
        }
    }

    fn archive_outdated(&self, name: &str, archive: &Archive, wanted: &[String]) -> Option<String> {
        if !wanted.iter().any(|platform| platform == name) {
            return Some(format!("platform `{name}` removed"));
        }
        let url = self.url(name).ok();
        differs(&format!("url for {name}"), Some(&archive.url), url.as_ref()).or_else(|| {
            let pinned = self.tool.sha256.get(name)?;
            (!pinned.eq_ignore_ascii_case(&archive.sha256))
                .then(|| format!("sha256 for {name} changed"))
        })
    }

    /// The locked archive for this machine.
    fn archive(&self) -> Result<&Archive, ToolchainError> {
        let row = self.row()?;
        let platform = platform::current();
        row.platform
            .get(&platform)
            .ok_or_else(|| ToolchainError::Platform {
                tool: self.name.clone(),
                platform,
                locked: row.platform.keys().cloned().collect(),
            })
    }

    /// The executables of an unpacked archive: those of `bin`, else the one named like the command.
    fn executables(&self, entry: &Path) -> Result<BTreeMap<String, PathBuf>, ToolchainError> {
        let roots: Vec<PathBuf> = std::iter::once(entry.to_owned())
            .chain(only_folder(entry))
            .collect();
        let find = |names: &[PathBuf]| {
            roots
                .iter()
                .flat_map(|root| names.iter().map(|name| root.join(name)))
                .find(|path| is_executable(path))
        };
        let missing = |wanted: &str| ToolchainError::NoExecutable {
            tool: self.name.clone(),
            wanted: wanted.to_owned(),
            has: all_executables(entry),
        };
        let command = self.command();
        if self.tool.bin.is_empty() {
            let names = [command.into(), Path::new("bin").join(command), BARE.into()];
            let path = find(&names).ok_or_else(|| missing(command))?;
            return Ok([(command.to_owned(), path)].into());
        }
        let only = self.tool.bin.len() == 1;
        let mut all = BTreeMap::new();
        for bin in &self.tool.bin {
            let bin = &self.filled(bin, &platform::current())?;
            let path = find(&[bin.into()]).ok_or_else(|| missing(bin))?;
            let name = match &self.tool.command {
                Some(command) if only => command.clone(),
                _ => bin.rsplit('/').next().unwrap_or(bin.as_str()).to_owned(),
            };
            all.insert(name, path);
        }
        Ok(all)
    }

    fn unpack(&self, url: &str, source: ArchiveError) -> ToolchainError {
        ToolchainError::Unpack {
            tool: self.name.clone(),
            url: url.to_owned(),
            source,
        }
    }

    fn download(&self, url: &str, source: DownloadError) -> ToolchainError {
        match source {
            DownloadError::Cancelled => ToolchainError::Cancelled,
            source => ToolchainError::Download {
                tool: self.name.clone(),
                url: url.to_owned(),
                source,
            },
        }
    }
}

/// The one folder that holds everything else of an archive.
fn only_folder(entry: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(entry).ok()?.flatten();
    let (first, second) = (entries.next()?, entries.next());
    (second.is_none() && first.file_type().ok()?.is_dir()).then(|| first.path())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// For the error: every executable of the archive, relative to it.
fn all_executables(entry: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![entry.to_owned()]);
    while let Some(dir) = open.pop() {
        for child in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = child.path();
            if child.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if is_executable(&path) {
                let name = path.strip_prefix(entry).unwrap_or(&path);
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    found.truncate(20);
    found
}

async fn resolve(job: &Job, run: &Run<'_>) -> Result<ToolRow, ToolchainError> {
    let (platforms, optional) = job.platforms();
    let locks = platforms
        .iter()
        .map(|platform| lock_one(job, run, platform, optional));
    let archives: BTreeMap<_, _> = try_join_all(locks).await?.into_iter().flatten().collect();
    if archives.is_empty() {
        let url = job.url(&platform::current())?;
        return Err(job.download(&url, DownloadError::Status { status: 404 }));
    }
    let mut row = ToolRow::new(ToolSource::Http);
    row.spec = job.tool.version.clone();
    row.version = job.tool.version.clone();
    row.platform = archives;
    Ok(row)
}

async fn lock_one(
    job: &Job,
    run: &Run<'_>,
    name: &str,
    optional: bool,
) -> Result<Option<(String, Archive)>, ToolchainError> {
    let url = job.url(name)?;
    // What this machine needs is kept, so that the install after the lock finds it.
    let keep = match downloads() {
        Some(dir) if name == platform::current() => {
            fs::create_dir_all(&dir).map_err(|source| failed(&dir, source))?;
            let temp = tempfile::NamedTempFile::new_in(&dir);
            Some(
                temp.map_err(|source| failed(&dir, source))?
                    .into_temp_path(),
            )
        }
        _ => None,
    };
    let request = Request {
        url: url.clone(),
        to: keep.as_ref().map(|path| path.to_path_buf()),
        size: None,
        sha256: job.tool.sha256.get(name).cloned(),
    };
    let result = fetch(job, run, &request, &format!("for {name}")).await;
    let done = match result {
        Ok(done) => done,
        Err(ToolchainError::Download {
            source: DownloadError::Status { status: 404 },
            ..
        }) if optional => {
            run.events.log(format!("no archive for {name}: {url}"));
            return Ok(None);
        }
        // Only the file's own digest is checked here: the lock has none yet.
        Err(ToolchainError::Download {
            tool,
            source: DownloadError::Checksum { expected, found },
            ..
        }) => {
            return Err(ToolchainError::OtherDigest {
                tool,
                platform: name.to_owned(),
                url,
                expected,
                found,
            });
        }
        Err(error) => return Err(error),
    };
    // Of every platform, so that nobody's install is the first to see that it is a page.
    let promise = Promise::of(&url);
    promise
        .check(&done.head)
        .map_err(|broken| job.unpack(&url, broken.into()))?;
    if let (Some(temp), Some(dir)) = (keep, downloads()) {
        // Only a shortcut: without it the install downloads again.
        let _ = temp.persist(dir.join(&done.sha256));
    }
    let archive = Archive {
        url,
        size: done.size,
        sha256: done.sha256,
    };
    Ok(Some((name.to_owned(), archive)))
}

fn downloads() -> Option<PathBuf> {
    Some(paths::cache_dir()?.join("downloads"))
}

async fn fetch(
    job: &Job,
    run: &Run<'_>,
    request: &Request,
    what: &str,
) -> Result<download::Downloaded, ToolchainError> {
    let message = format!("Downloading {} {what}", job.name)
        .trim_end()
        .to_owned();
    let tell = |done, total| {
        run.events.progress(Progress {
            message: message.clone(),
            done: Some(done),
            total,
            unit: Unit::Bytes,
        });
    };
    download::fetch(request, run.cancel, tell)
        .await
        .map_err(|source| job.download(&request.url, source))
}

async fn install(job: &Job, run: &Run<'_>) -> Result<(), ToolchainError> {
    let archive = job.archive()?;
    let store = ContentStore::open()?;
    let build = store.build(key(&archive.sha256), run, Path::is_dir).await?;
    let Some(build) = build else {
        return Ok(());
    };
    let file = build.dir().join("download");
    let kept = downloads().map(|dir| dir.join(&archive.sha256));
    if !take(kept.as_deref(), &file, archive) {
        let request = Request {
            url: archive.url.clone(),
            to: Some(file.clone()),
            size: Some(archive.size),
            sha256: Some(archive.sha256.clone()),
        };
        fetch(job, run, &request, "").await?;
    }
    run.events.message(format!("Unpacking {}", job.name));
    let tree = build.dir().join("tree");
    let (from, to) = (file.clone(), tree.clone());
    let promise = Promise::of(&archive.url);
    tokio::task::spawn_blocking(move || archive::unpack(&from, promise, &to))
        .await
        .expect("unpacking returns its errors")
        .map_err(|source| job.unpack(&archive.url, source))?;
    // Before the entry stands, so that a wrong `bin` does not leave a tool that is never ready.
    job.executables(&tree)?;
    build.commit("tree")
}

/// Moves the kept download, if it is there and whole.
fn take(kept: Option<&Path>, to: &Path, archive: &Archive) -> bool {
    let Some(kept) = kept else {
        return false;
    };
    let whole = fs::metadata(kept).is_ok_and(|meta| meta.len() == archive.size)
        && download::sha256_of(kept).is_ok_and(|found| found == archive.sha256);
    let moved = whole && (fs::rename(kept, to).is_ok() || fs::copy(kept, to).is_ok());
    match fs::remove_file(kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => false,
        _ => moved,
    }
}
