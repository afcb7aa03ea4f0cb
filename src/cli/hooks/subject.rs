//! What a hook is about: the commits that are pushed, what is staged, or the checkout as it is.

use std::io::{self, IsTerminal, Read};

use super::place::Place;
use crate::{
    event::{Explain, Fault, FaultClass},
    git::{Head, Oid, Repository, Tip},
};

/// A tree to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub oid: Oid,
    pub head: Head,
    /// As messages call it.
    pub name: String,
    /// The refs that are pushed with it.
    pub refs: Vec<String>,
}

pub enum Subject {
    /// Each differs from the others; none where nothing is to be checked.
    Trees(Vec<Tree>),
    /// The project's folder as it is.
    Checkout,
}

/// What git writes to the hook's standard input: none where a person runs it.
pub fn input(is_called_by_git: bool) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    if is_called_by_git && !io::stdin().is_terminal() {
        io::stdin().read_to_end(&mut bytes).map_err(|error| {
            Fault::new("cannot read what git says to the hook")
                .class(FaultClass::Environment)
                .note(error.to_string())
        })?;
    }
    Ok(bytes)
}

/// `args` and `input` are git's. `is_called_by_git` is false where a person runs it: then pre-push is about HEAD.
pub async fn of(
    place: &Place,
    hook: &str,
    args: &[String],
    input: &[u8],
    is_called_by_git: bool,
) -> Result<Subject, Fault> {
    let repository = &place.repository;
    let text = String::from_utf8_lossy(input);
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let refs = |places| lines.iter().filter_map(move |line| words(line, places));
    // What git tells each: <https://git-scm.com/docs/githooks>.
    let found = match (hook, args) {
        ("pre-push", _) if !is_called_by_git => trees_of(repository, [("HEAD", "HEAD")]).await,
        // <local ref> <local object> <remote ref> <remote object>
        ("pre-push", _) => trees_of(repository, refs([0, 1])).await,
        // <old object> <new object> <ref>
        ("pre-receive" | "post-receive", _) => trees_of(repository, refs([2, 1])).await,
        ("update", [name, _, new]) => trees_of(repository, [(&**name, &**new)]).await,
        ("pre-commit" | "pre-merge-commit", _) => staged(repository).await,
        _ => return Ok(Subject::Checkout),
    };
    found.map(Subject::Trees)
}

/// A ref and its object, which are these words of the line.
fn words<'l>(line: &[&'l str], [name, object]: [usize; 2]) -> Option<(&'l str, &'l str)> {
    Some((*line.get(name)?, *line.get(object)?))
}

/// The trees of the commits that refs are to have, each once.
async fn trees_of<'l>(
    repository: &Repository,
    refs: impl IntoIterator<Item = (&'l str, &'l str)>,
) -> Result<Vec<Tree>, Fault> {
    // What is deleted has only zeros.
    let lines: Vec<_> = refs
        .into_iter()
        .filter(|(_, object)| *object == "HEAD" || Oid::parse(object).is_some())
        .collect();
    let objects: Vec<_> = lines.iter().map(|(_, object)| *object).collect();
    let tips = repository.tips(&objects).await;
    let tips = tips.map_err(|error| error.explain())?;
    let mut trees: Vec<Tree> = Vec::new();
    for ((name, _), tip) in lines.iter().zip(tips) {
        let Some(Tip { commit, tree }) = tip else {
            continue;
        };
        match trees.iter_mut().find(|known| known.oid == tree) {
            Some(known) => known.refs.push((*name).to_owned()),
            None => trees.push(Tree {
                oid: tree,
                name: format!("`{}`", commit.short()),
                head: Head::Commit(commit),
                refs: vec![(*name).to_owned()],
            }),
        }
    }
    Ok(trees)
}

async fn staged(repository: &Repository) -> Result<Vec<Tree>, Fault> {
    let (tree, head) = tokio::join!(repository.index_tree(), repository.head());
    let tree = tree.map_err(|error| {
        let fault = error.explain();
        fault.help("`git status` says what is not merged or resolved yet")
    })?;
    let head = match head.map_err(|error| error.explain())? {
        Some(tip) => Head::Commit(tip.commit),
        None => {
            let head = repository.unborn_head().await;
            head.map_err(|error| error.explain())?
        }
    };
    Ok(vec![Tree {
        oid: tree,
        head,
        name: "what is staged".to_owned(),
        refs: Vec::new(),
    }])
}
