//! Debian packages of the machine. Installs only as root; else it says which command to run.

use std::{collections::BTreeMap, path::Path};

use futures_util::{FutureExt, future::BoxFuture};

use super::{Job, Ready, Run, Source, ToolStatus, ToolchainError, differs, links::first_on_path};
use crate::{
    config::ToolSource,
    lockfile::ToolRow,
    sys::{
        process::Spawn,
        remembered::{Remembered, file_stamp},
        user::is_root,
    },
};

const HELP: &str = "`from = \"apt\"` is for Debian and its kin; use another source on this machine";

/// Changes whenever a package is installed or removed.
const DATABASE: &str = "/var/lib/dpkg/status";

/// Says whether Debian's package of a Postgres makes a cluster of the machine's own and starts it, on the port that projects want. See
/// pg_createcluster(1).
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";

/// How long apt waits for another apt, in seconds.
const WAIT: &str = "DPkg::Lock::Timeout=120";

pub struct Apt;

impl Source for Apt {
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        _run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>> {
        let mut row = ToolRow::new(ToolSource::Apt);
        row.package = Some(job.package().to_owned());
        async move { Ok(row) }.boxed()
    }

    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String> {
        differs("package", row.package.as_deref(), Some(job.package()))
    }

    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>> {
        check(job).boxed()
    }

    fn install<'a>(
        &'a self,
        job: &'a Job,
        run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<(), ToolchainError>> {
        install(job, run).boxed()
    }

    fn needs_lock(&self) -> bool {
        false
    }
}

async fn check(job: &Job) -> Result<ToolStatus, ToolchainError> {
    let package = job.package();
    let Some(version) = installed(job).await? else {
        return Ok(job.missing(format!("package `{package}` is not installed")));
    };
    let mut paths = BTreeMap::new();
    if let Some(command) = &job.tool.command {
        let Some(path) = first_on_path(command, &job.path) else {
            return Ok(job.missing(format!(
                "package `{package}` is installed, but `{command}` is not on PATH"
            )));
        };
        paths.insert(command.clone(), path);
    }
    Ok(ToolStatus::Ready(Ready {
        paths,
        version: Some(version),
        digest: package.to_owned(),
    }))
}

/// The installed version.
async fn installed(job: &Job) -> Result<Option<String>, ToolchainError> {
    let query = job.program("dpkg-query", HELP)?;
    let package = job.package();
    let stamp = format!("{} {}", query.display(), file_stamp(Path::new(DATABASE)));
    let remembered = Remembered::of(&job.root);
    let key = format!("apt {package}");
    if let Some(version) = remembered.get(&key, &stamp) {
        return Ok(Some(version));
    }
    let spawn = job.spawn([
        query.display().to_string().as_str(),
        "-W",
        "-f",
        "${db:Status-Abbrev}${Version}\n",
        package,
    ]);
    let output = spawn.output().await.map_err(|source| job.process(source))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The second letter is the state; `i` is installed and configured, see dpkg-query(1).
    let version = text
        .lines()
        .find(|line| line.as_bytes().get(1) == Some(&b'i'))
        .and_then(|line| line.split_whitespace().last())
        .map(str::to_owned);
    if let Some(version) = &version {
        remembered.put(&key, stamp, version.clone());
    }
    Ok(version)
}

/// Nobody asked for a cluster of the machine. Who has settings of their own keeps them.
fn without_cluster(settings: &Path) {
    use std::io::Write;
    let folder = settings.parent().unwrap_or(Path::new("/"));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut file = std::fs::File::create_new(settings)?;
        file.write_all(b"create_main_cluster = false\n")
    });
    // With one the package is no less installed.
    let _ = written;
}

async fn install(job: &Job, run: &Run<'_>) -> Result<(), ToolchainError> {
    let package = job.package();
    if installed(job).await?.is_some() {
        // It is there; only its command is not, and installing it again would not bring that.
        return Ok(());
    }
    if !is_root() {
        return Err(ToolchainError::NotRoot {
            tool: job.name.clone(),
            package: package.to_owned(),
            command: format!("sudo apt-get install --no-install-recommends {package}"),
        });
    }
    let apt = job.program("apt-get", HELP)?.display().to_string();
    let apt_get = |args: &[&str]| -> Spawn {
        let mut argv = vec![apt.as_str(), "-o", WAIT];
        argv.extend(args);
        let mut spawn = job.spawn(argv);
        let quiet = ("DEBIAN_FRONTEND".to_owned(), "noninteractive".into());
        spawn.env.extend([quiet]);
        spawn
    };
    let cache = job.program("apt-cache", HELP)?.display().to_string();
    let known = job
        .spawn([cache.as_str(), "show", "--no-all-versions", package])
        .output()
        .await
        .map_err(|source| job.process(source))?;
    if !known.status.success() {
        run.events.message("Updating the list of packages");
        job.run(&apt_get(&["update"]), run).await?;
    }
    if package.starts_with("postgresql-") {
        without_cluster(Path::new(CREATE_CLUSTER));
    }
    run.events.message(format!("Installing package {package}"));
    let args = ["install", "-y", "--no-install-recommends", package];
    job.run(&apt_get(&args), run).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_clusters_are_written_once_and_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = dir.path().join("common/createcluster.conf");
        without_cluster(&settings);
        let read = || std::fs::read_to_string(&settings).expect("a file");
        assert_eq!(read(), "create_main_cluster = false\n");
        std::fs::write(&settings, "ssl = on\n").expect("written");
        without_cluster(&settings);
        assert_eq!(read(), "ssl = on\n");
    }
}
