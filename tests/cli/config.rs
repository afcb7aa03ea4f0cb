//! `devenv config`, and every error it can find: `tests/errors/*.toml` with the expected text beside each.

use std::{fs, path::Path};

use expect_test::{expect, expect_file};

use crate::support::Project;

/// `UPDATE_EXPECT=1` rewrites the expected texts.
#[test]
fn errors_point_into_the_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let project = Project::new(&fs::read_to_string(&path).expect("the case"));
        if let Ok(dotenv) = fs::read_to_string(path.with_extension("env")) {
            project.write(".env", &dotenv);
        }
        let ran = project.run(&["config"]);
        expect_file![path.with_extension("stderr")].assert_eq(&ran.stderr);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{}",
            path.display()
        );
        cases += 1;
    }
    assert!(cases > 20, "only {cases} cases in {}", folder.display());
}

#[test]
fn a_dotenv_that_cannot_be_read_is_named() {
    let project = Project::new("[project]\nname = \"x\"\n");
    project.write(".env/x", "");
    let ran = project.run(&["config"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    expect![[r#"
        error: cannot read `.env`: it is a folder
        --> .env:1:1
         = help: make it a file of `NAME=value` lines that can be read, or remove it

        error: `.env` has 1 error
    "#]]
    .assert_eq(&ran.stderr);
}

const FILE: &str = r#"
[project]
name = "hello"

[postgres.db]
version = "15"
password = "hunter2"

[service.web]
image = "web:${env.TAG:-latest}"
ports = { http = 80 }
env = { DB = "${postgres.db.url}", KEY = "${secret.key}", PRICE = "$${x}" }
ready = { http = "/" }

[secret.key]
env = "KEY"
"#;

#[test]
fn shows_defaults_and_keeps_secrets() {
    let project = Project::new(FILE);
    project.write(".env", "TAG=2\nKEY=hunter2\n");
    let ran = project.ok(&["config"]);
    expect![[r#"
        [project]
        name = "hello"
        runtime = "auto"
        ports = "20000-29999"

        [postgres.db]
        version = "15"
        image = "postgres:15"
        database = "db"
        user = "db"
        password = "${not shown}"
        port = 5432
        prepared = true

        [postgres.db.ready]
        timeout = "1m"

        [service.web]
        image = "web:2"
        restart = "unless-stopped"
        stop_grace = "10s"

        [service.web.env]
        DB = "${postgres.db.url}"
        KEY = "${secret.key}"
        PRICE = "$${x}"

        [service.web.ports]
        http = 80

        [service.web.ready]
        http = "/"
        port = "http"
        timeout = "30s"

        [secret.key]
        env = "KEY"
    "#]]
    .assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "");
    assert!(
        !project
            .ok(&["config", "--output", "json"])
            .stdout
            .contains("hunter2")
    );
}

#[test]
fn what_it_prints_is_a_file_again() {
    let project = Project::new(FILE);
    let first = project.ok(&["config"]).stdout;
    // All but the password, and that is no value.
    let again = Project::new(&first);
    let ran = again.run(&["config"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    let message = "`${not shown}` stands for a value that `devenv config` keeps to itself";
    assert!(ran.stderr.contains(message), "{}", ran.all());
    again.write("devenv.toml", &first.replace("${not shown}", "hunter2"));
    assert_eq!(again.ok(&["config"]).stdout, first);

    let without = Project::new(&FILE.replace("password = \"hunter2\"\n", ""));
    let first = without.ok(&["config"]).stdout;
    assert!(!first.contains("password"), "{first}");
    assert_eq!(Project::new(&first).ok(&["config"]).stdout, first);
}

#[test]
fn the_environment_wins_over_the_file() {
    let project = Project::new(FILE);
    project.write(".env", "TAG=2\n");
    let output = project
        .command(&["config", "--output", "json"])
        .env("TAG", "3")
        .output()
        .expect("devenv runs");
    let config: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(config["service"]["web"]["image"], "web:3");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let project = Project::new("");
    fs::write(project.join("devenv.toml"), b"[project]\nname = \"\xff\"\n").expect("written");
    let ran = project.run(&["config"]);
    expect![[r#"
        error: `devenv.toml` is not UTF-8 text
        --> devenv.toml:2:1
         = help: save it as UTF-8

        error: `devenv.toml` has 1 error
    "#]]
    .assert_eq(&ran.stderr);
    assert_eq!(ran.code, 2);

    fs::remove_file(project.join("devenv.toml")).expect("removed");
    let ran = project.run(&["config"]);
    expect![[r#"
        error: no `devenv.toml` in `[ROOT]` or any folder above it
         |
         = help: run devenv inside a project, or name its folder with `-C DIR`
    "#]]
    .assert_eq(&ran.stderr);
    assert_eq!(ran.code, 2);
}

#[test]
fn it_is_found_from_a_folder_below() {
    let project = Project::new(FILE);
    project.write("a/b/c.txt", "");
    let ran = project.ok(&["-C", "a/b", "config"]);
    assert!(
        ran.stdout.starts_with("[project]\nname = \"hello\""),
        "{}",
        ran.all()
    );
}

#[test]
fn what_is_called_devenv_toml_and_is_no_file_does_not_let_the_parents_be_taken() {
    let project = Project::new(FILE);
    let inner = project.join("inner");
    fs::create_dir_all(inner.join("devenv.toml")).expect("a folder");
    let ran = project.run(&["-C", "inner", "config"]);
    expect![[r#"
        error: cannot read `[ROOT]/inner/devenv.toml`
         |
         = note: it is a folder
         = help: make it a file, or remove it to use that of a folder above
    "#]]
    .assert_eq(&ran.stderr);
    assert_eq!(ran.code, 2);

    fs::remove_dir(inner.join("devenv.toml")).expect("removed");
    std::os::unix::fs::symlink("gone.toml", inner.join("devenv.toml")).expect("a link");
    let ran = project.run(&["-C", "inner", "config"]);
    expect![[r#"
        error: cannot read `[ROOT]/inner/devenv.toml`
         |
         = note: it is a link to `gone.toml`: No such file or directory (os error 2)
         = help: make it a file, or remove it to use that of a folder above
    "#]]
    .assert_eq(&ran.stderr);
    assert_eq!(ran.code, 2);

    // A link that leads to a file is one.
    fs::write(inner.join("gone.toml"), "[project]\nname = \"inner\"\n").expect("written");
    assert!(
        project
            .ok(&["-C", "inner", "config"])
            .stdout
            .contains("inner")
    );
}
