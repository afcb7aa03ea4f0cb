//! What on disk differs from the generated files, and what is there that nothing generates any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{
    Generated,
    error::ProtoError,
    manifest::{self, Records, Signature},
    output::inside,
};

/// What differs between the disk and the generated files.
pub struct Pending<'a> {
    /// To be written → what is there now.
    pub wanted: BTreeMap<&'a str, Option<Vec<u8>>>,
    pub stale: BTreeMap<String, Stale>,
}

pub struct Stale {
    pub content: Vec<u8>,
    /// Written here and not edited since.
    pub deletable: bool,
}

impl<'a> Pending<'a> {
    pub fn find(
        root: &Path,
        name: &str,
        generated: &'a Generated,
        records: &Records,
    ) -> Result<Self, ProtoError> {
        let mut wanted = BTreeMap::new();
        for (path, content) in &generated.files {
            let old = read(root, path)?;
            if old.as_ref() != Some(content) {
                wanted.insert(path.as_str(), old);
            }
        }
        let own = records.of(name);
        let mut candidates: BTreeSet<_> = own.files.keys().cloned().collect();
        if let Some(folder) = &generated.rust_folder {
            candidates.extend(rust_files(root, folder));
        }
        let mut stale = BTreeMap::new();
        for path in candidates {
            if generated.files.contains_key(&path) {
                continue;
            }
            let Some(content) = read(root, &path)? else {
                continue;
            };
            let signer = manifest::signature(&content).map(|(table, _)| table);
            if signer != Some(name) && !own.files.contains_key(&path) {
                continue;
            }
            let deletable = is_ours(records, &path, &content);
            stale.insert(path, Stale { content, deletable });
        }
        Ok(Self { wanted, stale })
    }
}

/// True for what a table wrote, and nobody edited since.
pub fn is_ours(records: &Records, path: &str, content: &[u8]) -> bool {
    let signed = manifest::signature(content);
    matches!(signed, Some((_, Signature::Intact))) || records.prove(path, content)
}

/// Paths of the Rust files directly in the folder.
fn rust_files(root: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|file| file.ends_with(".rs"))
        .filter_map(|file| inside(folder, &file))
        .collect()
}

pub fn read(root: &Path, path: &str) -> Result<Option<Vec<u8>>, ProtoError> {
    match fs::read(root.join(path)) {
        Ok(content) => Ok(Some(content)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(ProtoError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
