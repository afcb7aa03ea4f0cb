//! `devenv completions`, `--version`, `--help`, and arguments that are wrong.

use std::process::{Command, Stdio};

use crate::support::Project;

/// What bash offers for the last word of a line, and all that is written to stderr meanwhile.
fn offered(project: &Project, line: &str) -> String {
    let words: Vec<_> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let (words, last) = (words.join(" "), words.last().cloned().unwrap_or_default());
    let script = format!(
        "source <(devenv completions bash)\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _clap_complete_devenv devenv {last}\necho \"${{COMPREPLY[@]}}\"\n"
    );
    let mut path = vec![project.join("bin")];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let bin = project.join("bin/devenv");
    if !bin.exists() {
        std::fs::create_dir_all(project.join("bin")).expect("a folder");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_devenv"), bin).expect("a link");
    }
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(project.path())
        .env("PATH", std::env::join_paths(path).expect("a PATH"))
        .output()
        .expect("bash");
    let offered = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    offered + &String::from_utf8_lossy(&output.stderr)
}

const STEPS: &str = r#"
[project]
name = "steps"
[toolchain.buf]
from = "system"
[postgres.db]
version = "15"
[migrate.db]
dir = "m"
postgres = "postgres.db"
[service.web]
image = "web"
[service.worker]
image = "web"
[task.lint]
run = "true"
"#;

#[test]
fn bash_offers_commands_and_the_steps_of_the_project() {
    let project = Project::new(STEPS);
    for (line, expected) in [
        ("devenv mig", "migrate"),
        ("devenv up service.", "service.web service.worker"),
        ("devenv plan service.web migrate", "migrate.db"),
        ("devenv logs ", "postgres.db service.web service.worker"),
        ("devenv restart wo", "worker"),
        ("devenv exec service.we", "service.web"),
        ("devenv run t", "task.lint toolchain.buf"),
        ("devenv install ", "buf"),
        ("devenv psql --database ", "db"),
        ("devenv up nothing", ""),
    ] {
        let offered = offered(&project, line);
        // Options are offered where a word may begin with a dash.
        let names: Vec<_> = offered
            .split_whitespace()
            .filter(|word| !word.starts_with('-'))
            .collect();
        assert_eq!(names.join(" "), expected, "{line}");
    }
    let below = project.join("a/b");
    std::fs::create_dir_all(&below).expect("a folder");
    let elsewhere = Project::new("");
    let line = format!("devenv -C {} logs service.we", below.display());
    assert_eq!(offered(&elsewhere, &line), "service.web");
}

#[test]
fn a_file_that_cannot_be_read_offers_nothing_and_says_nothing() {
    for file in [
        "[project",
        "[project]\nname = \"x\"\n[service.web]\nimage = \"${env.NOPE_NOPE}\"\n",
    ] {
        let project = Project::new(file);
        assert_eq!(offered(&project, "devenv logs serv"), "");
        assert_eq!(offered(&project, "devenv nonsense serv"), "");
    }
}

#[test]
fn every_shell_has_a_script() {
    let project = Project::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = project.ok(&["completions", shell]);
        assert!(ran.stdout.contains("devenv"), "{shell}");
    }
    assert_eq!(project.run(&["completions", "tcl"]).code, 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let project = Project::new("[project]\nname = \"x\"\n");
    for args in [
        &["completions", "zsh"][..],
        &["schema"],
        &["config"],
        &["plan"],
    ] {
        let mut child = project
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("devenv starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("devenv ends");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {text}");
        assert_eq!(text, "", "{args:?}");
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let project = Project::new("[project]\nname = \"x\"\n");
    for args in [
        &["unknown"][..],
        &["up", "--unknown"],
        &["up", "nothing"],
        &["up", "--output", "xml"],
        &["logs", "--tail", "few"],
        &["exec", "service.x"],
        &[],
    ] {
        let ran = project.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.all());
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
    let version = project.ok(&["--version"]);
    assert_eq!(
        version.stdout,
        concat!("devenv ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for command in [
        "up",
        "down",
        "ps",
        "logs",
        "exec",
        "run",
        "restart",
        "plan",
        "config",
        "schema",
        "install",
        "lock",
        "doctor",
        "env",
        "proto",
        "migrate",
        "psql",
        "completions",
    ] {
        let help = project.ok(&[command, "--help"]);
        assert!(help.stdout.contains("Usage: devenv"), "{}", help.all());
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let project = Project::new("[project]\nname = \"x\"\n");
    for args in [&["config"][..], &["up", "--output", "json"]] {
        let full = std::fs::File::create("/dev/full").expect("Linux has it");
        let mut command = project.command(args);
        let output = command.stdout(full).output().expect("devenv runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {text}");
        assert!(text.contains("cannot write to standard output"), "{text}");
    }
}
