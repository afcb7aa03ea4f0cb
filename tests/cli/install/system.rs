//! Fake programs on a PATH of the test's own.

use std::fs;

use crate::support::{Home, Project};

fn project(range: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"tools\"\n\n[toolchain.greet]\nfrom = \"system\"\nversion = \"{range}\"\n"
    ))
}

#[test]
fn the_version_is_read_once_and_again_when_the_program_changes() {
    let home = Home::with_programs(&[]);
    let calls = home.join("calls");
    let script = |version: &str| format!("echo x >> '{}'\necho greet {version}", calls.display());
    home.program("programs", "greet", &script("1.2.3"));
    let project = project(">=1.2");
    let count = || {
        fs::read_to_string(&calls)
            .unwrap_or_default()
            .lines()
            .count()
    };

    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "greet  1.2.3  ready\n"
    );
    home.ok(&project, &["install"]);
    assert_eq!(count(), 1);
    home.program("programs", "greet", &script("1.10.0"));
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "greet  1.10.0  ready\n"
    );
    assert_eq!(count(), 2);
    // It is first on PATH as it is, and needs no link.
    assert!(!project.join(".devenv/bin/greet").is_symlink());
    assert_eq!(project.read(".devenv/.gitignore"), "*\n");
}

#[test]
fn a_wrong_version_is_never_taken() {
    let home = Home::with_programs(&[("greet", "echo greet 1.2.3")]);
    let stderr = home.fails(&project(">=2"), 3, &["install"]);
    assert!(
        stderr.contains("tool `greet`: `[HOME]/programs/greet` is version 1.2.3, wanted `>=2`"),
        "{stderr}"
    );
    assert!(stderr.contains("devenv.toml:6:"), "{stderr}");
}

#[test]
fn a_later_one_on_path_that_is_in_the_range_is_linked() {
    let mut home = Home::with_programs(&[("greet", "echo greet 1.2.3")]);
    let later = home.program("later", "greet", "echo greet 2.1");
    home.set_path(format!(
        "{}:{}:/usr/bin:/bin",
        home.join("programs").display(),
        home.join("later").display()
    ));
    let project = project(">=2");
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "greet  2.1  ready\n"
    );
    assert_eq!(
        fs::read_link(project.join(".devenv/bin/greet")).expect("a link"),
        later
    );
    assert_eq!(
        home.ok(&project, &["exec", "--", "greet"]).stdout,
        "greet 2.1\n"
    );
    // Also from a shell that has the link folder on its PATH.
    let mut command = home.command(&project, &["install"]);
    let path = format!(
        "{}:{}",
        project.join(".devenv/bin").display(),
        home.join("later").display()
    );
    let output = command.env("PATH", path).output().expect("devenv runs");
    assert_eq!(
        home.ran(project.path(), output).stdout,
        "greet  2.1  ready\n"
    );
}

#[test]
fn what_is_missing_or_says_no_version_is_an_error_with_help() {
    let home = Home::with_programs(&[]);
    let stderr = home.fails(&project("*"), 3, &["install"]);
    assert!(
        stderr.contains("tool `greet`: `greet` is not on PATH"),
        "{stderr}"
    );
    assert!(stderr.contains("help: install `greet`"), "{stderr}");

    let home = Home::with_programs(&[("greet", "echo usage: greet NAME; exit 2")]);
    let stderr = home.fails(&project("*"), 1, &["install"]);
    assert!(
        stderr.contains("greet --version` did not tell its version"),
        "{stderr}"
    );
    assert!(stderr.contains("usage: greet NAME"), "{stderr}");
    assert!(stderr.contains("help: set `version_args`"), "{stderr}");
}
