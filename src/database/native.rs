//! Postgres as a plain process of this machine: where its programs are, its data directory, its command.
//!
//! Never touches a cluster of the system: the data directory is the project's own, made from the same cache as in containers.

mod find;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::pgdata::{self, BOOTSTRAP_ENV, FREE_SPACE, Prepared, is_full};
use crate::{
    event::{Explain, Fault, FaultClass},
    plan::Digest,
    sys::{
        fs::absent_is_fine,
        process::{ProcessError, Spawn},
        user::{self, User},
        volume,
    },
};

pub use find::find;

/// The programs of a Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub bin: PathBuf,
    /// As the server tells it: `15.20`.
    pub release: String,
}

/// A socket's path may have 107 bytes, of which `/.s.PGSQL.65535.lock` takes some.
const SOCKET_FOLDER: usize = 85;

#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    #[error("Postgres {version} is not on this machine")]
    Absent {
        version: String,
        /// Places looked at, each with what was there.
        tried: Vec<String>,
    },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("initdb failed with {ending}")]
    Init { ending: String, output: String },
    #[error("cannot make the data directory `{}`", path.display())]
    Data {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` holds something that is no data directory of Postgres", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "Postgres does not run as root, and there is no user `postgres` or `nobody` to run it as"
    )]
    NoUser,
}

impl Explain for NativeError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            NativeError::Absent { version, tried } => tried
                .iter()
                .fold(fault, |fault, place| fault.note(format!("tried {place}")))
                .class(FaultClass::Environment)
                .help(format!(
                    "add `[toolchain.postgres]` with `from = \"apt\"` and `package = \"postgresql-{version}\"`, or install it yourself"
                )),
            NativeError::Init { output, .. } => {
                let fault = fault.note(format!("its output:\n{}", output.trim_end()));
                match output.contains("No space left") {
                    true => fault.class(FaultClass::Environment).help(FREE_SPACE),
                    false => fault,
                }
            }
            NativeError::Foreign { .. } => {
                fault.help("`devenv down --volumes` removes it; move it away if somebody needs it")
            }
            NativeError::Data { source, .. } if is_full(source) => {
                fault.class(FaultClass::Environment).help(FREE_SPACE)
            }
            NativeError::Data { .. } | NativeError::NoUser => fault.class(FaultClass::Environment),
            NativeError::Process(_) => fault,
        }
    }
}

/// Who the server runs as: `None` for this process' own user. Postgres refuses to run as root.
pub fn server_user() -> Result<Option<User>, NativeError> {
    if !user::is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::named(name).ok());
    found.map(Some).ok_or(NativeError::NoUser)
}

impl Installation {
    /// Names a prepared data directory of these programs.
    pub fn key(&self, version: &str, initdb: &[String]) -> Digest {
        let programs = format!("native {} {}", self.bin.display(), self.release);
        pgdata::key(&programs, version, initdb)
    }

