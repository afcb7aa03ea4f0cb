//! Where Postgres' programs are on this machine, and of which release.

use std::{ffi::OsStr, path::Path};

use super::{Installation, NativeError};
use crate::sys::{
    process::Spawn,
    remembered::{Remembered, program_stamp},
};

/// Where packages put the programs of a major version, which is `{}`.
const USUAL: [&str; 6] = [
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/usr/libexec/postgresql{}",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
    "/usr/local/pgsql/bin",
];

/// The programs of this major version: on the PATH, else where packages put them. `unfit` says why a folder's cannot be used.
pub async fn find(
    version: &str,
    path: &OsStr,
    remembered: &Remembered,
    unfit: impl Fn(&Path) -> Option<String>,
) -> Result<Installation, NativeError> {
    let on_path = which::which_in_all("postgres", Some(path), "/");
    let on_path = on_path.into_iter().flatten();
    let usual = USUAL.map(|place| Path::new(&place.replace("{}", version)).join("postgres"));
    let mut tried = Vec::new();
    for server in on_path.chain(usual) {
        // What is linked into a folder of the PATH has the other programs beside its own place.
        let Ok(server) = server.canonicalize() else {
            tried.push(format!("`{}`: not there", server.display()));
            continue;
        };
        match release(&server, remembered).await {
            Some(release) if major(&release) == version => {
                let bin = server.parent().unwrap_or(Path::new("/")).to_owned();
                let reason = match bin.join("initdb").exists() {
                    true => unfit(&bin),
                    false => Some("no initdb beside it".to_owned()),
                };
                let Some(reason) = reason else {
                    return Ok(Installation { bin, release });
                };
                tried.push(format!("`{}`: {reason}", server.display()));
            }
            Some(release) => tried.push(format!("`{}`: version {release}", server.display())),
            None => tried.push(format!("`{}`: tells no version", server.display())),
        }
    }
    tried.dedup();
    Err(NativeError::Absent {
        version: version.to_owned(),
        tried,
    })
}

/// What the server says it is, or said when it was last asked and has not changed since.
async fn release(server: &Path, remembered: &Remembered) -> Option<String> {
    let key = format!("release of {}", server.display());
    let stamp = program_stamp(server);
    if let Some(known) = stamp.as_ref().and_then(|stamp| remembered.get(&key, stamp)) {
        return Some(known);
    }
    let release = ask_release(server).await?;
    if let Some(stamp) = stamp {
        remembered.put(&key, stamp, release.clone());
    }
    Some(release)
}

/// `postgres (PostgreSQL) 15.20 (Debian …)` → `15.20`
async fn ask_release(server: &Path) -> Option<String> {
    let spawn = Spawn::new([server.display().to_string(), "--version".to_owned()]);
    let output = spawn.output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.split_once("PostgreSQL) ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

fn major(release: &str) -> &str {
    release
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or(release)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::event::Explain;

    #[tokio::test]
    async fn another_version_is_not_taken_and_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let remembered = Remembered::of(dir.path());
        let found = find("15", OsStr::new(""), &remembered, |_| None)
            .await
            .expect("the tests need postgresql-15");
        assert!(found.release.starts_with("15."), "{found:?}");
        let path = found.bin.clone().into_os_string();
        let error = find("3", &path, &remembered, |_| None)
            .await
            .expect_err("nobody has this");
        let fault = error.explain();
        assert_eq!(fault.message, "Postgres 3 is not on this machine");
        let server = found.bin.join("postgres");
        let wrong = format!("tried `{}`: version {}", server.display(), found.release);
        assert_eq!(fault.notes.first(), Some(&wrong));
        assert_eq!(major("18beta1"), "18");
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_passed_over_with_its_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        let remembered = Remembered::of(dir.path());
        let closed = |_: &Path| Some("nobody may enter".to_owned());
        let error = find("15", OsStr::new(""), &remembered, closed)
            .await
            .expect_err("none can be used");
        let NativeError::Absent { tried, .. } = error else {
            panic!("{error}");
        };
        let told = |line: &String| line.ends_with("/postgres`: nobody may enter");
        assert!(tried.iter().any(told), "{tried:?}");
    }

    #[tokio::test]
    async fn a_server_is_asked_again_when_it_has_changed_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let remembered = Remembered::of(dir.path());
        let bin = dir.path().canonicalize().expect("a folder").join("bin");
        fs::create_dir(&bin).expect("made");
        fs::write(bin.join("initdb"), "").expect("written");
        let install = |release: &str| {
            let script = format!(
                "#!/bin/sh\necho asked >>{0}/asked\necho 'postgres (PostgreSQL) {release}'\n",
                bin.display()
            );
            let new = bin.join("new");
            fs::write(&new, script).expect("written");
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("runs");
            fs::rename(&new, bin.join("postgres")).expect("renamed");
        };
        let release = async || {
            let found = find("99", bin.as_os_str(), &remembered, |_| None).await;
            found.expect("it is there").release
        };
        let asked = || {
            fs::read_to_string(bin.join("asked"))
                .expect("asked")
                .lines()
                .count()
        };
        install("99.1");
        assert_eq!(release().await, "99.1");
        assert_eq!((release().await, asked()), ("99.1".to_owned(), 1));
        install("99.2");
        assert_eq!((release().await, asked()), ("99.2".to_owned(), 2));
    }
}
