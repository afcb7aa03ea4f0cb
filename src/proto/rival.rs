//! Tables that write into the same folders, and files that two of them would write: the last one would win, for ever in turn.

use std::{collections::BTreeMap, path::Path};

use super::{Writers, error::ProtoError};
use crate::{
    config::{Config, KeyPath, Proto, Source},
    sys::paths::plain,
};

/// Other tables with an output folder in one of this table's, or around it: only they can write a file that it writes.
pub fn rivals<'a>(config: &'a Config, name: &str) -> Vec<&'a str> {
    let Some(own) = config.proto.get(name) else {
        return Vec::new();
    };
    let own: Vec<_> = folders(own).collect();
    let overlap = |other: &Path| {
        own.iter()
            .any(|own| own.starts_with(other) || other.starts_with(own))
    };
    config
        .proto
        .iter()
        .filter(|(other, _)| *other != name)
        .filter(|(_, table)| folders(table).any(|folder| overlap(&folder)))
        .map(|(other, _)| other.as_str())
        .collect()
}

fn folders(table: &Proto) -> impl Iterator<Item = std::path::PathBuf> {
    let rust = table.rust.iter().map(|rust| &rust.out);
    let outs = rust.chain(table.plugin.values().map(|plugin| &plugin.out));
    outs.map(plain)
}

/// Refuses a file that two tables write.
pub fn disjoint<'a>(
    source: &Source,
    tables: impl IntoIterator<Item = &'a Writers>,
) -> Result<(), ProtoError> {
    let mut seen: BTreeMap<&str, &KeyPath> = BTreeMap::new();
    for (path, writer) in tables.into_iter().flatten() {
        let Some(other) = seen.insert(path, writer) else {
            continue;
        };
        let line = |key: &KeyPath| source.key(&key.join("out"));
        let (mut first, mut second) = (other, writer);
        if line(first).map(|place| place.line) > line(second).map(|place| place.line) {
            (first, second) = (second, first);
        }
        return Err(ProtoError::Collision {
            path: path.clone(),
            place: line(first).map(|place| {
                let file = source.path.display();
                format!("{file}:{}:{}", place.line, place.column)
            }),
            first: first.clone(),
            second: second.clone(),
        });
    }
    Ok(())
}