    /// Makes a data directory; the archive of a folder that holds it as `data`.
    pub async fn prepare(
        &self,
        version: &str,
        initdb: &[String],
        bootstrap: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, NativeError> {
        let dir = tempfile::Builder::new()
            .prefix("devenv-initdb-")
            .tempdir()
            .map_err(data(&std::env::temp_dir()))?;
        let user = server_user()?;
        if let Some(user) = &user {
            chown(dir.path(), user).map_err(data(dir.path()))?;
        }
        let folder = dir.path().join("data");
        let name = user.map_or_else(|| pgdata::USER.to_owned(), |user| user.name);
        let script = pgdata::script(&folder.display().to_string(), version, initdb, &name);
        let mut spawn = Spawn::new(["/bin/sh", "-c", &script]);
        spawn.cwd = Some("/".into());
        spawn.env = [
            (BOOTSTRAP_ENV.to_owned(), bootstrap.into()),
            // The same on every machine.
            ("LANG".to_owned(), "C.UTF-8".into()),
            ("PATH".to_owned(), self.path()),
        ]
        .into();
        spawn.env_remove = vec!["LC_ALL".into()];
        let mut output = String::new();
        let finished = spawn
            .run(cancel, |line| {
                output.push_str(line);
                output.push('\n');
                std::future::ready(())
            })
            .await?;
        if !finished.status.success() {
            return Err(NativeError::Init {
                ending: crate::sys::process::ending(finished.status),
                output,
            });
        }
        let archive = move || archive(&folder).map_err(data(&folder));
        let packed = tokio::task::spawn_blocking(archive)
            .await
            .expect("packing a folder does not panic");
        drop(dir);
        packed
    }

    /// Its programs first, then this process' PATH.
    pub fn path(&self) -> std::ffi::OsString {
        let mut path = self.bin.clone().into_os_string();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        path
    }

    /// The server's command line, on a data directory below `volume`.
    pub fn server_command(
        &self,
        volume: &Path,
        port: u16,
        sockets: &Path,
        settings: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", sockets.display().to_string()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let mut all = BTreeMap::from(own);
        all.extend(settings.clone());
        // What is told to everybody as its port.
        all.insert("port".to_owned(), port.to_string());
        let mut argv = vec![
            self.bin.join("postgres").display().to_string(),
            "-D".to_owned(),
            data_dir(volume).display().to_string(),
        ];
        for (name, value) in all {
            argv.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        argv
    }
}

/// The data directory in the folder of a volume, as in containers.
pub fn data_dir(volume: &Path) -> PathBuf {
    volume.join("data")
}

fn archive(folder: &Path) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all("data", folder)?;
    tar.into_inner()
}

/// Gives an empty volume its data directory, by a rename: killed anywhere, the next call finds all of it or none. The folder that
/// has it, which is another one where the server's user cannot reach the volume, and true when it was put there now. Blocks.
///
/// # Errors
/// The volume holds something else, or cannot be written.
pub fn place(
    prepared: &Prepared,
    volume: &Path,
    identity: &str,
) -> Result<(PathBuf, bool), NativeError> {
    let owner = server_user()?;
    let volume = &match &owner {
        Some(user) => volume::reachable(volume, identity, user).map_err(data(volume))?,
        None => volume.to_owned(),
    };
    let data_dir = data_dir(volume);
    if data_dir.join("PG_VERSION").is_file() {
        forget_stale_server(&data_dir).map_err(data(&data_dir))?;
        return Ok((volume.clone(), false));
    }
    if fs::remove_dir(&data_dir).is_err() && data_dir.exists() {
        return Err(NativeError::Foreign { path: data_dir });
    }
    fs::create_dir_all(volume).map_err(data(volume))?;
    let new = volume.join(".new");
    let placed = unpack(prepared, &new, owner.as_ref()).and_then(|()| {
        fs::rename(new.join("data"), &data_dir)?;
        fs::remove_dir_all(&new)
    });
    if placed.is_err() {
        // On a full disk it would be in the way of what frees some.
        let _ = fs::remove_dir_all(&new);
    }
    placed.map_err(data(volume))?;
    Ok((volume.clone(), true))
}

/// Removes what a server that was killed wrote of itself, when its pid is another program's by now: Postgres would take that for a
/// server, as after a reboot. Workers that outlived their server are told by the shared memory that they hold.
fn forget_stale_server(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let pid = text.lines().next().unwrap_or_default().trim();
    // A server works in its data directory. What has no such process Postgres sees itself.
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(cwd) if cwd != data_dir.canonicalize()? => fs::remove_file(path),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn unpack(prepared: &Prepared, to: &Path, owner: Option<&User>) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(to))?;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    let unpack = |part: &pgdata::Part| -> io::Result<()> {
        let mut archive = tar::Archive::new(zstd::Decoder::new(&part.packed[..])?);
        archive.set_preserve_permissions(true);
        archive.set_preserve_mtime(false);
        archive.unpack(to)
    };
    // The first has all folders.
    let (first, rest) = prepared
        .parts
        .split_first()
        .ok_or(io::ErrorKind::InvalidData)?;
    unpack(first)?;
    std::thread::scope(|scope| {
        let parts: Vec<_> = rest
            .iter()
            .map(|part| scope.spawn(|| unpack(part)))
            .collect();
        let mut results = parts
            .into_iter()
            .map(|part| part.join().expect("unpacking does not panic"));
        results.try_for_each(|result| result)
    })?;
    match owner {
        Some(owner) => chown(to, owner),
        None => Ok(()),
    }
}

/// All of the folder becomes the user's.
fn chown(path: &Path, user: &User) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))?;
    if !path.is_symlink() && path.is_dir() {
        for entry in fs::read_dir(path)? {
            chown(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// A folder for the server's socket, its owner's alone: beside the data, elsewhere when the path is too long for a socket.
pub fn sockets(volume: &Path, identity: &str) -> Result<PathBuf, NativeError> {
    let beside = volume.join("sockets");
    let dir = match beside.as_os_str().len() < SOCKET_FOLDER {
        true => beside,
        false => volume::short_folder(identity),
    };
    let make = || -> io::Result<()> {
        fs::create_dir_all(&dir)?;
        if let Ok(Some(user)) = server_user() {
            std::os::unix::fs::lchown(&dir, Some(user.uid), Some(user.gid))?;
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
    };
    make().map_err(data(&dir))?;
    Ok(dir)
}

fn data(path: &Path) -> impl Fn(io::Error) -> NativeError {
    move |source| NativeError::Data {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::remembered::Remembered;
    use std::ffi::OsStr;

    #[tokio::test]
    async fn a_prepared_directory_is_placed_once_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().expect("a folder");
        let remembered = Remembered::of(dir.path());
        let found = find("15", OsStr::new(""), &remembered, |_| None)
            .await
            .expect("the tests need postgresql-15");
        let never = CancellationToken::new();
        let archive = found.prepare("15", &[], "bootstrap", &never).await;
        let archive = archive.expect("a data directory");
        let cache = pgdata::Cache::new(dir.path().join("cache"));
        let prepared = cache.put(&found.key("15", &[]), &archive, "bootstrap");
        let prepared = prepared.expect("kept");

        let volume = dir.path().join("db-data");
        let identity = format!("native-test-{}", std::process::id());
        let place = |volume: &Path| place(&prepared, volume, &identity);
        let (folder, is_new) = place(&volume).expect("placed");
        assert!(is_new);
        assert!(!place(&volume).expect("already there").1);
        assert!(!folder.join(".new").exists());
        let mode = fs::metadata(data_dir(&folder))
            .expect("a folder")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);

        // A kill in the middle leaves a part.
        let torn = dir.path().join("torn");
        fs::create_dir_all(torn.join(".new/data/base")).expect("made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        assert!(place(&torn).expect("placed").1);
        let foreign = dir.path().join("foreign");
        fs::create_dir_all(foreign.join("data/mine")).expect("made");
        let error = place(&foreign).expect_err("somebody else's");
        assert!(matches!(error, NativeError::Foreign { .. }), "{error}");
        assert!(foreign.join("data/mine").exists());
        volume::remove(&volume).expect("removed");
    }
}
