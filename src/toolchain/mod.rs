//! The tools a project needs: whether they are there, and how they get there. `devenv.lock` says what exactly.
//!
//! [`Source`] is the open side (one file per place a tool comes from), [`source`] the one closed match. Owns the content store under
//! the XDG data folder and the link folder `.devenv/bin`; installs nothing that the lock does not pin, and never prints.

mod apt;
pub mod archive;
mod cargo;
mod command;
pub mod download;
mod error;
mod format;
mod http;
mod links;
mod pip;
mod pip_lock;
mod store;
mod system;
mod version;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Tool, ToolSource},
    event::StepEvents,
    lockfile::{Lock, ToolRow},
};

pub use error::ToolchainError;
use links::Links;
pub use store::{is_stored, within_reach};
pub use system::bring_version;

/// The tools of one project.
pub struct Toolchain {
    root: PathBuf,
    tools: BTreeMap<String, Tool>,
    lock: Mutex<Lock>,
    /// Held while the file is rewritten: what is in memory must not go back to an older state of it.
    updating: tokio::sync::Mutex<()>,
    locking: Locking,
    links: Links,
}

/// What `install` does with a tool whose row in the lock is missing or out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Resolve it, write the row, say so.
    IfNeeded,
    /// Fail: for CI.
    Refuse,
}

/// Whether a tool is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolStatus {
    Ready(Ready),
    /// Not there, or not as wanted; both are shown to the user.
    Missing {
        why: String,
        help: String,
    },
    /// `system`: found, but no version on PATH is in the range.
    WrongVersion {
        found: String,
        wanted: String,
        path: PathBuf,
    },
}

/// A tool that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Name of each executable → where it is.
    pub paths: BTreeMap<String, PathBuf>,
    pub version: Option<String>,
    /// Identity of the tool, the same on every machine for the same row of the lock.
    pub digest: String,
}

/// What `install` left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    #[serde(flatten)]
    pub ready: Ready,
    /// False when it was there already.
    pub changed: bool,
}

/// A row of the lock that does not say what the file asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outdated {
    pub tool: String,
    pub why: String,
}

/// What a source works on.
struct Job {
    name: String,
    tool: Tool,
    row: Option<ToolRow>,
    root: PathBuf,
    /// PATH without the link folder, so that no tool is found through its own link.
    path: OsString,
}

/// One place that tools come from.
trait Source: Sync {
    /// Finds out what the lock must hold. May use the network.
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>>;

    /// Why the row is not what the file asks for; `None` when it is. No network.
    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String>;

    /// What is there. No network, no changes.
    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>>;

    /// Makes [`Source::check`] say ready, by the row of the lock.
    fn install<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<(), ToolchainError>>;

    /// Whether an install without a row would take whatever the network gives.
    fn needs_lock(&self) -> bool {
        true
    }
}

/// Where to tell what happens, and when to stop.
struct Run<'a> {
    events: &'a StepEvents,
    cancel: &'a CancellationToken,
}

/// The one place that knows all sources.
fn source(of: ToolSource) -> &'static dyn Source {
    match of {
        ToolSource::System => &system::System,
        ToolSource::Http => &http::Http,
        ToolSource::Cargo => &cargo::Cargo,
        ToolSource::Pip => &pip::Pip,
        ToolSource::Apt => &apt::Apt,
    }
}

impl Job {
    fn of(&self) -> &'static dyn Source {
        source(self.tool.from)
    }

    /// The executable's name.
    fn command(&self) -> &str {
        self.tool.command.as_deref().unwrap_or(&self.name)
    }

    /// The name in the registry.
    fn package(&self) -> &str {
        self.tool.package.as_deref().unwrap_or(&self.name)
    }

    fn row(&self) -> Result<&ToolRow, ToolchainError> {
        self.row.as_ref().ok_or_else(|| ToolchainError::Unlocked {
            tool: self.name.clone(),
            why: "it has no row".into(),
        })
    }

    fn outdated(&self) -> Option<String> {
        match &self.row {
            None => Some("not in devenv.lock yet".into()),
            Some(row) if row.from != self.tool.from => Some(format!(
                "from changed: `{}` → `{}`",
                word(row.from),
                word(self.tool.from)
            )),
            Some(row) => self.of().outdated(self, row),
        }
    }

    fn missing(&self, why: impl Into<String>) -> ToolStatus {
        ToolStatus::Missing {
            why: why.into(),
            help: "run `devenv install`".into(),
        }
    }
}

