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

/// `is_called_by_git` is false where a person runs it: then pre-push is about HEAD.
pub async fn of(
    place: &Place,
    hook: &str,
    input: &[u8],
    is_called_by_git: bool,
) -> Result<Subject, Fault> {
    let repository = &place.repository;
    let found = match hook {
        "pre-push" if is_called_by_git => pushed(repository, input).await,
        "pre-push" => pushed(repository, b"HEAD HEAD HEAD HEAD\n").await,
        "pre-commit" | "pre-merge-commit" => staged(repository).await,
        _ => return Ok(Subject::Checkout),
    };
    found.map(Subject::Trees)
}

/// Lines of `<local ref> <local object> <remote ref> <remote object>`: <https://git-scm.com/docs/githooks#_pre_push>.
async fn pushed(repository: &Repository, input: &[u8]) -> Result<Vec<Tree>, Fault> {
    let text = String::from_utf8_lossy(input);
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    });
    // What is deleted has only zeros.
    let lines: Vec<_> = lines
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
