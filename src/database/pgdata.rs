//! A prepared data directory: made once per image and settings, then copied into every fresh volume instead of running initdb.
//!
//! Owns the text that runs in containers and the cache on disk; bringing bytes into and out of containers is the runtime's. What is cached
//! holds no secret of a project: its superuser has a random password of its own, replaced at first use by [`provision`](super::provision).

mod cache;
mod script;

use std::{io, path::PathBuf};

use crate::{
    event::{Explain, Fault, FaultClass},
    plan::Digest,
    sys::random,
};

pub use cache::{Cache, Part, Prepared};
pub(super) use script::path;
pub(super) use script::script;
pub use script::{NO_SUCH_VERSION, init_script, server_command};

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

/// A random password for [`BOOTSTRAP_ENV`]: 64 hex digits.
pub fn bootstrap_password() -> Result<String, PgdataError> {
    let bytes = random::key().map_err(PgdataError::Random)?;
    Ok(hex::encode(bytes))
}

/// What to do when the disk is full.
pub(super) const FREE_SPACE: &str = "free some disk space and run the command again";

pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
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
        let fault = Fault::from_error(self).class(FaultClass::Environment);
        match self {
            PgdataError::Write { source, .. } if is_full(source) => fault.help(FREE_SPACE),
            _ => fault,
        }
    }
}

#[cfg(test)]
mod tests;
