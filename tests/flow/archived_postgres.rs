//! A Postgres that is no package of this machine: an archive, pinned by the lock, for the process runtime.

use std::{fs, path::Path};

use flate2::{Compression, write::GzEncoder};

use crate::{
    cli::install::platform,
    support::{Home, Project, Reply, Server},
};

/// Where root's processes of another user get their programs from, when root's own store is closed to that user.
const SHARED: &str = "/var/lib/devenv/tools";

/// This machine's Postgres as an archive that can be unpacked anywhere: it finds its other files from where its programs are.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.follow_symlinks(false);
    for folder in [
        "lib/postgresql/15/bin",
        "lib/postgresql/15/lib",
        "share/postgresql/15",
    ] {
        let (to, from) = (
            Path::new("postgresql-15").join(folder),
            Path::new("/usr").join(folder),
        );
        tar.append_dir_all(to, from)
            .expect("the tests need postgresql-15");
    }
    tar.into_inner().expect("a tar").finish().expect("a gzip")
}

/// Removes what the store's entries have of theirs in the shared folder.
struct Shared<'a>(&'a Home);

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        for entry in self.0.entries() {
            let _ = fs::remove_dir_all(Path::new(SHARED).join(&entry));
            let _ = fs::remove_file(Path::new(SHARED).join(format!("{entry}.lock")));
        }
    }
}

#[test]
fn an_archive_of_the_lock_brings_the_server() {
    let server = Server::start();
    server.put("postgresql-15.20.tar.gz", Reply::File(archive()));
    let home = Home::new();
    let _shared = Shared(&home);
    let project = Project::new(&format!(
        r#"
[project]
name = "archived"
runtime = "process"

[toolchain.postgres]
from = "http"
version = "15.20"
url = "{}"
platforms = ["{}"]
bin = ["lib/postgresql/15/bin/postgres"]

[postgres.db]
version = "15"
tool = "postgres"
database = "shop"
"#,
        server.url("postgresql-{version}.tar.gz"),
        platform()
    ));

    home.ok(&project, &["up"]);
    let psql = ["exec", "db", "--", "psql", "-U", "postgres", "-tAc"];
    let sql = |query: &str| home.ok(&project, &[&psql[..], &[query]].concat()).stdout;
    let program = sql("select setting from pg_config() where name = 'BINDIR'");
    let bin = "lib/postgresql/15/bin";
    let places = [home.tools(), SHARED.into()].map(|place| {
        place
            .display()
            .to_string()
            .replace(&home.join("").display().to_string(), "[HOME]/")
    });
    assert!(
        program.contains(bin) && places.iter().any(|place| program.contains(place)),
        "{program}"
    );

    // Once installed, it needs nothing of the network, and is the same again.
    server.requests();
    let again = home.ok(&project, &["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    sql("create table kept (id int)");
    home.ok(&project, &["down"]);
    home.ok(&project, &["up"]);
    sql("select id from kept");
    assert_eq!(server.requests(), [""; 0]);
    home.ok(&project, &["down", "--volumes"]);
}
