//! Generates code from protobuf files: Rust by prost and tonic in process, anything else by `protoc-gen-*` plugins. Needs no protoc.
//!
//! Everything is generated in memory first; [`write`] and [`check`] compare it with the disk. Nothing is written when any generator
//! fails, and nothing is deleted or replaced that was not generated here. A file has one owner: the table that wrote it last. Must not
//! know what a step or a run is.

mod cargo;
mod compile;
mod drift;
mod error;
mod leftover;
mod manifest;
mod merge;
mod output;
mod pending;
mod plugin;
mod rival;
mod rust;
mod source;
mod stage;

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use tokio_util::sync::CancellationToken;

use crate::config::{KeyPath, Proto};

pub use compile::inputs;
pub use drift::drift;
pub use error::{ProtoError, VersionMismatch};
pub use leftover::{Leftover, edited, edited_notice, kept, left_behind, leftovers, remove};
pub use output::{Changed, Diff, Existing, Written, check, write};
pub use rival::{disjoint, rivals};

/// Path relative to the project → the generator that writes it, such as `proto.x.rust`.
pub type Writers = BTreeMap<String, KeyPath>;

/// What one `[proto.X]` table yields: path relative to the project → content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    pub files: BTreeMap<String, Vec<u8>>,
    pub writers: Writers,
    /// The folder of the Rust output: signed files in it that are not generated any more are stale.
    pub rust_folder: Option<String>,
}

/// Generates all outputs of `[proto.<name>]` in memory. The same input gives the same bytes.
///
/// Plugins run side by side, in `root`, and are looked up in `path`.
///
/// # Errors
/// The first generator that fails, in the order Rust, then plugins by name.
pub async fn generate(
    root: &Path,
    name: &str,
    proto: &Proto,
    path: &OsStr,
    cancel: &CancellationToken,
) -> Result<Generated, ProtoError> {
    let plugins: Vec<_> = proto
        .plugin
        .iter()
        .map(|(plugin, definition)| plugin::Plugin::find(root, name, plugin, definition, path))
        .collect::<Result<_, _>>()?;
    let (compiled, rust) = in_process(root, name, proto, cancel).await?;
    // A plugin that fails ends the others.
    let ending = cancel.child_token();
    let responses = futures_util::future::join_all(plugins.iter().map(|plugin| async {
        let response = plugin.run(root, &compiled, &ending).await;
        if response.is_err() {
            ending.cancel();
        }
        response
    }))
    .await;
    let responses = ProtoError::first(responses)?;
    let mut files = BTreeMap::new();
    let mut writers = Writers::new();
    for (path, (writer, content)) in merge::merge(name, rust, plugins.iter().zip(responses))? {
        writers.insert(path.clone(), writer);
        files.insert(path, content);
    }
    let rust_folder = match &proto.rust {
        Some(rust) => Some(rust::folder(name, rust)?),
        None => None,
    };
    Ok(Generated {
        files,
        writers,
        rust_folder,
    })
}

/// Who writes which file of the Rust output: all that is known without running a plugin.
pub async fn rust_writers(
    root: &Path,
    name: &str,
    proto: &Proto,
    cancel: &CancellationToken,
) -> Result<Writers, ProtoError> {
    let (_, rust) = in_process(root, name, proto, cancel).await?;
    let files = merge::merge(name, rust, std::iter::empty())?;
    let writers = files.into_iter().map(|(path, (writer, _))| (path, writer));
    Ok(writers.collect())
}

/// Compiling and the Rust output, on a thread of their own.
async fn in_process(
    root: &Path,
    name: &str,
    proto: &Proto,
    cancel: &CancellationToken,
) -> Result<(compile::Compiled, Option<merge::Output>), ProtoError> {
    let (root, name, proto) = (root.to_owned(), name.to_owned(), proto.clone());
    let work = tokio::task::spawn_blocking(move || {
        let compiled = compile::compile(&root, &name, &proto)?;
        let rust = match &proto.rust {
            Some(out) => Some(rust::generate(&root, &name, out, &compiled)?),
            None => None,
        };
        Ok((compiled, rust))
    });
    let internal = |panic| ProtoError::Internal {
        message: panic_message(panic),
    };
    tokio::select! {
        done = work => done.map_err(internal)?,
        () = cancel.cancelled() => Err(ProtoError::Cancelled),
    }
}

/// The generators in process panic on input they do not know; that must not end the run without a message.
fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was cancelled".to_owned();
    };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "it panicked".to_owned(), |text| (*text).to_owned()),
    }
}

#[cfg(test)]
mod tests;
