use std::fs;

use expect_test::expect;

use super::{archive, greet, platform};
use crate::support::{Home, Project, Reply, Server};

#[test]
fn locks_installs_links_and_then_needs_no_network() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::File(archive("greet", "echo hello")),
    );

    let first = home.ok(&project, &["install"]);
    assert_eq!(first.stdout, "greet  1.0  installed\n");
    assert!(
        first.stderr.contains("Locked greet 1.0 in devenv.lock"),
        "{}",
        first.stderr
    );
    // The lock and the install shared one download.
    assert_eq!(server.requests(), ["/greet-1.0.tar.gz"]);

    let link = fs::read_link(project.join(".devenv/bin/greet")).expect("a link");
    assert!(link.starts_with(home.tools()), "{}", link.display());
    assert_eq!(
        home.ok(&project, &["exec", "--", "greet"]).stdout,
        "hello\n"
    );

    let second = home.ok(&project, &["install"]);
    assert_eq!(second.stdout, "greet  1.0  ready\n");
    assert_eq!(second.stderr, "");
    assert_eq!(server.requests(), [""; 0]);

    // Deleting the project's cache loses nothing.
    fs::remove_dir_all(project.join(".devenv")).expect("removed");
    let third = home.ok(&project, &["install"]);
    assert!(
        third.stderr.contains("Linked greet 1.0"),
        "{}",
        third.stderr
    );
    assert_eq!(
        home.ok(&project, &["exec", "--", "greet"]).stdout,
        "hello\n"
    );
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_lock_that_came_with_the_clone_is_all_it_needs() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::File(archive("greet", "echo hello")),
    );
    home.ok(&project, &["lock"]);
    let lock = project.read("devenv.lock");

    let (clone, other) = (greet(&server), Home::new());
    clone.write("devenv.lock", &lock);
    other.ok(&clone, &["install", "--locked"]);
    assert_eq!(clone.read("devenv.lock"), lock);
    assert_eq!(other.ok(&clone, &["exec", "--", "greet"]).stdout, "hello\n");
}

#[test]
fn without_a_row_ci_fails() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    let check = |stderr: String| {
        expect![[r#"
            toolchain.greet  install: not in devenv.lock yet
            toolchain.greet  failed after [TIME]
            error: the lock has no valid row for tool `greet`: not in devenv.lock yet
             --> devenv.toml:4:1
              |
            4 | [toolchain.greet]
              | ^^^^^^^^^^^^^^^^^
              |
              = help: run `devenv lock` and commit devenv.lock
        "#]]
        .assert_eq(&timeless(&stderr));
    };
    check(home.fails(&project, 2, &["install", "--locked"]));
    let ci = home
        .command(&project, &["install"])
        .env("CI", "true")
        .output();
    let ci = home.ran(project.path(), ci.expect("devenv runs"));
    assert_eq!(ci.code, 2);
    check(ci.stderr);
    assert_eq!(server.requests(), [""; 0]);
    assert!(!project.join("devenv.lock").exists());
}

/// With durations replaced.
fn timeless(text: &str) -> String {
    text.lines()
        .map(|line| match line.split_once("after ") {
            Some((start, _)) => format!("{start}after [TIME]\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn a_bare_executable_and_named_executables() {
    let server = Server::start();
    let project = Project::new(&format!(
        r#"[project]
name = "tools"

[toolchain.bare]
from = "http"
url = "{}"
platforms = ["{platform}"]

[toolchain.pair]
from = "http"
version = "2"
url = "{}"
bin = ["bin/left-{{version}}-{{os}}", "right"]
os = {{ linux = "penguin", macos = "apple" }}
platforms = ["{platform}"]
"#,
        server.url("bare"),
        server.url("pair-{version}.zip"),
        platform = platform(),
    ));
    server.put("bare", Reply::File(b"#!/bin/sh\necho bare\n".to_vec()));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mode = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    let os = if cfg!(target_os = "macos") {
        "apple"
    } else {
        "penguin"
    };
    let left = format!("left-2-{os}");
    for name in [format!("bin/{left}"), "right".to_owned()] {
        use std::io::Write;
        zip.start_file(&name, mode).expect("an entry");
        write!(zip, "#!/bin/sh\necho {name}\n").expect("written");
    }
    let zip = zip.finish().expect("a zip").into_inner();
    server.put("pair-2.zip", Reply::File(zip));

    let home = Home::new();
    home.ok(&project, &["install"]);
    for (command, output) in [
        ("bare", "bare\n"),
        (&left, &format!("bin/{left}\n")),
        ("right", "right\n"),
    ] {
        assert_eq!(home.ok(&project, &["exec", "--", command]).stdout, output);
    }
}

#[test]
fn a_new_version_replaces_the_link_and_a_removed_tool_loses_it() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::File(archive("greet", "echo one")),
    );
    server.put(
        "greet-2.0.tar.gz",
        Reply::File(archive("greet", "echo two")),
    );
    home.ok(&project, &["install"]);

    let config = project.read("devenv.toml").replace("1.0", "2.0");
    project.write("devenv.toml", &config);
    let ran = home.ok(&project, &["install"]);
    assert!(
        ran.stderr.contains("version changed: `1.0` → `2.0`"),
        "{}",
        ran.stderr
    );
    assert_eq!(home.ok(&project, &["exec", "--", "greet"]).stdout, "two\n");
    assert_eq!(
        home.entries().len(),
        2,
        "other projects may use the old one"
    );

    project.write("devenv.toml", "[project]\nname = \"tools\"\n");
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "No tools in devenv.toml\n"
    );
    assert!(!project.join(".devenv/bin/greet").is_symlink());
}

#[test]
fn the_wrong_bin_is_named_and_leaves_nothing() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::File(archive("other", "echo hello")),
    );
    let stderr = home.fails(&project, 1, &["install"]);
    assert!(
        stderr.contains("tool `greet` has no executable `greet`"),
        "{stderr}"
    );
    assert!(stderr.contains("it has `other-1/bin/other`"), "{stderr}");
    assert_eq!(home.entries(), [""; 0]);
}

#[test]
fn json_is_one_document() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::File(archive("greet", "echo hello")),
    );
    let ran = home.ok(&project, &["install", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let tool = &answer["tools"]["greet"];
    assert_eq!(tool["version"], "1.0");
    assert_eq!(tool["changed"], true);
    assert_eq!(tool["digest"].as_str().map(str::len), Some(64));
    assert!(tool["paths"]["greet"].is_string());
}
