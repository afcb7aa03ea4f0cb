//! The rules of ARCHITECTURE.md, checked from the sources: who may import whom, which crate appears where, who may print, no global state.
//!
//! Code under `#[cfg(test)]` is exempt.

mod check;
mod sources;

use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use expect_test::expect;

use sources::{Source, Sources, rust_files};

/// A module of `src/` and those it may import, directly.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("config", &["sys"]),
    ("plan", &["config", "sys"]),
    ("event", &["plan", "config"]),
    ("report", &["event", "plan", "config"]),
    ("mirror", &["plan", "config"]),
    ("git", LEAF),
    ("runtime", LEAF),
    // The lock is plain data with its file format; the toolchain fills it and installs from it.
    ("toolchain", &["lockfile", "event", "plan", "config", "sys"]),
    ("proto", LEAF),
    ("database", LEAF),
    ("image", LEAF),
    ("store", LEAF),
    ("lockfile", LEAF),
    ("steps", STEPS),
    ("remote", STEPS),
    ("engine", ENGINE),
    ("sys", &[]),
    ("cli", ANY),
];
const LEAF: &[&str] = &["event", "plan", "config", "sys"];
const STEPS: &[&str] = &[
    "mirror",
    "git",
    "runtime",
    "toolchain",
    "proto",
    "database",
    "image",
    "store",
    "lockfile",
    "event",
    "plan",
    "config",
    "sys",
];
const ENGINE: &[&str] = &[
    "mirror",
    "steps",
    "git",
    "runtime",
    "toolchain",
    "proto",
    "database",
    "image",
    "store",
    "lockfile",
    "event",
    "plan",
    "config",
    "sys",
];
const ANY: &[&str] = &["*"];

/// A crate and the modules it may appear in.
const CRATES: &[(&str, &[&str])] = &[
    ("bollard", &["runtime::docker", "image"]),
    ("kube", &["runtime::kubernetes"]),
    ("tokio_postgres", &["database"]),
    ("refinery", &["database"]),
    ("refinery_core", &["database"]),
    ("squawk_linter", &["database::lint"]),
    ("squawk_syntax", &["database::lint"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("indicatif", &["report"]),
    ("annotate_snippets", &["report"]),
    ("quick_junit", &["report"]),
    ("anstream", &["cli", "report"]),
    ("anstyle", &["cli", "report"]),
];

/// Paths of the standard library and of tokio that stand for input and output, and the modules they may appear in.
const IO: &[(&[&str], &[&str])] = &[
    (&["std", "process", "Command"], &["sys"]),
    (&["tokio", "process"], &["sys"]),
];
/// Modules without input and output; `plan::fingerprint` reads files.
const PURE: &[&str] = &["plan", "mirror"];
const READS: &str = "plan::fingerprint";

const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln"];
const MAY_PRINT: &[&str] = &["cli", "report"];

/// Types that make a `static` into state. A `LazyLock` of plain data is a constant.
const STATE: &[&str] = &[
    "Mutex",
    "RwLock",
    "OnceLock",
    "OnceCell",
    "Cell",
    "RefCell",
    "UnsafeCell",
];

/// Counters that only make names unique within the process: file and name of the `static`.
const COUNTERS: &[(&str, &str)] = &[
    ("src/image/dockerfile.rs", "COUNT"),
    ("src/runtime/docker/one_shot.rs", "COUNT"),
];

#[test]
fn the_sources_keep_the_rules() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Sources::default();
    sources.walk(crate_root, Path::new("src/lib.rs"), &[], Path::new("src"));
    sources.walk(crate_root, Path::new("src/main.rs"), &[], Path::new("src"));
    assert!(
        sources.files.len() > 20,
        "only {} files",
        sources.files.len()
    );

    let mut broken: Vec<_> = sources.files.iter().flat_map(Source::check).collect();
    let mut on_disk = Vec::new();
    rust_files(&crate_root.join("src"), &mut on_disk);
    for path in on_disk {
        let path = path.strip_prefix(crate_root).expect("below the crate");
        if !sources.seen.contains(path) {
            broken.push(Broken {
                path: path.to_owned(),
                line: 1,
                rule: "no `mod` line leads to this file".to_owned(),
            });
        }
    }
    let broken: String = broken.iter().map(|broken| format!("{broken}\n")).collect();
    assert!(broken.is_empty(), "\n{broken}");
}

/// One broken rule.
struct Broken {
    path: PathBuf,
    line: usize,
    rule: String,
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.rule)
    }
}

/// Judges a text as if it stood in this module.
fn judged(module: &[&str], text: &str) -> String {
    let source = Source {
        path: "src/x.rs".into(),
        module: module.iter().map(|name| (*name).to_owned()).collect(),
        file: syn::parse_file(text).expect("valid Rust"),
    };
    source
        .check()
        .iter()
        .map(|broken| format!("{broken}\n"))
        .collect()
}

