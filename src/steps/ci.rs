//! `ci.*`: the files of a CI service are as the plan wants them. A check: `devenv ci generate` writes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use similar::TextDiff;

use super::Cx;
use crate::{
    config::Config,
    event::{Explain, Fault, FaultClass, count},
    mirror::ci::{self as mirror, Difference, File, Origin, Project},
    plan::{Acted, Action, Output, Plan, Reason, Verdict},
    sys::git::folder_of,
};

#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct ReadError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Explain for ReadError {
    fn explain(&self) -> Fault {
        Fault::from_error(self).class(FaultClass::Environment)
    }
}

/// A file as it is and as it should be.
#[derive(Debug, Clone)]
pub struct Compared {
    pub file: File,
    pub state: State,
    /// With LF at the ends of its lines; `None` when it is not there.
    pub found: Option<String>,
    /// What the ends of its lines are on disk.
    endings: Endings,
    /// What makes its path lead elsewhere.
    pub link: Option<Link>,
    pub wanted: String,
    /// Where the plan differs from that of the file on disk.
    pub differences: Vec<Difference>,
}

/// What a file on disk is to devenv.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Absent,
    /// As it was written, but for lines of the user.
    Own,
    /// Changed outside of the fence.
    Edited,
    /// Which line of the fence is wrong, and why.
    Unfenced {
        line: usize,
        why: &'static str,
    },
    /// Not written by devenv, or for another project.
    Foreign,
}

/// Generated once, asked for by nothing now.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Relative to the project.
    pub path: String,
    /// It is as it was generated, with nothing of the user's.
    pub is_pure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endings {
    Lf,
    /// Of some or all lines.
    Crlf,
}

/// A symbolic link, relative to the project: the file, or a folder above it.
#[derive(Debug, Clone)]
pub struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Compared {
    pub fn is_up_to_date(&self) -> bool {
        self.link.is_none()
            && self.endings == Endings::Lf
            && self.found.as_ref() == Some(&self.wanted)
    }

    /// Unified diff from the disk to what would be generated, without the facts of the plan, which no person reads.
    pub fn diff(&self) -> String {
        let found = self.found.as_deref().unwrap_or_default();
        let path = &self.file.path;
        let (found, wanted) = (mirror::parts(found).0, mirror::parts(&self.wanted).0);
        if found == wanted {
            return String::new();
        }
        TextDiff::from_lines(found, wanted)
            .unified_diff()
            .header(path, &format!("{path} (generated)"))
            .to_string()
    }
}

/// All files of CI services that the project names.
pub fn compare(root: &Path, config: &Config, plan: &Plan) -> Result<Vec<Compared>, ReadError> {
    let folder = folder(root);
    let folder = folder.as_str();
    let project = Project { config, folder };
    let compared = project.files().into_iter().map(|file| {
        let found = read(&root.join(&file.path))?;
        let endings = match &found {
            Some(text) if text.contains("\r\n") => Endings::Crlf,
            Some(_) | None => Endings::Lf,
        };
        let found = found.map(|text| text.replace("\r\n", "\n"));
        let (state, user) = match found.as_deref().map(|text| project.origin(text)) {
            None => (State::Absent, ""),
            Some(Origin::Own { user }) => (State::Own, user),
            Some(Origin::Edited { user }) => (State::Edited, user),
            Some(Origin::Unfenced { line, why }) => (State::Unfenced { line, why }, ""),
            Some(Origin::Foreign) => (State::Foreign, ""),
        };
        let wanted = file.text(&project, plan, user);
        let differences = found
            .as_deref()
            .and_then(|text| mirror::differences(text, plan, &config.source));
        Ok(Compared {
            link: link(root, Path::new(&file.path)),
            file,
            state,
            found,
            endings,
            wanted,
            differences: differences.unwrap_or_default(),
        })
    });
    compared.collect()
}

/// The project's folder in its repository, as names of files have it.
fn folder(root: &Path) -> String {
    folder_of(root).to_string_lossy().into_owned()
}

/// Files that devenv once generated and that nothing in devenv.toml asks for any more.
pub fn orphans(root: &Path, config: &Config) -> Result<Vec<Orphan>, ReadError> {
    let folder = folder(root);
    let folder = folder.as_str();
    let project = Project { config, folder };
    let wanted: Vec<_> = project.files().into_iter().map(|file| file.path).collect();
    let mut orphans = Vec::new();
    for place in project.places() {
        for path in candidates(root, &place)? {
            let Some(text) = read(&root.join(&path))?.filter(|_| !wanted.contains(&path)) else {
                continue;
            };
            let is_pure = match project.origin(&text) {
                Origin::Foreign => continue,
                Origin::Own { user } => user.is_empty(),
                Origin::Edited { .. } | Origin::Unfenced { .. } => false,
            };
            orphans.push(Orphan { path, is_pure });
        }
    }
    orphans.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(orphans)
}

