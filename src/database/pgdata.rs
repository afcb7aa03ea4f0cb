//! A prepared data directory: made once per image and settings, then copied into every fresh volume instead of running initdb.
//!
//! Owns the text that runs in containers and the cache on disk. Fetching and seeding the folder is the runtime's. What is cached holds
//! no secret of a project: its superuser has a random password of its own, replaced at first use by [`provision`](super::provision).

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    event::{Explain, Fault, FaultClass},
    plan::Digest,
    sys::paths,
};

/// Where the volume is mounted: a path of our own, which no image declares, so it works for any major version.
pub const MOUNT: &str = "/var/lib/postgresql/devenv";

/// The data directory, one level below, so that the mount's own mode does not matter.
pub const PGDATA: &str = "/var/lib/postgresql/devenv/data";

/// Postgres puts its socket here and does not start without it: mount a tmpfs with `mode=1777`, some images have an empty `/run`.
pub const SOCKET_DIR: &str = "/run/postgresql";

/// The user to run as, in the official image and in Debian's packages. The texts here work when started as root, too.
pub const USER: &str = "postgres";

/// The variable that gives [`init_script`] the superuser's first password.
pub const BOOTSTRAP_ENV: &str = "DEVENV_BOOTSTRAP_PASSWORD";

/// Where the container of the server finds the [`Part`]s of a prepared data directory: `0.tar`, `1.tar` and so on.
pub const ARCHIVES: &str = "/devenv-pgdata";

/// Made in advance, as that takes longer than all else of a first start: it becomes the app's database by a new name.
pub const SPARE_DATABASE: &str = "devenv_spare";

/// To be raised when what a prepared data directory holds changes.
const FORMAT: u32 = 3;

/// Parts that are unpacked at once: one for each database of a new server.
const FILES: usize = 4;

/// Entries kept; the oldest go first.
const KEEP: usize = 8;

/// Names one prepared data directory. The digest of everything that decides its content.
pub fn key(image_digest: &str, version: &str, initdb: &[String]) -> Digest {
    let parts = (
        FORMAT,
        std::env::consts::ARCH,
        image_digest,
        version,
        initdb,
    );
    Digest::of(serde_json::to_vec(&parts).expect("strings and numbers serialise"))
}

/// A script for `/bin/sh -c` in a container of the image, as root or [`USER`]: leaves a data directory at [`PGDATA`].
/// Wants the variable [`BOOTSTRAP_ENV`].
pub fn init_script(version: &str, initdb: &[String]) -> String {
    script(PGDATA, version, initdb)
}

pub(super) fn script(data: &str, version: &str, initdb: &[String]) -> String {
    let extra: String = initdb
        .iter()
        .map(|arg| format!(" {}", quote(arg)))
        .collect();
    format!(
        r#"set -eu
umask 077
{path}
if ! command -v tar >/dev/null; then
  echo "the image has no tar, which is to unpack the prepared data directory" >&2
  exit 1
fi
data={data}
password=$(mktemp)
printf '%s\n' "${BOOTSTRAP_ENV}" >"$password"
as_postgres() {{ "$@"; }}
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data"
  chown -R {USER} "$data" "$password"
  chmod 755 "${{data%/*}}"
  as_postgres() {{ {drop_root} }}
fi
# The official image says which locale it was built for.
as_postgres initdb --pgdata="$data" --no-sync --wal-segsize=1 --username=postgres --pwfile="$password" \
  --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale="${{LANG:-C.UTF-8}}"{extra} </dev/null
rm -f "$password"
printf 'create database {SPARE_DATABASE}\n' | as_postgres postgres --single -D "$data" -c fsync=off postgres >/dev/null
printf 'host all all all scram-sha-256\n' >>"$data/pg_hba.conf"
"#,
        path = path(version),
        data = quote(data),
        drop_root = drop_root(""),
    )
}

