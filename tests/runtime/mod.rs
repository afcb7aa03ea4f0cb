//! The conformance suite: what every runtime has to do, on the real thing. A runtime is added by one line.

mod faults;
mod files;
mod lifecycle;
mod output;
mod ports;
mod probes;
mod world;

/// Runs each case in a world of its own on each runtime.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod docker {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($crate::runtime::world::World::docker()).await;
                }
            )*
        }
    };
}

use conformance;
