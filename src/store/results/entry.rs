//! A result as it is written: a line that says what it is, a digest of the rest, and JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plan::{Digest, Node, Output, Tree};

/// First bytes of the file; the number is the format's version.
const MAGIC: &[u8] = b"devenv-result-2\n";

/// What a task left when it succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    /// What it printed, both streams in the order they came; secrets are masked.
    pub lines: Vec<String>,
    /// Path relative to the project → the file, link or folder that it wrote there, a folder without what is in it.
    pub outputs: BTreeMap<String, Tree>,
    /// Files that were among them before, and that it left as they were: without them this is not all that it left.
    pub beside: BTreeSet<String>,
    /// What it hands to the steps after it.
    pub output: Output,
}

#[derive(Serialize, Deserialize)]
struct Body<R> {
    /// So that a file that was copied to another name is no result.
    key: Digest,
    result: R,
}

impl TaskResult {
    /// Size and digest of each file.
    pub fn objects(&self) -> impl Iterator<Item = (u64, &Digest)> {
        let nodes = self.outputs.values().flat_map(|tree| tree.nodes.values());
        nodes.filter_map(|node| match node {
            Node::File(_, size, digest) => Some((*size, digest)),
            Node::Folder | Node::Link(_) => None,
        })
    }

    /// Bytes that its objects take.
    pub fn size(&self) -> u64 {
        let objects: BTreeSet<_> = self.objects().collect();
        objects.into_iter().map(|(size, _)| size).sum()
    }
}

pub fn encode(result: &TaskResult, key: &Digest) -> Vec<u8> {
    let key = *key;
    let body = serde_json::to_vec(&Body { key, result }).expect("maps of strings serialise");
    [MAGIC, blake3::hash(&body).as_bytes(), &body].concat()
}

/// `None` when it is not exactly what [`encode`] writes for this key.
pub fn decode(bytes: &[u8], key: &Digest) -> Option<TaskResult> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, body) = rest.split_first_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let body: Body<TaskResult> = serde_json::from_slice(body).ok()?;
    (body.key == *key).then_some(body.result)
}