/// The command of the server's container: Postgres on [`PGDATA`], as process 1.
///
/// An empty volume gets the data directory of [`ARCHIVES`] first, by a rename: killed anywhere, the next start finds all of it or none.
pub fn server_command(version: &str, settings: &BTreeMap<String, String>) -> Vec<String> {
    let script = format!(
        r#"{path}
data={data}
new={mount}/.new
unpack() {{
  rm -rf "$new" && mkdir "$new" && tar -xf {ARCHIVES}/0.tar -C "$new" || return
  unpacking=
  for part in {ARCHIVES}/[1-9]*.tar; do
    tar -xf "$part" -C "$new" &
    unpacking="$unpacking $!"
  done
  for tar in $unpacking; do wait "$tar" || return; done
  chmod 755 {mount} && mv "$new/data" "$data" && rm -rf "$new"
}}
if [ -d {ARCHIVES} ]; then
  if [ ! -e "$data" ] || rmdir "$data" 2>/dev/null; then
    unpack || exit 1
  fi
  rm -rf {ARCHIVES}
fi
if [ ! -s "$data/PG_VERSION" ]; then
  echo "$data holds something that is no data directory of Postgres; \`devenv down --volumes\` removes it" >&2
  exit 1
fi
if [ "$(id -u)" = 0 ]; then {drop_root} fi
exec postgres "$@"
"#,
        path = path(version),
        mount = quote(MOUNT),
        data = quote(PGDATA),
        drop_root = drop_root("exec ").replace("\"$@\"", "postgres \"$@\""),
    );
    let mut argv: Vec<String> = ["/bin/sh", "-c", &script, "postgres", "-D", PGDATA]
        .map(Into::into)
        .into();
    let own = [
        ("listen_addresses", "*"),
        ("unix_socket_directories", SOCKET_DIR),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut all = BTreeMap::from(own);
    all.extend(settings.clone());
    for (name, value) in all {
        argv.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    argv
}

/// Postgres' programs are on PATH in the official image, in a folder of their version in Debian's packages.
pub(super) fn path(version: &str) -> String {
    format!(
        "PATH=$PATH:{}",
        quote(&format!("/usr/lib/postgresql/{version}/bin"))
    )
}

/// Runs `"$@"` as [`USER`] with what the image has: gosu or su-exec (official), setpriv (Debian), su.
fn drop_root(exec: &str) -> String {
    format!(
        "if command -v gosu >/dev/null; then {exec}gosu {USER} \"$@\"; \
         elif command -v su-exec >/dev/null; then {exec}su-exec {USER} \"$@\"; \
         else {exec}setpriv --reuid={USER} --regid={USER} --init-groups -- \"$@\"; fi;"
    )
}

/// One word for a POSIX shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A random password for [`BOOTSTRAP_ENV`]: 64 hex digits.
pub fn bootstrap_password() -> Result<String, PgdataError> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(PgdataError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[derive(Debug, thiserror::Error)]
pub enum PgdataError {
    #[error("cannot get random bytes from the system")]
    Random(#[source] io::Error),
    #[error("cannot write the prepared data directory to `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoHome,
}

impl Explain for PgdataError {
    fn explain(&self) -> Fault {
        Fault::from_error(self).class(FaultClass::Environment)
    }
}

/// The prepared data directories of this user, shared by all projects.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// A data directory, ready to be copied into a new volume.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    pub parts: Vec<Part>,
    /// The superuser's password in it, until it is provisioned.
    pub bootstrap_password: String,
}

/// A tar archive of some of its files, compressed with zstd. The first has all folders; the others can be unpacked at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub packed: Arc<[u8]>,
    /// Before compression, in bytes.
    pub size: u64,
}

/// Never shows the password.
impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({} parts)", self.parts.len())
    }
}

/// First line of an entry; the parts follow, compressed.
#[derive(Serialize, Deserialize)]
struct Header {
    key: Digest,
    /// Of all that follows.
    digest: Digest,
    /// Of each part its size before and after compression.
    parts: Vec<(u64, usize)>,
    bootstrap_password: String,
}

impl Cache {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// In the user's cache folder.
    pub fn of_user() -> Result<Self, PgdataError> {
        let dir = paths::cache_dir().ok_or(PgdataError::NoHome)?;
        Ok(Self::new(dir.join("pgdata")))
    }

