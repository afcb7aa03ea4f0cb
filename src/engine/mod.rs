//! Carries a plan out: which step runs when, with what limits, and what a failure or a signal does to the others.
//!
//! The engine knows order, not steps: what a step decides and does comes in as [`Work`], what happens goes out as events.
//! Order is decided in [`state`], which is pure; [`dispatcher`] owns everything that changes; [`executor`] runs one step at a time.

mod dispatcher;
mod executor;
mod signal;
mod state;
mod work;

#[cfg(test)]
mod tests;

pub use dispatcher::{Options, RunResult, run};
pub use executor::{ActContext, Slot, Work};
pub use signal::{Heeds, Signal, signals};
pub use state::{Class, Command, End, Input, Limits, Node, Policy, RunState};
