//! `devenv lock`.

use expect_test::expect;

use super::install::archive;
use crate::support::{Home, Project, Reply, Server};

const CONFIG: &str = r#"[project]
name = "tools"

[toolchain.greet]
from = "http"
version = "1.0"
url = "[URL]"
os = { macos = "darwin" }
arch = { x86_64 = "amd64" }

[toolchain.cargo]
from = "system"
version = ">=1.60"
"#;

fn project(server: &Server) -> Project {
    let url = server.url("greet-{version}-{os}-{arch}.tar.gz");
    Project::new(&CONFIG.replace("[URL]", &url))
}

/// Serves every usual platform but one.
fn server() -> Server {
    let server = Server::start();
    for platform in ["linux-amd64", "linux-aarch64", "darwin-aarch64"] {
        let path = format!("greet-1.0-{platform}.tar.gz");
        // As a gzip begins: more is not looked at before it is unpacked.
        server.put(
            &path,
            Reply::File([b"\x1f\x8b", platform.as_bytes()].concat()),
        );
    }
    server
}

#[test]
fn pins_every_platform_the_same_from_everywhere() {
    let server = server();
    let (one, two) = (project(&server), project(&server));
    let stdout = Home::new().ok(&one, &["lock"]).stdout;
    assert_eq!(stdout, "Updated 2 rows of devenv.lock\n");
    Home::new().ok(&two, &["lock", "--output", "json"]);
    assert_eq!(one.read("devenv.lock"), two.read("devenv.lock"));
    let text = one.read("devenv.lock").replace(&server.url(""), "[URL]/");
    expect![[r##"
        # Written by `devenv lock`. Commit it; do not edit it.
        version = 1

        [tool.cargo]
        from = "system"
        spec = ">=1.60"

        [tool.greet]
        from = "http"
        spec = "1.0"
        version = "1.0"

        [tool.greet.platform.linux-aarch64]
        url = "[URL]/greet-1.0-linux-aarch64.tar.gz"
        size = 15
        sha256 = "a4b43a6d958bc8e9411119534fd194746c8e42565e4ca887096f2033b4041f94"

        [tool.greet.platform.linux-x86_64]
        url = "[URL]/greet-1.0-linux-amd64.tar.gz"
        size = 13
        sha256 = "eb37f02292720ad2594a789872fa7bde20427492008c3b1b368c8b480e9aebef"

        [tool.greet.platform.macos-aarch64]
        url = "[URL]/greet-1.0-darwin-aarch64.tar.gz"
        size = 16
        sha256 = "fe476e847e72cd8d78e85c2aa3bf0227b26f2d91430ecf0b7e9b78a2c0b46651"
    "##]]
    .assert_eq(&text);
}

#[test]
fn check_names_the_rows_and_changes_nothing() {
    let server = server();
    let (project, home) = (project(&server), Home::new());
    let first = home.run(&project, &["lock", "--check"]);
    assert_eq!(first.code, 1);
    expect![[r#"
        cargo: not in devenv.lock yet
        greet: not in devenv.lock yet
        devenv.lock has 2 rows out of date: run `devenv lock`
    "#]]
    .assert_eq(&first.stdout);
    assert!(!project.join("devenv.lock").exists());
    assert_eq!(server.requests(), [""; 0]);

    home.ok(&project, &["lock"]);
    server.requests();
    assert_eq!(
        home.ok(&project, &["lock", "--check"]).stdout,
        "devenv.lock is up to date\n"
    );
    let before = project.read("devenv.lock");
    let config = project.read("devenv.toml");
    let renamed = config.replace("toolchain.cargo", "toolchain.rust");
    project.write(
        "devenv.toml",
        &renamed.replace("macos = \"darwin\"", "macos = \"mac\""),
    );
    let second = home.run(&project, &["lock", "--check"]);
    assert_eq!(second.code, 1);
    expect![[r#"
        greet: url for macos-aarch64 changed: `[URL]greet-1.0-darwin-aarch64.tar.gz` → `[URL]greet-1.0-mac-aarch64.tar.gz`
        rust: not in devenv.lock yet
        cargo: no longer in devenv.toml
        devenv.lock has 3 rows out of date: run `devenv lock`
    "#]]
    .assert_eq(&second.stdout.replace(&server.url(""), "[URL]"));
    assert_eq!(project.read("devenv.lock"), before);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn resolves_only_what_changed_unless_named() {
    let server = server();
    let (project, home) = (project(&server), Home::new());
    home.ok(&project, &["lock"]);
    assert_eq!(server.requests().len(), 4);
    assert_eq!(
        home.ok(&project, &["lock"]).stdout,
        "devenv.lock is up to date\n"
    );
    assert_eq!(server.requests(), [""; 0]);

    server.put(
        "greet-1.0-linux-amd64.tar.gz",
        Reply::File(archive("greet", "echo")),
    );
    let before = project.read("devenv.lock");
    assert_eq!(
        home.ok(&project, &["lock", "greet"]).stdout,
        "Updated 1 row of devenv.lock\n"
    );
    assert_eq!(server.requests().len(), 4);
    assert_ne!(project.read("devenv.lock"), before);

    let without = project.read("devenv.toml");
    let without = without.split("[toolchain.cargo]").next().expect("a part");
    project.write("devenv.toml", without);
    home.ok(&project, &["lock"]);
    assert!(!project.read("devenv.lock").contains("[tool.cargo]"));
}

#[test]
fn an_explicit_platform_must_be_there() {
    let server = server();
    let (project, home) = (project(&server), Home::new());
    let config = project.read("devenv.toml");
    let named = "version = \"1.0\"\nplatforms = [\"linux-x86_64\", \"macos-x86_64\"]\n";
    project.write("devenv.toml", &config.replace("version = \"1.0\"\n", named));
    let stderr = home.fails(&project, 1, &["lock"]);
    assert!(
        stderr.contains("greet-1.0-darwin-amd64.tar.gz`"),
        "{stderr}"
    );
    assert!(stderr.contains("the server answered 404"), "{stderr}");
}

#[test]
fn a_digest_in_the_file_is_held_against_the_download() {
    let server = server();
    let (project, home) = (project(&server), Home::new());
    let config = project.read("devenv.toml");
    let pinned = format!(
        "version = \"1.0\"\nsha256 = {{ linux-x86_64 = \"{}\" }}\n",
        "0".repeat(64)
    );
    project.write(
        "devenv.toml",
        &config.replace("version = \"1.0\"\n", &pinned),
    );
    let stderr = home.fails(&project, 1, &["lock"]);
    assert!(
        stderr.contains("is not what `sha256` says") && stderr.contains("devenv.toml:"),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("expected {}", "0".repeat(64))),
        "{stderr}"
    );
}

#[test]
fn a_broken_lock_says_where() {
    let server = server();
    let (project, home) = (project(&server), Home::new());
    project.write("devenv.lock", "version = 1\n[tool.greet]\nfrom = 3\n");
    let stderr = home.fails(&project, 2, &["install"]);
    assert!(stderr.contains("`devenv.lock` is broken"), "{stderr}");
    assert!(stderr.contains("devenv.lock:3:8"), "{stderr}");
}