    /// `None` when there is none or it is damaged: a damaged one is removed. Blocks.
    pub fn get(&self, key: &Digest) -> Option<Prepared> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        let prepared = unpack(key, &bytes);
        if prepared.is_none() {
            // Made again by the next put, which also replaces it if it cannot be removed.
            let _ = fs::remove_file(&path);
        }
        prepared
    }

    /// Whether there is an entry, without reading all of it.
    pub fn contains(&self, key: &Digest) -> bool {
        self.path(key).is_file()
    }

    /// Keeps a tar archive, readable by this user only. The whole entry appears at once, or not at all. Blocks.
    pub fn put(
        &self,
        key: &Digest,
        archive: &[u8],
        bootstrap: &str,
    ) -> Result<Prepared, PgdataError> {
        let path = self.path(key);
        let prepared = self.write(&path, key, archive, bootstrap);
        let prepared = prepared.map_err(|source| PgdataError::Write { path, source })?;
        self.prune(key);
        Ok(prepared)
    }

    fn write(
        &self,
        path: &Path,
        key: &Digest,
        archive: &[u8],
        bootstrap: &str,
    ) -> io::Result<Prepared> {
        let parts = split(archive)?;
        let all = parts
            .iter()
            .map(|part| &*part.packed)
            .collect::<Vec<_>>()
            .concat();
        let header = Header {
            key: key.clone(),
            digest: Digest::of(&all),
            parts: parts
                .iter()
                .map(|part| (part.size, part.packed.len()))
                .collect(),
            bootstrap_password: bootstrap.to_owned(),
        };
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir)?;
        // A temporary file has mode 0600.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        serde_json::to_writer(&mut file, &header)?;
        file.write_all(b"\n")?;
        file.write_all(&all)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(Prepared {
            parts,
            bootstrap_password: bootstrap.to_owned(),
        })
    }

    /// Removes the oldest entries, and what a killed run left in them. Failures do not matter: the next put tries again.
    fn prune(&self, newest: &Digest) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut old: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let written = path.metadata().ok()?.modified().ok()?;
                (path.file_name()?.to_str()? != newest.0).then_some((written, path))
            })
            .collect();
        old.sort();
        let surplus = old.len().saturating_sub(KEEP - 1);
        for (_, path) in old.into_iter().take(surplus) {
            let _ = fs::remove_dir_all(path);
        }
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.dir.join(&key.0).join("prepared")
    }
}

fn unpack(key: &Digest, bytes: &[u8]) -> Option<Prepared> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(&bytes[..line]).ok()?;
    let mut rest = &bytes[line + 1..];
    if header.key != *key || header.digest != Digest::of(rest) {
        return None;
    }
    let mut parts = Vec::new();
    for (size, length) in header.parts {
        let (packed, after) = rest.split_at_checked(length)?;
        rest = after;
        parts.push(Part {
            packed: packed.into(),
            size,
        });
    }
    Some(Prepared {
        parts,
        bootstrap_password: header.bootstrap_password,
    })
}

/// Cuts the archive of a folder into [`FILES`] parts of as many files, and one before them with everything else.
/// Neighbours stay together: two processes that fill one folder would wait for each other.
fn split(archive: &[u8]) -> io::Result<Vec<Part>> {
    let is_file = |entry: &io::Result<tar::Entry<'_, _>>| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.header().entry_type().is_file())
    };
    let files = tar::Archive::new(archive)
        .entries()?
        .filter(is_file)
        .count();
    let mut parts: Vec<_> = (0..=FILES).map(|_| tar::Builder::new(Vec::new())).collect();
    let mut seen = 0;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        let path = entry.path()?.into_owned();
        if header.entry_type().is_file() {
            parts[1 + seen * FILES / files].append_data(&mut header, path, &mut entry)?;
            seen += 1;
        } else if let Some(target) = entry.link_name()? {
            parts[0].append_link(&mut header, path, target)?;
        } else {
            parts[0].append_data(&mut header, path, &mut entry)?;
        }
    }
    let pack = |part: tar::Builder<Vec<u8>>| {
        let archive = part.into_inner()?;
        Ok(Part {
            packed: zstd::encode_all(&archive[..], 3)?.into(),
            size: archive.len() as u64,
        })
    };
    parts.into_iter().map(pack).collect()
}

#[cfg(test)]
mod tests;
