//! Plan → text: what makes others call devenv. Pure; who writes and compares the files is elsewhere.

pub mod ci;
pub mod git_hook;
