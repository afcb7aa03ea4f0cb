//! What git knows: where its repository is (without a process), which trees commits have, what a checkout holds, private worktrees,
//! and what has changed since a base.
//!
//! Everything else is asked of the `git` binary, in the environment that it gave the hook.

mod ask;
mod base;
mod checkout;
mod error;
mod hooks;
mod objects;
mod repository;
mod worktree;

pub use ask::LOCAL_VARIABLES;
pub use base::{Base, BaseError, Since, base, unchanged};
pub use checkout::Snapshot;
pub use error::GitError;
pub use objects::{Oid, Tip};
pub use repository::{Given, Repository};
pub use worktree::{Head, Worktree};
