//! `devenv completions`, `--version`, `--help`, and arguments that are wrong.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::Project;

#[test]
fn bash_takes_the_script_and_completes_commands() {
    let project = Project::new("");
    let script = project.ok(&["completions", "bash"]).stdout;
    let mut bash = Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash");
    let question = "\nCOMP_WORDS=(devenv mig)\nCOMP_CWORD=1\n_devenv devenv mig devenv\necho \"${COMPREPLY[@]}\"\n";
    let mut stdin = bash.stdin.take().expect("piped");
    stdin
        .write_all(format!("{script}{question}").as_bytes())
        .expect("written");
    drop(stdin);
    let output = bash.wait_with_output().expect("bash ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "migrate\n");
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
