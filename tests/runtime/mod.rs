//! The conformance suite: what every runtime has to do, on the real thing. A runtime is added by one line.

mod faults;
mod files;
mod lifecycle;
mod output;
mod ports;
mod probes;
mod supervisor;
mod world;

/// Runs each case in a world of its own on each runtime; those of `containers` are about what only containers have.
macro_rules! conformance {
    ($($case:ident),* $(,)? $(; containers: $($only:ident),* $(,)?)?) => {
        mod docker {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($crate::runtime::world::World::docker()).await;
                }
            )*
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $only() {
                    super::$only($crate::runtime::world::World::docker()).await;
                }
            )*)?
        }

        mod process {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($crate::runtime::world::World::process()).await;
                }
            )*
        }
    };
}

use conformance;