#[test]
fn a_forbidden_import_is_found_in_every_form() {
    expect![[r#"
        src/x.rs:3: `plan` may not import `runtime`
        src/x.rs:4: `plan` may not import `store`
        src/x.rs:5: `plan` may not import `event`
        src/x.rs:6: `plan` may not import `engine`
        src/x.rs:6: `plan` may not import `cli`
        src/x.rs:7: `plan` may not import `report`
        src/x.rs:8: `plan` may not import `steps`
        src/x.rs:12: `plan` may not import `image`
    "#]]
    .assert_eq(&judged(
        &["plan", "graph"],
        r#"
use crate::config::StepId;
use crate::{config, runtime::{Runtime, spec}};
use super::super::store::Store as Other;
use crate::event::*;
fn f(a: crate::engine::Engine) -> Option<crate::cli::X> {
    crate::report::fault();
    println_free(format!("{}", crate::steps::run(crate::sys::fs::x)));
    super::own();
    self::own::event();
}
mod inner { use super::super::super::image::Image; use super::own; }
#[cfg(test)] mod tests { use crate::engine::Engine; }
#[cfg(test)] use crate::engine::Engine;
"#,
    ));
}

#[test]
fn crates_prints_and_globals_are_found() {
    let text = r#"
use bollard::Docker;
fn f() -> tokio_postgres::Client { println!("a"); anstream::eprintln!("b"); vec![::kube::x(), eprint!("c")]; dbg!(1); }
static mut A: u8 = 0;
static B: std::sync::OnceLock<u8> = OnceLock::new();
static C: AtomicU8 = AtomicU8::new(0);
static D: &str = "a constant";
thread_local! { static E: u8 = 0; }
"#;
    expect![[r#"
        src/x.rs:2: crate `bollard` may appear only in `runtime::docker`, `image`
        src/x.rs:3: crate `tokio_postgres` may appear only in `database`
        src/x.rs:3: `println!` may appear only in `cli` and `report`
        src/x.rs:3: `eprintln!` may appear only in `cli` and `report`
        src/x.rs:3: crate `anstream` may appear only in `cli`, `report`
        src/x.rs:3: crate `kube` may appear only in `runtime::kubernetes`
        src/x.rs:3: `eprint!` may appear only in `cli` and `report`
        src/x.rs:3: `dbg!` is left over
        src/x.rs:4: no global state: `static mut A`
        src/x.rs:5: no global state: `static B`
        src/x.rs:6: no global state: `static C`
        src/x.rs:8: no global state: `thread_local!`
    "#]]
    .assert_eq(&judged(&["engine"], text));
    expect![[r#"
        src/x.rs:1: crate `bollard` may appear only in `runtime::docker`, `image`
    "#]]
    .assert_eq(&judged(
        &["database", "session"],
        "use tokio_postgres::Client; use bollard::Docker;",
    ));
    expect![[""]].assert_eq(&judged(
        &["runtime", "docker", "exec"],
        "use bollard::Docker;",
    ));
    expect![[r#"
        src/x.rs:1: crate `bollard` may appear only in `runtime::docker`, `image`
    "#]]
    .assert_eq(&judged(&["runtime", "dockery"], "use bollard::Docker;"));
}

#[test]
fn input_and_output_are_found() {
    let text = r#"
use std::{collections::BTreeMap, fs, process::{Command, ExitStatus}};
fn f() { std::env::var("X"); }
async fn g() { tokio::process::Command::new("x"); }
"#;
    expect![[r#"
        src/x.rs:2: `plan` does no input and output: `std::fs`
        src/x.rs:2: `std::process::Command` may appear only in `sys`
        src/x.rs:2: `plan` does no input and output: `std::process::Command`
        src/x.rs:2: `plan` does no input and output: `std::process::ExitStatus`
        src/x.rs:3: `plan` does no input and output: `std::env::var`
        src/x.rs:4: `tokio::process` may appear only in `sys`
        src/x.rs:4: `plan` does no input and output: `tokio::process::Command::new`
    "#]]
    .assert_eq(&judged(&["plan", "build"], text));
    expect![[r#"
        src/x.rs:2: `std::process::Command` may appear only in `sys`
        src/x.rs:4: `tokio::process` may appear only in `sys`
    "#]]
    .assert_eq(&judged(&["plan", "fingerprint", "select"], text));
    expect![[""]].assert_eq(&judged(&["sys", "process"], text));
}

#[test]
fn a_module_that_the_table_does_not_know_is_found() {
    expect![[r#"
        src/x.rs:1: module `novel` is not in the table of who may import whom
    "#]]
    .assert_eq(&judged(&["novel"], "use crate::sys::fs;"));
}