fn candidates(root: &Path, place: &str) -> Result<Vec<String>, ReadError> {
    let Some(folder) = place.strip_suffix('/') else {
        return Ok(vec![place.to_owned()]);
    };
    let path = root.join(folder);
    let failed = |source| ReadError {
        path: path.clone(),
        source,
    };
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".yml") || name.ends_with(".yaml") {
            found.push(format!("{folder}/{name}"));
        }
    }
    Ok(found)
}

/// `None` when it is not there. What is not text is nothing that devenv wrote.
fn read(path: &Path) -> Result<Option<String>, ReadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(ReadError {
            path: path.to_owned(),
            source,
        }),
    }
}

fn link(root: &Path, path: &Path) -> Option<Link> {
    let above = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    let mut links = above.filter_map(|path| {
        // What is no link cannot be read as one.
        let target = fs::read_link(root.join(path)).ok()?;
        let path = path.to_owned();
        Some(Link { path, target })
    });
    links.next()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

pub(super) fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let stale = stale(cx)?.len();
    Ok(match stale {
        0 => Verdict::Keep(Output::default()),
        _ => Verdict::act(
            Action::Run,
            vec![Reason::State {
                what: format!("{} not as generated", count(stale, "file")),
            }],
        ),
    })
}

/// It was found wanting when it was decided on, and a check mends nothing.
pub(super) fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let stale = stale(cx)?;
    let mut faults: Vec<_> = stale.iter().map(fault).collect();
    match faults.len() {
        // It was generated in the meantime, or a run was forced.
        0 => Ok(Acted {
            output: Output::default(),
            summary: "Up to date".into(),
        }),
        1 => Err(faults.remove(0)),
        many => Err(Fault::new(format!(
            "{} of `{}` are not up to date",
            count(many, "file"),
            cx.id()
        ))
        .after(faults)),
    }
}

fn stale(cx: &Cx<'_>) -> Result<Vec<Compared>, Fault> {
    let all = compare(&cx.steps.root, cx.config(), &cx.steps.plan);
    let mut all = all.map_err(|error| error.explain())?;
    all.retain(|compared| compared.file.step == *cx.id() && !compared.is_up_to_date());
    Ok(all)
}

/// What is wrong with a file, with the facts of the plan that differ.
pub fn fault(compared: &Compared) -> Fault {
    let File { path, step, .. } = &compared.file;
    let regenerate = format!("run `devenv ci generate {}` and commit the file", step.name);
    if let Some(Link { path: link, target }) = &compared.link {
        return Fault::new(format!(
            "`{path}` is not written, as `{}` is a link to `{}`",
            link.display(),
            target.display()
        ))
        .at_file(link, 1, 1)
        .help("remove the link, or name another file: devenv does not write through links");
    }
    let fault = match compared.state {
        State::Absent => {
            return Fault::new(format!("`{path}` is not there"))
                .at_key(step.key_path())
                .help(regenerate);
        }
        State::Foreign => {
            return Fault::new(format!("`{path}` was not written by devenv for this project"))
                .at_file(path, 1, 1)
                .help("move it away, or give `file` another name: what devenv did not write is never replaced");
        }
        State::Unfenced { line, why } => {
            return Fault::new(format!("`{path}` has a broken fence around lines of yours: {why}"))
                .at_file(path, line, 1)
                .note(format!("these two lines are the fence, each is there once:\n{}", mirror::fence_lines()))
                .help(format!("put them back around your own lines, then run `devenv ci generate {}`; with `--force` it writes the file without any", step.name));
        }
        State::Edited => Fault::new(format!("`{path}` was edited outside of its `yours` lines"))
            .help(format!("move the changes between these lines or into devenv.toml, then run `devenv ci generate {} --force`, which drops them", step.name)),
        State::Own => Fault::new(format!("`{path}` is not as generated")).help(regenerate),
    };
    let fault = fault.at_file(path, compared.first_difference(), 1);
    let fault = match compared.endings {
        Endings::Crlf => fault.note(format!("its lines end with CRLF, generated ones with LF: `{path} text eol=lf` in .gitattributes keeps git from changing them")),
        Endings::Lf => fault,
    };
    let fault = match compared.diff() {
        diff if diff.is_empty() => fault,
        diff => fault.note(diff),
    };
    match compared.differences.as_slice() {
        [] => fault,
        facts => fault.note(format!(
            "the plan differs from the one it was made from:\n{}",
            facts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )),
    }
}

impl Compared {
    /// The first line on disk that is another, from 1. Where all end otherwise that is the first.
    fn first_difference(&self) -> usize {
        let found = self.found.as_deref().unwrap_or_default();
        let lines = found.lines().zip(self.wanted.lines());
        match found == self.wanted {
            true => 1,
            false => lines.take_while(|(a, b)| a == b).count() + 1,
        }
    }
}
