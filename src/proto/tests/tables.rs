//! Several tables in one project: whose file is it.

use std::{collections::BTreeSet, path::Path};

use super::*;
use crate::config::{self, Config};

/// A project folder with generated files of any tables.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(".devenv")
    }

    fn put(&self, table: &str, files: &[(&str, &str)]) -> Written {
        let files = generated(table, files);
        write(self.dir.path(), table, &files, &self.state()).unwrap()
    }

    fn leftovers(&self, tables: &[&str]) -> Vec<Leftover> {
        let tables: BTreeSet<_> = tables.iter().copied().collect();
        leftovers(self.dir.path(), &self.state(), &tables).unwrap()
    }

    fn edit(&self, path: &str, text: &str) {
        fs::write(self.dir.path().join(path), text).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.dir.path().join(path).exists()
    }
}

fn generated(table: &str, files: &[(&str, &str)]) -> Generated {
    let writer = KeyPath::of(["proto", table, "plugin", "p"]);
    Generated {
        files: files
            .iter()
            .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec()))
            .collect(),
        writers: files
            .iter()
            .map(|(path, _)| ((*path).into(), writer.clone()))
            .collect(),
        rust_folder: None,
    }
}

fn leftover(table: &str, unchanged: &[&str], edited: &[&str]) -> Leftover {
    let own = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    Leftover {
        table: table.into(),
        unchanged: own(unchanged),
        edited: own(edited),
    }
}

#[test]
fn a_file_that_went_to_another_table_is_not_deleted() {
    let disk = Disk::new();
    disk.put("b", &[("out/one", "1"), ("out/two", "2")]);
    // No mark of a generator is in it, but a record says that devenv wrote it.
    let written = disk.put("a", &[("out/one", "1"), ("out/two", "new")]);
    assert_eq!(written.written, ["out/two"]);
    let written = disk.put("b", &[]);
    assert_eq!((written.deleted, written.kept), (vec![], vec![]));
    assert!(disk.has("out/one") && disk.has("out/two"));
    assert_eq!(
        disk.put("a", &[("out/one", "1")]).deleted,
        ["out/two"],
        "it is the other table's now"
    );
}

#[test]
fn what_a_removed_table_left_is_deleted_unless_it_was_edited() {
    let disk = Disk::new();
    disk.put("gone", &[("out/sub/one", "1"), ("out/two", "2")]);
    disk.put("here", &[("out/three", "3")]);
    assert_eq!(disk.leftovers(&["gone", "here"]), []);
    disk.edit("out/two", "mine");
    let expected = leftover("gone", &["out/sub/one"], &["out/two"]);
    assert_eq!(disk.leftovers(&["here"]), std::slice::from_ref(&expected));

    remove(disk.dir.path(), &disk.state(), &expected).unwrap();
    assert!(!disk.has("out/sub") && disk.has("out/two") && disk.has("out/three"));
    let expected = leftover("gone", &[], &["out/two"]);
    assert_eq!(disk.leftovers(&["here"]), [expected]);
    fs::remove_file(disk.dir.path().join("out/two")).unwrap();
    assert_eq!(disk.leftovers(&["here"]), []);
}

#[test]
fn a_table_with_a_new_name_takes_its_files_along() {
    let disk = Disk::new();
    disk.put("old", &[("out/one", "1"), ("out/two", "2")]);
    disk.put("new", &[("out/one", "1")]);
    assert_eq!(
        disk.leftovers(&["new"]),
        [leftover("old", &["out/two"], &[])]
    );
}

fn config(text: &str) -> Config {
    let text = format!("[project]\nname = \"x\"\n{text}");
    config::parse(Path::new("devenv.toml"), text, &|_| None).unwrap()
}

#[test]
fn a_file_that_two_tables_write_is_refused_with_both_places() {
    let config = config(
        "[proto.b]\nfiles = ['b.proto']\nplugin.p = { out = 'out' }\n[proto.a]\nplugin.p = { out = 'out' }\n",
    );
    let a = generated("a", &[("out/1", ""), ("out/x", "")]);
    let b = generated("b", &[("out/2", ""), ("out/x", "")]);
    let error = disjoint(&config.source, [&a.writers, &b.writers]).unwrap_err();
    expect![[r#"
        `proto.b.plugin.p` and `proto.a.plugin.p` both write `out/x`
        at proto.a.plugin.p.out
        note `proto.b.plugin.p` is at devenv.toml:5:14
        help give each generator an output folder of its own, or options that change its file names"#]]
    .assert_eq(&shown(&error.explain()));
    disjoint(
        &config.source,
        [&a.writers, &generated("b", &[("out/2", "")]).writers],
    )
    .unwrap();
}

#[test]
fn only_tables_with_folders_in_each_other_are_rivals() {
    let config = config(
        "[proto.a]\nrust = { out = 'gen/rust' }\n[proto.b]\nfiles = ['b']\nrust = { out = './gen' }\n\
         [proto.c]\nplugin.p = { out = 'gen/rusty' }\n[proto.d]\nplugin.p = { out = 'other' }\nrust = { out = 'gen/rust/x' }\n",
    );
    assert_eq!(rivals(&config, "a"), ["b", "d"]);
    assert_eq!(rivals(&config, "b"), ["a", "c", "d"]);
    assert_eq!(rivals(&config, "c"), ["b"]);
}
