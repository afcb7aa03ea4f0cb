//! Ctrl-C in the terminal in which a hook runs, and signals to all that runs there.

use std::{os::unix::process::CommandExt, process::Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{FILE, has_ended, repository};
use crate::support::{git::Git, terminal::Terminal, wait_until};

/// A check that waits to be ended, and then for leave to end.
const SLOW: &str = "trap 'echo > ../ending; while [ ! -e ../leave ]; do sleep 0.05; done; echo > ../ended; exit 1' TERM\n\
    echo $$ > ../ready; while :; do sleep 0.05; done";

fn slow() -> Git {
    let file = FILE.replace("\"! grep -r forbidden src\"", &format!("'''\n{SLOW}\n'''"));
    let git = repository("", &file);
    git.ok("work", &["hooks", "install"]);
    git
}

/// As in a shell of a person, which goes on until its input ends.
fn outlived(command: &str) -> String {
    format!("trap : INT; {command}; echo over $?; trap '' INT; cat")
}

/// One Ctrl-C while this runs. All that was shown.
fn interrupted(git: &Git, command: &str) -> String {
    let is_there = |name: &str| git.join(name).exists();
    let like = git.command("work", "sh");
    let command = outlived(command);
    let mut terminal = Terminal::new(&like, &command);
    wait_until(|| !git.read("ready").is_empty());
    terminal.press("\x03");
    wait_until(|| is_there("ending"));
    git.write("leave", "");
    terminal.wait_for("over");
    terminal.wait_for("interrupted");
    assert!(is_there("ended"), "it was not given its time");
    terminal.press("\x04");
    terminal.end().1
}

#[test]
fn one_counts_once_whoever_passes_it_on() {
    for command in [
        "git push origin main",
        "git commit --allow-empty -m x",
        "devenv hooks run pre-push",
    ] {
        let git = slow();
        let shown = interrupted(&git, command);
        assert!(
            shown.contains("Ctrl-C: stopping 1 running step"),
            "{command}: {shown}"
        );
        assert!(!shown.contains("again"), "{command}: {shown}");
    }
}

#[test]
fn what_a_whole_group_is_sent_counts_once() {
    let git = slow();
    let mut hook = git.command("work", env!("CARGO_BIN_EXE_devenv"));
    hook.args(["hooks", "run", "pre-push"]).process_group(0);
    let hook = hook.stderr(Stdio::piped()).spawn().expect("devenv");
    wait_until(|| !git.read("ready").is_empty());
    kill_process_group(Pid::from_child(&hook), Signal::TERM).expect("sent");
    wait_until(|| git.join("ending").exists());
    git.write("leave", "");
    let said = hook.wait_with_output().expect("devenv").stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("SIGTERM: stopping 1 running step"), "{said}");
    assert!(!said.contains("again"), "{said}");
    assert!(git.join("ended").exists(), "{said}");
}

#[test]
fn a_later_one_ends_at_once() {
    let git = slow();
    let like = git.command("work", "sh");
    let mut terminal = Terminal::new(&like, &outlived("devenv hooks run pre-push"));
    wait_until(|| !git.read("ready").is_empty());
    // What comes at once after the first is the same one.
    wait_until(|| {
        terminal.press("\x03");
        has_ended(&git, "ready")
    });
    terminal.wait_for("over");
    terminal.press("\x04");
    let (_, shown) = terminal.end();
    assert!(shown.contains("Ctrl-C again: ending at once"), "{shown}");
    assert!(shown.contains("over 130"), "{shown}");
    assert!(!git.join("ended").exists());
}
