//! Turns a checked Config into a Plan: steps, edges, keys, and for each step what to do and why.
//! No I/O but `fingerprint`'s reads: the same input gives the same plan, with the engine off too.

mod build;
pub mod dockerfile;
mod draft;
pub mod fingerprint;
mod graph;
mod inputs;
mod reason;
mod secrets;
mod sources;
mod step;

pub use build::{Locked, image_step, image_tools, process_tools};
pub use fingerprint::{
    FileCache, FingerprintError, Node, Tree, fingerprint, fingerprint_files, fingerprint_folder,
    joined, link_on_the_way,
};
pub use graph::{CycleError, Graph};
pub use inputs::{Digest, Input, Inputs};
pub use reason::{Change, Reason, times};
pub use secrets::secrets_used;
pub use sources::{Sources, sources};
pub use step::{Acted, Action, Decision, Output, Outputs, Plan, Step, Verdict};
