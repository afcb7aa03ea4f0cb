//! The commit that work on a branch began from, and which files of a folder are still as they were there.
//!
//! Names are compared with the contents that git itself would store, line ends and filters included; uncommitted work counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Output,
};

use crate::{
    event::{Explain, Fault, FaultClass},
    sys::process::{ProcessError, Spawn},
};

/// What is asked for: everything new since when?
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Since {
    /// Since the branch left the remote's default branch, else its upstream; always, where there is none.
    #[default]
    Branch,
    /// Since it left this commit, branch or tag.
    Ref(String),
    Always,
}

/// The commit to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// `of` is what it was found by: `origin/main`.
    Commit { id: String, of: String },
    /// Everything is new.
    None { why: String },
}

#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error("git knows no commit `{wanted}`")]
    Unknown { wanted: String },
    #[error("`{command}` failed: {stderr}")]
    Git { command: String, stderr: String },
    #[error("cannot ask git")]
    Run(#[from] ProcessError),
}

impl Explain for BaseError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            Self::Unknown { .. } => fault
                .class(FaultClass::Usage)
                .help("name a commit, branch or tag; in a shallow clone, `git fetch` it first"),
            Self::Git { .. } | Self::Run(_) => fault.class(FaultClass::Environment),
        }
    }
}

/// A hook of git tells its children where its repository is, in words that hold in its own folder.
const LOCAL: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
];

/// Where a remote's default branch is, in the order in which they are believed.
const DEFAULTS: [&str; 3] = [
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
];

/// Names in one call: the kernel has a limit.
const AT_ONCE: usize = 2000;

const UPSTREAM: &str = "@{upstream}";

/// The base of the work in the repository around `dir`.
///
/// # Errors
/// A ref that was asked for is not there.
pub async fn base(dir: &Path, since: &Since) -> Result<Base, BaseError> {
    let none = |why: &str| Base::None { why: why.into() };
    let wanted = match since {
        Since::Always => return Ok(none("all were asked for")),
        Since::Ref(wanted) => {
            let commit = resolve(dir, wanted).await?.ok_or(BaseError::Unknown {
                wanted: wanted.clone(),
            })?;
            // What a shallow clone has of both may not meet.
            let met = merge_base(dir, &commit).await?;
            return Ok(Base::Commit {
                id: met.unwrap_or(commit),
                of: wanted.clone(),
            });
        }
        Since::Branch => match default_branch(dir).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                return Ok(none(
                    "git knows no default branch of a remote, and no upstream",
                ));
            }
            Err(BaseError::Git { .. } | BaseError::Run(_)) => {
                return Ok(none("it is in no git repository that can be asked"));
            }
            Err(error @ BaseError::Unknown { .. }) => return Err(error),
        },
    };
    Ok(match merge_base(dir, &wanted).await? {
        Some(id) => Base::Commit { id, of: wanted },
        None => none(&format!(
            "this clone has no commit in common with `{wanted}`"
        )),
    })
}

/// Names of the files right in `dir` that have the content they have in the commit. Other files of it are not looked at, and
/// neither is the index: `git diff` would write it anew.
pub async fn unchanged(dir: &Path, commit: &str) -> Result<BTreeSet<String>, BaseError> {
    let before = ask(dir, &["ls-tree", "-z", commit]).await?;
    let mut before: BTreeMap<&str, &str> = before.split('\0').filter_map(blob).collect();
    before.retain(|name, _| dir.join(name).is_file());
    let mut same = BTreeSet::new();
    // Where a blob has kept its CRLF, git leaves the file as it is, which only the second way tells.
    for way in [&["hash-object"][..], &["hash-object", "--no-filters"]] {
        let names: Vec<_> = before.keys().copied().collect();
        for names in names.chunks(AT_ONCE) {
            let hash = [way, &["--"], names].concat();
            let ids = ask(dir, &hash).await?;
            let equal = names.iter().zip(ids.lines());
            let equal = equal.filter(|(name, id)| before[*name] == *id);
            same.extend(equal.map(|(name, _)| (*name).to_owned()));
        }
        before.retain(|name, _| !same.contains(*name));
        if before.is_empty() {
            break;
        }
    }
    Ok(same)
}

/// Name and id of a line of `git ls-tree`: mode, type, id, tab, name.
fn blob(line: &str) -> Option<(&str, &str)> {
    let (facts, name) = line.split_once('\t')?;
    let (_, id) = facts.split_once(" blob ")?;
    Some((name, id.trim()))
}

/// The short name of the first that is there. A stale `origin/HEAD`, whose branch is gone, is not listed.
async fn default_branch(dir: &Path) -> Result<Option<String>, BaseError> {
    let mut list = vec!["for-each-ref", "--format=%(refname)"];
    list.extend(DEFAULTS);
    let found = ask(dir, &list).await?;
    let first = DEFAULTS
        .into_iter()
        .find(|wanted| found.lines().any(|line| line == *wanted));
    if let Some(first) = first {
        return Ok(Some(first.trim_start_matches("refs/remotes/").to_owned()));
    }
    let upstream = resolve(dir, UPSTREAM).await?;
    Ok(upstream.map(|_| UPSTREAM.to_owned()))
}

async fn resolve(dir: &Path, name: &str) -> Result<Option<String>, BaseError> {
    let commit = format!("{name}^{{commit}}");
    let output = run(
        dir,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ],
    )
    .await?;
    Ok(output.status.success().then(|| text(&output.stdout)))
}

/// `None` when HEAD and it have nothing in common, or there is no HEAD yet.
async fn merge_base(dir: &Path, name: &str) -> Result<Option<String>, BaseError> {
    let output = run(dir, &["merge-base", "HEAD", name]).await?;
    Ok(output.status.success().then(|| text(&output.stdout)))
}

async fn ask(dir: &Path, args: &[&str]) -> Result<String, BaseError> {
    let output = run(dir, args).await?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(BaseError::Git {
            command: format!("git {}", args.join(" ")),
            stderr: text(&output.stderr),
        }),
    }
}

async fn run(dir: &Path, args: &[&str]) -> Result<Output, BaseError> {
    let argv = ["git", "--no-optional-locks", "--no-pager"];
    let spawn = Spawn {
        cwd: Some(dir.to_owned()),
        env_remove: LOCAL.map(Into::into).to_vec(),
        ..Spawn::new(argv.into_iter().chain(args.iter().copied()))
    };
    Ok(spawn.output().await?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests;
