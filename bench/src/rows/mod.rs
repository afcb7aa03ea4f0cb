//! One file per row.

pub mod cold;
pub mod hash;
pub mod memory;
pub mod noop;
pub mod prepush;
pub mod process;
pub mod services;
pub mod version;

use std::{path::PathBuf, time::Duration};

pub struct Tools {
    pub devenv: PathBuf,
    pub compose: PathBuf,
    pub supervisord: PathBuf,
    pub rounds: usize,
}

const DEVENV: &str = "devenv";
const COMPOSE: &str = "docker compose";

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn progress(row: &str, round: usize, side: &str, value: f64) {
    eprintln!("{row} round {round}: {side} {value:.1}");
}