/// The source as the file writes it.
pub fn word(source: ToolSource) -> &'static str {
    match source {
        ToolSource::System => "system",
        ToolSource::Http => "http",
        ToolSource::Cargo => "cargo",
        ToolSource::Pip => "pip",
        ToolSource::Apt => "apt",
    }
}

/// The reason when a field of the row differs from what is asked for.
fn differs<T: AsRef<str>>(field: &str, old: Option<T>, new: Option<T>) -> Option<String> {
    let (old, new) = (
        old.as_ref().map(AsRef::as_ref),
        new.as_ref().map(AsRef::as_ref),
    );
    (old != new).then(|| {
        format!(
            "{field} changed: `{}` → `{}`",
            old.unwrap_or("any"),
            new.unwrap_or("any")
        )
    })
}

impl Toolchain {
    pub fn new(root: &Path, tools: &BTreeMap<String, Tool>, lock: Lock) -> Self {
        Self {
            root: root.to_owned(),
            tools: tools.clone(),
            lock: Mutex::new(lock),
            updating: tokio::sync::Mutex::default(),
            locking: Locking::IfNeeded,
            links: Links::of(root),
        }
    }

    pub fn locking(mut self, locking: Locking) -> Self {
        self.locking = locking;
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The lock as it is now, with the rows that installs added.
    pub fn lock(&self) -> Lock {
        self.rows().clone()
    }

    /// The environment of every step: PATH with the link folder first.
    pub fn env(&self) -> BTreeMap<String, OsString> {
        let rest = self.search_path();
        let all = std::iter::once(self.links.dir().to_owned()).chain(env::split_paths(&rest));
        let path = env::join_paths(all).unwrap_or(rest);
        [("PATH".to_owned(), path)].into()
    }

    /// Whether the tool is there. No network, no changes.
    pub async fn status(&self, name: &str) -> Result<ToolStatus, ToolchainError> {
        let job = self.job(name)?;
        let status = check(&job).await?;
        if let ToolStatus::Ready(ready) = &status {
            let unlinked = ready
                .paths
                .iter()
                .find(|(link, path)| !self.links.leads_to(link, path, &job.path));
            if let Some((link, _)) = unlinked {
                return Ok(job.missing(format!("no link `.devenv/bin/{link}` to it")));
            }
        }
        Ok(status)
    }

    /// Makes the tool ready, by its row in the lock. Does nothing when it is.
    pub async fn install(
        &self,
        name: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<Installed, ToolchainError> {
        let run = Run { events, cancel };
        let mut job = self.job(name)?;
        let outdated = job.outdated();
        if let Some(why) = outdated.clone() {
            if self.locking == Locking::Refuse && job.of().needs_lock() {
                let tool = name.to_owned();
                return Err(ToolchainError::Unlocked { tool, why });
            }
            job.row = Some(job.of().resolve(&job, &run).await?);
        }
        let changed = !matches!(check(&job).await?, ToolStatus::Ready(_));
        if changed {
            job.of().install(&job, &run).await?;
        }
        let ready = ready(&job).await?;
        // Only now: a row of what cannot be used would refuse what comes in its place.
        if let (Some(why), Some(row)) = (outdated, &job.row) {
            self.pin(name, row).await?;
            if job.of().needs_lock() {
                let version = row.version.as_deref().unwrap_or_default();
                events.notice(format!("Locked {name} {version} in devenv.lock: {why}"));
            }
        }
        self.link(cancel).await?;
        Ok(Installed { ready, changed })
    }

    /// The rows that are missing, out of date, or of tools that are no more. No network.
    pub fn outdated(&self) -> Vec<Outdated> {
        let mut all: Vec<_> = self
            .tools
            .keys()
            .filter_map(|name| {
                let why = self.job(name).ok()?.outdated()?;
                Some(Outdated {
                    tool: name.clone(),
                    why,
                })
            })
            .collect();
        let orphans = self.orphans();
        all.extend(orphans.into_iter().map(|tool| Outdated {
            tool,
            why: "no longer in devenv.toml".into(),
        }));
        all
    }

    /// Resolves the tool anew and writes its row.
    pub async fn relock(
        &self,
        name: &str,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ToolRow, ToolchainError> {
        let job = self.job(name)?;
        let row = job.of().resolve(&job, &Run { events, cancel }).await?;
        self.pin(name, &row).await?;
        Ok(row)
    }

    /// Writes the tool's row.
    async fn pin(&self, name: &str, row: &ToolRow) -> Result<(), ToolchainError> {
        let (name, row) = (name.to_owned(), row.clone());
        self.update(move |lock| drop(lock.tools.insert(name, row)))
            .await
    }

    /// Removes the rows of tools that are no more.
    pub async fn forget_orphans(&self) -> Result<Vec<String>, ToolchainError> {
        let orphans = self.orphans();
        if !orphans.is_empty() {
            let gone = orphans.clone();
            self.update(move |lock| lock.tools.retain(|name, _| !gone.contains(name)))
                .await?;
        }
        Ok(orphans)
    }

    /// Makes the link folder hold a link to each executable of each tool that is ready, and nothing else.
    pub async fn link(&self, cancel: &CancellationToken) -> Result<(), ToolchainError> {
        let _guard = store::acquire(&self.links.guard(), cancel, || {}).await?;
        let mut wanted = BTreeMap::new();
        for name in self.tools.keys() {
            let job = self.job(name)?;
            // A tool that cannot be looked at is reported by its own step, not by another's.
            if let Ok(ToolStatus::Ready(ready)) = check(&job).await {
                for (link, path) in ready.paths {
                    if links::first_on_path(&link, &job.path).as_ref() != Some(&path)
                        && (link == *name || !wanted.contains_key(&link))
                    {
                        wanted.insert(link, path);
                    }
                }
            }
        }
        self.links.write(&wanted)
    }

    fn orphans(&self) -> Vec<String> {
        let rows = self.rows();
        let known = |name: &&String| !self.tools.contains_key(*name);
        rows.tools.keys().filter(known).cloned().collect()
    }

    async fn update(
        &self,
        change: impl FnOnce(&mut Lock) + Send + 'static,
    ) -> Result<(), ToolchainError> {
        let _updating = self.updating.lock().await;
        let root = self.root.clone();
        let lock = tokio::task::spawn_blocking(move || Lock::update(&root, change))
            .await
            .expect("updating the lock does not panic")?;
        *self.rows() = lock;
        Ok(())
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, Lock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn job(&self, name: &str) -> Result<Job, ToolchainError> {
        let tool = self
            .tools
            .get(name)
            .ok_or_else(|| ToolchainError::Unknown { tool: name.into() })?;
        Ok(Job {
            name: name.to_owned(),
            tool: tool.clone(),
            row: self.rows().tools.get(name).cloned(),
            root: self.root.clone(),
            path: self.search_path(),
        })
    }

    fn search_path(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let rest = env::split_paths(&path).filter(|dir| dir != self.links.dir());
        env::join_paths(rest).unwrap_or_default()
    }
}

async fn check(job: &Job) -> Result<ToolStatus, ToolchainError> {
    if job.of().needs_lock()
        && let Some(why) = job.outdated()
    {
        return Ok(job.missing(why));
    }
    job.of().check(job).await
}

/// The tool after its install.
async fn ready(job: &Job) -> Result<Ready, ToolchainError> {
    let tool = job.name.clone();
    match check(job).await? {
        ToolStatus::Ready(ready) => Ok(ready),
        ToolStatus::Missing { why, .. } => Err(ToolchainError::NotReady { tool, why }),
        ToolStatus::WrongVersion {
            found,
            wanted,
            path,
        } => Err(ToolchainError::WrongVersion {
            tool,
            found,
            wanted,
            path,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn updates_at_once_are_all_in_memory_and_in_the_file() {
        let root = tempfile::tempdir().unwrap();
        for round in 1..=20 {
            let toolchain = Toolchain::new(root.path(), &BTreeMap::new(), Lock::default());
            let toolchain = std::sync::Arc::new(toolchain);
            let mut updates = tokio::task::JoinSet::new();
            for number in 0..16 {
                let (toolchain, name) = (toolchain.clone(), format!("tool-{round}-{number}"));
                updates.spawn(async move {
                    let row = ToolRow::new(ToolSource::Http);
                    let change = |lock: &mut Lock| drop(lock.tools.insert(name, row));
                    toolchain.update(change).await
                });
            }
            for result in updates.join_all().await {
                result.unwrap();
            }
            assert_eq!(toolchain.lock(), Lock::read(root.path()).unwrap());
            assert_eq!(toolchain.lock().tools.len(), 16 * round);
        }
    }
}
