//! Crates with executables, built by `cargo install --locked`, pinned by version and the checksum of the crate's file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;

use super::{
    Job, Ready, Run, Source, ToolStatus, ToolchainError, differs,
    store::{ContentStore, failed},
};
use crate::{config::ToolSource, lockfile::ToolRow, sys::platform};

const HELP: &str = "install Rust, which brings cargo";

pub struct Cargo;

impl Source for Cargo {
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>> {
        async move {
            run.events.message(format!("Looking up {}", job.package()));
            let wanted = job.tool.version.as_deref();
            let found = look_up(job, run, wanted).await?;
            let mut row = ToolRow::new(ToolSource::Cargo);
            row.package = Some(job.package().to_owned());
            row.spec = job.tool.version.clone();
            row.version = Some(found.version);
            row.checksum = found.checksum;
            row.features = features(job);
            Ok(row)
        }
        .boxed()
    }

    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String> {
        differs("package", row.package.as_deref(), Some(job.package()))
            .or_else(|| differs("version", row.spec.as_ref(), job.tool.version.as_ref()))
            .or_else(|| (row.features != features(job)).then(|| "features changed".into()))
    }

    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>> {
        async move {
            let row = job.row()?;
            let entry = ContentStore::open()?.entry(&key(row));
            let paths = executables(&entry.join("bin"));
            if paths.is_empty() {
                let version = row.version.as_deref().unwrap_or_default();
                return Ok(job.missing(format!("version {version} is not installed")));
            }
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

impl Job {
    /// The status of a tool with these executables, installed by this row of the lock.
    pub fn ready(
        &self,
        paths: BTreeMap<String, PathBuf>,
        row: &ToolRow,
    ) -> Result<ToolStatus, ToolchainError> {
        self.has_command(&paths)?;
        Ok(ToolStatus::Ready(Ready {
            paths,
            version: row.version.clone(),
            digest: row.digest().to_hex(),
        }))
    }

    /// A `command` that the file names must be among the executables.
    pub fn has_command(&self, paths: &BTreeMap<String, PathBuf>) -> Result<(), ToolchainError> {
        match &self.tool.command {
            Some(command) if !paths.contains_key(command) => Err(ToolchainError::NoExecutable {
                tool: self.name.clone(),
                wanted: command.clone(),
                has: paths.keys().cloned().collect(),
            }),
            _ => Ok(()),
        }
    }
}

fn features(job: &Job) -> Vec<String> {
    let mut features = job.tool.features.clone();
    features.sort();
    features.dedup();
    features
}

fn key(row: &ToolRow) -> String {
    ContentStore::key(&["cargo", &row.digest().to_hex(), &platform::current()])
}

fn executables(bin: &Path) -> BTreeMap<String, PathBuf> {
    fs::read_dir(bin)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect()
}

#[derive(Deserialize)]
struct CargoLock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// sha256 of the crate's file, as the registry's index has it.
    checksum: Option<String>,
}

/// Lets cargo resolve a project that depends on nothing but the crate, and reads the lock it writes.
async fn look_up(
    job: &Job,
    run: &Run<'_>,
    version: Option<&str>,
) -> Result<Locked, ToolchainError> {
    let cargo = job.program("cargo", HELP)?;
    let (package, version) = (job.package(), version.unwrap_or("*"));
    let key = ContentStore::key(&["cargo look-up", package, version]);
    let scratch = ContentStore::open()?.build(&key, run, |_| false).await?;
    let scratch = scratch.expect("no entry is ever good enough");
    let dir = scratch.dir();
    let exact = if version == "*" { "" } else { "=" };
    let manifest = format!(
        "[package]\nname = \"devenv-look-up\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n\n\
         [dependencies]\n{} = {}\n",
        toml::Value::from(package),
        toml::Value::from(format!("{exact}{version}")),
    );
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|source| failed(&path, source))
    };
    write("Cargo.toml", &manifest)?;
    write("lib.rs", "")?;
    let mut spawn = job.spawn([cargo.display().to_string().as_str(), "generate-lockfile"]);
    spawn.cwd = Some(dir.to_owned());
    job.run(&spawn, run).await?;
    let unread = |message: String| ToolchainError::Report {
        tool: job.name.clone(),
        command: spawn.display(),
        message,
    };
    let text = fs::read_to_string(dir.join("Cargo.lock")).map_err(|e| unread(e.to_string()))?;
    let lock: CargoLock = toml::from_str(&text).map_err(|e| unread(e.message().to_owned()))?;
    lock.package
        .into_iter()
        .find(|locked| locked.name == package)
        .ok_or_else(|| unread(format!("it has no package `{package}`")))
}

async fn install(job: &Job, run: &Run<'_>) -> Result<(), ToolchainError> {
    let row = job.row()?;
    let cargo = job.program("cargo", HELP)?;
    let version = row.version.clone().unwrap_or_default();
    let store = ContentStore::open()?;
    let good = |entry: &Path| !executables(&entry.join("bin")).is_empty();
    let Some(build) = store.build(&key(row), run, good).await? else {
        return Ok(());
    };
    // Cargo holds the crate's file against its index; we hold the index against the lock.
    let found = look_up(job, run, Some(&version)).await?;
    if found.checksum != row.checksum {
        return Err(ToolchainError::Checksum {
            tool: job.name.clone(),
            package: format!("{} {version}", job.package()),
            locked: row.checksum.clone().unwrap_or_default(),
            found: found.checksum.unwrap_or_default(),
        });
    }
    let inside = |name: &str| build.dir().join(name).display().to_string();
    let mut argv = vec![
        cargo.display().to_string(),
        "install".into(),
        "--locked".into(),
    ];
    argv.extend(["--version".into(), format!("={version}")]);
    argv.extend(["--root".into(), inside("tree")]);
    argv.extend(["--target-dir".into(), inside("target")]);
    if !row.features.is_empty() {
        argv.extend(["--features".into(), row.features.join(",")]);
    }
    argv.push(job.package().to_owned());
    let mut spawn = job.spawn(argv);
    spawn.cwd = Some(job.root.clone());
    run.events
        .message(format!("Compiling {} {version}", job.package()));
    job.run(&spawn, run).await?;
    job.has_command(&executables(&build.dir().join("tree/bin")))?;
    build.commit("tree")
}
