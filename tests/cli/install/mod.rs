//! `devenv install`: one file per source, against real servers, registries and processes.

mod apt;
mod faults;
mod http;
mod registry;
mod system;

use std::{env::consts, io::Write};

use flate2::{Compression, write::GzEncoder};

use crate::support::{Project, Server};

/// This machine, as the lock names it.
pub fn platform() -> String {
    format!("{}-{}", consts::OS, consts::ARCH)
}

/// A tar.gz with one script in `bin/` of a leading folder.
pub fn archive(name: &str, script: &str) -> Vec<u8> {
    let content = format!("#!/bin/sh\n{script}\n");
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    let path = format!("{name}-1/bin/{name}");
    tar.append_data(&mut header, path, content.as_bytes())
        .expect("an entry");
    tar.into_inner().expect("a tar").finish().expect("a gzip")
}

/// A tar with one entry whose name is taken as it is.
pub fn raw_tar(kind: tar::EntryType, name: &str, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(0);
    header.set_cksum();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(header.as_bytes()).expect("written");
    gz.write_all(&[0; 1024]).expect("written");
    gz.finish().expect("a gzip")
}

/// A project with one `http` tool, `greet`, for this machine alone.
pub fn greet(server: &Server) -> Project {
    Project::new(&format!(
        r#"[project]
name = "tools"

[toolchain.greet]
from = "http"
version = "1.0"
url = "{}"
platforms = ["{}"]
"#,
        server.url("greet-{version}.tar.gz"),
        platform()
    ))
}
