//! What git knows: where its repository is (without a process), which trees commits have, what a checkout holds, private worktrees.
//!
//! Everything else is asked of the `git` binary, in the environment that it gave the hook.

mod ask;
mod checkout;
mod error;
mod hooks;
mod objects;
mod repository;
mod worktree;

pub use ask::LOCAL_VARIABLES;
pub use error::GitError;
pub use objects::{Oid, Tip};
pub use repository::{Given, Repository};
pub use worktree::{Head, Worktree};
