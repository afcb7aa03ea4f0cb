//! What a Dockerfile says of images, from its text alone: a plan needs it for the order of steps, a build to give images their tags.

pub mod instructions;
pub mod reference;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use reference::Reference;

use super::{Digest, Input, Sources, fingerprint::read_small};
use crate::config::{App, Build, Config, Dockerfile, Image, StepId, StepKind, Template};

/// Reads the Dockerfiles of all steps that build from one. One that cannot be read names nothing: its step tells why.
pub(super) fn read_all(root: &Path, config: &Config, sources: &mut Sources) {
    for (id, dockerfile) in dockerfiles(config) {
        let Some(text) = read_small(&root.join(&dockerfile.path)) else {
            continue;
        };
        let file = format!("file.{}", dockerfile.path);
        let digest = Input::Content(Digest::of(&text));
        sources.files.insert(id.clone(), [(file, digest)].into());
        let text = String::from_utf8_lossy(&text);
        let images = images(&text, &known_args(dockerfile), config);
        sources.images.insert(id, images);
    }
}

/// Each step that builds from a Dockerfile.
fn dockerfiles(config: &Config) -> impl Iterator<Item = (StepId, &Dockerfile)> {
    let images = config.image.iter().filter_map(|(name, image)| {
        let id = StepId::new(StepKind::Image, name);
        Some((id, of_image(image)?))
    });
    let apps = config.app.iter().filter_map(|(name, App { build, .. })| {
        let id = StepId::new(StepKind::Build, name);
        match build {
            Build::Dockerfile(dockerfile) => Some((id, dockerfile)),
            Build::Host(_) => None,
        }
    });
    images.chain(apps)
}

/// The Dockerfile that the image is built from, if that is how it is built.
fn of_image(image: &Image) -> Option<&Dockerfile> {
    let dockerfile = image.dockerfile.as_ref();
    dockerfile.filter(|_| image.debian.is_none())
}

/// The arguments that the file gives a value. What other steps or secrets give names no image.
fn known_args(dockerfile: &Dockerfile) -> BTreeMap<String, String> {
    let args = dockerfile.args.iter();
    args.filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
        .collect()
}

/// Its text, if it has no references.
fn plain(value: &Template) -> Option<String> {
    value.resolve(|_| Err(())).ok()
}

/// The steps of the `[image.*]` tables that it names.
fn images(text: &str, args: &BTreeMap<String, String>, config: &Config) -> BTreeSet<StepId> {
    let named = named(text, args).into_iter();
    let found = named.filter_map(|image| {
        let named = Reference::parse(&image.name);
        let mut tables = config.image.iter();
        tables.find(|(_, table)| Reference::parse(&table.reference).is(&named))
    });
    found
        .map(|(name, _)| StepId::new(StepKind::Image, name))
        .collect()
}

/// An image that a Dockerfile names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its bytes in the file.
    pub place: Range<usize>,
    /// With the values of arguments.
    pub name: String,
}

/// Every image that is named, in `FROM`, `COPY --from` and `RUN --mount`; not the Dockerfile's own stages.
pub fn named(dockerfile: &str, args: &BTreeMap<String, String>) -> Vec<Named> {
    let mut known = BTreeMap::new();
    let mut stages = Vec::new();
    let mut found = Vec::new();
    for words in instructions::words(dockerfile) {
        let Some((verb, words)) = words.split_first() else {
            continue;
        };
        match verb.text.to_ascii_uppercase().as_str() {
            // Those before the first stage are for `FROM`.
            "ARG" if stages.is_empty() => {
                for (name, default) in words.iter().map(|word| argument(word.text)) {
                    let default = default.map(|default| expand(default, &known));
                    let value = args.get(name).cloned().or(default);
                    known.extend(value.map(|value| (name.to_owned(), value)));
                }
            }
            "FROM" => {
                let mut words = words.iter().filter(|word| !word.text.starts_with("--"));
                let image = words.next();
                let names =
                    image.map(|image| (image.range(), expand(unquoted(image.text), &known)));
                found.extend(names.filter(|(_, name)| !is_stage(name, &stages)));
                let stage = words.nth(1).map_or("", |word| word.text);
                stages.push(stage.to_ascii_lowercase());
            }
            "COPY" | "ADD" | "RUN" => {
                let flags = words.iter().take_while(|word| word.text.starts_with("--"));
                let names = flags.filter_map(|word| source(word));
                found.extend(names.filter(|(_, name)| !is_stage(name, &stages)));
            }
            _ => {}
        }
    }
    let named = found.into_iter();
    named.map(|(place, name)| Named { place, name }).collect()
}

/// `--from=image`, or the `from` of a `--mount`.
fn source(word: &instructions::Word<'_>) -> Option<(Range<usize>, String)> {
    let start = match word.text.strip_prefix("--mount=") {
        None => word.text.strip_prefix("--from=").map(|_| "--from=".len()),
        Some(mount) => {
            let mut at = "--mount=".len();
            mount.split(',').find_map(|part| {
                let start = at + "from=".len();
                at += part.len() + 1;
                part.starts_with("from=").then_some(start)
            })
        }
    }?;
    let text = word.text[start..].split(',').next().unwrap_or_default();
    let at = word.at + start;
    Some((at..at + text.len(), text.to_owned()))
}

fn is_stage(name: &str, stages: &[String]) -> bool {
    stages.contains(&name.to_ascii_lowercase())
}

fn argument(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, default)) => (name, Some(unquoted(default))),
        None => (word, None),
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// `$NAME`, `${NAME}` and `${NAME:-default}` by their values. What is not known stays as it is, and is no image's name then.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let Some((before, rest)) = text.split_once('$') else {
        return text.to_owned();
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let (inside, rest) =
        inside.unwrap_or_else(|| rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len())));
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let value = known.get(name).map(String::as_str);
    match value.filter(|value| !value.is_empty()).or(default) {
        Some(value) => format!("{before}{value}{}", expand(rest, known)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
