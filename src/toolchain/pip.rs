//! Python packages, each in a virtual environment of its own, every file pinned by hash.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    Job, Run, Source, ToolStatus, ToolchainError, differs, pip_lock,
    store::{Build, ContentStore, failed},
};
use crate::{
    lockfile::{Pinned, ToolRow},
    sys::{platform, process::Spawn},
};

const HELP: &str = "install Python 3.9 or newer";
const NO_VENV: &str = "install the module that makes virtual environments: on Debian and Ubuntu the package python3-venv";

/// In the entry: name of each executable → its path in the entry.
const EXECUTABLES: &str = "devenv-executables.json";

pub struct Pip;

impl Source for Pip {
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>> {
        pip_lock::resolve(job, run).boxed()
    }

    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String> {
        differs("package", row.package.as_deref(), Some(job.package()))
            .or_else(|| differs("version", row.spec.as_ref(), job.tool.version.as_ref()))
    }

    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>> {
        async move {
            let row = job.row()?;
            let entry = ContentStore::open()?.entry(&key(row));
            let Some(paths) = executables(&entry) else {
                let version = row.version.as_deref().unwrap_or_default();
                return Ok(job.missing(if entry.is_dir() {
                    format!("version {version} is installed for a Python that is gone")
                } else {
                    format!("version {version} is not installed")
                }));
            };
            job.ready(paths, row)
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

fn key(row: &ToolRow) -> String {
    ContentStore::key(&["pip", &row.digest().to_hex(), &platform::current()])
}

/// `None` when there is no entry, or its Python no longer exists.
fn executables(entry: &Path) -> Option<BTreeMap<String, PathBuf>> {
    if !entry.join("bin/python").is_file() {
        return None;
    }
    let names: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(entry.join(EXECUTABLES)).ok()?).ok()?;
    Some(
        names
            .into_iter()
            .map(|(name, path)| (name, entry.join(path)))
            .collect(),
    )
}

/// A virtual environment with its own pip in `tree` of the build.
pub async fn environment(job: &Job, run: &Run<'_>, build: &Build) -> Result<(), ToolchainError> {
    let python = job.program("python3", HELP)?.display().to_string();
    let tree = build.dir().join("tree").display().to_string();
    let spawn = clean(job.spawn([python.as_str(), "-m", "venv", &tree]));
    match job.run(&spawn, run).await {
        Err(ToolchainError::Command {
            tool,
            command,
            status,
            tail,
            ..
        }) => Err(ToolchainError::Command {
            tool,
            command,
            status,
            tail,
            help: Some(NO_VENV.into()),
        }),
        result => result,
    }
}

/// The environment's pip with these arguments.
pub fn pip(job: &Job, build: &Build, args: &[&str]) -> Spawn {
    let python = build.dir().join("tree/bin/python").display().to_string();
    let head = [python.as_str(), "-m", "pip", "--disable-pip-version-check"];
    let mut spawn = clean(job.spawn(head.iter().chain(args).copied()));
    spawn.env.insert("PIP_NO_INPUT".into(), "1".into());
    spawn
}

/// Nothing of another Python environment may leak into ours.
fn clean(mut spawn: Spawn) -> Spawn {
    let leaks = [
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
    ];
    spawn.env_remove.extend(leaks.map(Into::into));
    spawn.env.insert("PYTHONNOUSERSITE".into(), "1".into());
    spawn
}

async fn install(job: &Job, run: &Run<'_>) -> Result<(), ToolchainError> {
    let row = job.row()?;
    let store = ContentStore::open()?;
    let good = |entry: &Path| executables(entry).is_some();
    let Some(build) = store.build(&key(row), run, good).await? else {
        return Ok(());
    };
    run.events.message("Making a virtual environment");
    environment(job, run, &build).await?;
    let list = build.dir().join("requirements.txt");
    fs::write(&list, requirements(&row.requires)).map_err(|source| failed(&list, source))?;
    run.events
        .message(format!("Installing {} packages", row.requires.len()));
    let list = list.display().to_string();
    let args = [
        "install",
        "--require-hashes",
        "--no-deps",
        "-r",
        list.as_str(),
    ];
    job.run(&pip(job, &build, &args), run).await?;
    complete(job, run, &build).await?;
    finish(job, &build).map_err(|source| failed(build.dir(), source))?;
    let tree = build.dir().join("tree");
    job.has_command(&executables(&tree).unwrap_or_default())?;
    build.commit("tree")
}

/// The lock was made with one Python on one system; another may need more packages.
async fn complete(job: &Job, run: &Run<'_>, build: &Build) -> Result<(), ToolchainError> {
    match job.run(&pip(job, build, &["check"]), run).await {
        Err(ToolchainError::Command {
            tool,
            command,
            status,
            tail,
            ..
        }) => Err(ToolchainError::Command {
            tool,
            command,
            status,
            tail,
            help: Some("this Python needs packages that the lock does not have: use the version of Python that it was made with".into()),
        }),
        result => result,
    }
}

/// One line for each package: pip takes no file that has none of the hashes.
fn requirements(requires: &BTreeMap<String, Pinned>) -> String {
    requires
        .iter()
        .map(|(name, pinned)| {
            let hashes: String = pinned
                .files
                .values()
                .map(|sha256| format!(" --hash=sha256:{sha256}"))
                .collect();
            format!("{name}=={}{hashes}\n", pinned.version)
        })
        .collect()
}

/// Writes down the executables, and makes the environment believe that it is where it is going to be.
fn finish(job: &Job, build: &Build) -> io::Result<()> {
    let tree = build.dir().join("tree");
    let names = own_executables(&tree, &pip_lock::normal(job.package()))?;
    fs::write(tree.join(EXECUTABLES), serde_json::to_vec(&names)?)?;
    relocate(&tree, build.target())
}

/// The executables that the package itself brings, not those of what it needs: name → path in the environment.
///
/// Read from the list of installed files: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>.
fn own_executables(tree: &Path, package: &str) -> io::Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for lib in fs::read_dir(tree.join("lib"))?.flatten() {
        let packages = fs::read_dir(lib.path().join("site-packages"));
        for info in packages.into_iter().flatten().flatten() {
            let name = info.file_name().to_string_lossy().into_owned();
            let Some((dist, _)) = name
                .strip_suffix(".dist-info")
                .and_then(|n| n.split_once('-'))
            else {
                continue;
            };
            if pip_lock::normal(dist) != package {
                continue;
            }
            let record = fs::read_to_string(info.path().join("RECORD"))?;
            for line in record.lines() {
                let file = line.split(',').next().unwrap_or_default();
                if let Some(script) = file.strip_prefix("../../../bin/") {
                    names.insert(script.to_owned(), format!("bin/{script}"));
                }
            }
        }
    }
    Ok(names)
}

/// Scripts name their interpreter by its absolute path: replaces the temporary place by the final one.
fn relocate(tree: &Path, target: &Path) -> io::Result<()> {
    let (from, to) = (tree.display().to_string(), target.display().to_string());
    let mut files = vec![tree.join("pyvenv.cfg")];
    files.extend(
        fs::read_dir(tree.join("bin"))?
            .flatten()
            .map(|entry| entry.path()),
    );
    for file in files {
        if !fs::symlink_metadata(&file)?.is_file() {
            continue;
        }
        // What is no text is a program of its own and knows no place.
        let Ok(text) = String::from_utf8(fs::read(&file)?) else {
            continue;
        };
        if text.contains(&from) {
            // Keeps the file's mode.
            fs::write(&file, text.replace(&from, &to))?;
        }
    }
    Ok(())
}
