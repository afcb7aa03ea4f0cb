//! Random bytes nobody can guess.

use std::{
    fs::File,
    io::{self, Read},
};

/// A key of 256 bits from the system.
pub fn key() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
