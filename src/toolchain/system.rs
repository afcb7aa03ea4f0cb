//! Tools found on PATH, their version held against a range. Installs nothing: it says what is missing.

use std::{fs::File, path::Path, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use semver::VersionReq;

use super::{Job, Ready, Run, Source, ToolStatus, ToolchainError, differs, version};
use crate::{
    config::ToolSource,
    lockfile::ToolRow,
    sys::remembered::{Remembered, file_stamp},
};

/// Longer than any sound program takes to print its version.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct System;

impl Source for System {
    fn resolve<'a>(
        &'a self,
        job: &'a Job,
        _run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<ToolRow, ToolchainError>> {
        let mut row = ToolRow::new(ToolSource::System);
        row.spec = job.tool.version.clone();
        async move { Ok(row) }.boxed()
    }

    fn outdated(&self, job: &Job, row: &ToolRow) -> Option<String> {
        differs("version", row.spec.as_ref(), job.tool.version.as_ref())
    }

    fn check<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<ToolStatus, ToolchainError>> {
        check(job).boxed()
    }

    fn install<'a>(
        &'a self,
        job: &'a Job,
        _run: &'a Run<'a>,
    ) -> BoxFuture<'a, Result<(), ToolchainError>> {
        async move {
            match check(job).await? {
                ToolStatus::Ready(_) => Ok(()),
                ToolStatus::Missing { .. } => Err(ToolchainError::NotFound {
                    tool: job.name.clone(),
                    command: job.command().to_owned(),
                }),
                ToolStatus::WrongVersion {
                    found,
                    wanted,
                    path,
                } => Err(ToolchainError::WrongVersion {
                    tool: job.name.clone(),
                    found,
                    wanted,
                    path,
                }),
            }
        }
        .boxed()
    }

    fn needs_lock(&self) -> bool {
        false
    }
}

/// What to do about a program that is not there: `devenv install` cannot bring it.
pub fn bring(tool: &str, command: &str) -> String {
    format!(
        "install `{command}` with this system's package manager, or let devenv do it: `from = \"http\"`, `\"cargo\"`, `\"pip\"` or `\"apt\"` in [toolchain.{tool}]"
    )
}

/// What to do about one of another version.
pub fn bring_version(wanted: &str) -> String {
    format!("install a version in `{wanted}`, or put it first on PATH")
}

/// The first on PATH that is in the range; when none is, the first on PATH.
async fn check(job: &Job) -> Result<ToolStatus, ToolchainError> {
    let wanted = job.tool.version.as_deref().unwrap_or("*");
    let range = VersionReq::parse(wanted).map_err(|error| ToolchainError::Range {
        tool: job.name.clone(),
        range: wanted.to_owned(),
        message: error.to_string(),
    })?;
    let mut wrong = None;
    for path in which::which_in_all(job.command(), Some(&job.path), "/")
        .into_iter()
        .flatten()
    {
        let Said {
            version: found,
            all,
        } = version_of(job, &path).await?;
        if version::in_range(&found, &range) {
            return Ok(ToolStatus::Ready(Ready {
                digest: format!("{found} {all} {}", content_of(job, &path)),
                paths: [(job.command().to_owned(), path)].into(),
                version: Some(found),
            }));
        }
        wrong.get_or_insert(ToolStatus::WrongVersion {
            found,
            wanted: wanted.to_owned(),
            path,
        });
    }
    Ok(wrong.unwrap_or_else(|| ToolStatus::Missing {
        why: format!("`{}` is not on PATH", job.command()),
        help: bring(&job.name, job.command()),
    }))
}

/// What a program says when it is asked for its version.
struct Said {
    version: String,
    /// Digest of all of it: builds of one version may differ in a commit or a date.
    all: String,
}

/// Digest of the program's file: another build may say the same. Of what only chooses the program, such as rustup, what it says tells.
fn content_of(job: &Job, path: &Path) -> String {
    let Ok(real) = path.canonicalize() else {
        return String::new();
    };
    let (key, stamp) = (format!("content of {}", real.display()), file_stamp(&real));
    let remembered = Remembered::of(&job.root);
    if let Some(known) = remembered.get(&key, &stamp) {
        return known;
    }
    // What may be run and not read is known by what it says.
    let mut hasher = blake3::Hasher::new();
    let read = File::open(&real).and_then(|file| hasher.update_reader(file).map(drop));
    let digest = read.map_or_else(|_| String::new(), |()| short(&hasher));
    remembered.put(&key, stamp, digest.clone());
    digest
}

fn short(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..32].to_owned()
}

/// What the program says, or said when it was last asked and nothing has changed since.
async fn version_of(job: &Job, path: &Path) -> Result<Said, ToolchainError> {
    let args = match job.tool.version_args.as_slice() {
        [] => vec!["--version".to_owned()],
        args => args.to_vec(),
    };
    let argv: Vec<_> = std::iter::once(path.display().to_string())
        .chain(args)
        .collect();
    let key = argv.join(" ");
    let stamp = version::stamp(path, &job.root);
    let remembered = Remembered::of(&job.root);
    let known = stamp.as_ref().and_then(|stamp| remembered.get(&key, stamp));
    if let Some((version, all)) = known.as_deref().and_then(|known| known.split_once(' ')) {
        let (version, all) = (version.to_owned(), all.to_owned());
        return Ok(Said { version, all });
    }
    let unread = |output| ToolchainError::ReadVersion {
        tool: job.name.clone(),
        command: key.clone(),
        output,
    };
    let mut spawn = job.spawn(argv);
    spawn.cwd = Some(job.root.clone());
    let output = tokio::time::timeout(PATIENCE, spawn.output())
        .await
        .map_err(|_| unread(vec![format!("no answer after {}s", PATIENCE.as_secs())]))?
        .map_err(|source| job.process(source))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    // A program that knows no such argument fails and may print any number.
    let found = version::find(&out).or_else(|| version::find(&err));
    let found = found.filter(|_| output.status.success()).ok_or_else(|| {
        unread(
            out.lines()
                .chain(err.lines())
                .take(5)
                .map(Into::into)
                .collect(),
        )
    })?;
    // Some say where they are.
    let root = job.root.display().to_string();
    let mut hasher = blake3::Hasher::new();
    hasher.update(out.replace(&root, "").as_bytes());
    hasher.update(err.replace(&root, "").as_bytes());
    let all = short(&hasher);
    if let Some(stamp) = stamp {
        remembered.put(&key, stamp, format!("{found} {all}"));
    }
    Ok(Said {
        version: found,
        all,
    })
}
