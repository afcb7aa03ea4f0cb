//! Processes, files, ports and the machine: the only place that spawns processes and knows the platform.

pub mod child;
pub mod chunks;
pub mod docker_host;
pub mod fs;
pub mod git;
pub mod left_over;
pub mod lines;
pub mod mark;
pub mod marked;
pub mod memory;
pub mod net;
pub mod paths;
pub mod pipe;
pub mod platform;
pub mod process;
pub mod processes;
pub mod random;
pub mod remembered;
pub mod terminal;
pub mod user;
pub mod volume;
pub mod watch;
