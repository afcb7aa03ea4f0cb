//! What steps of a hook start in a private worktree goes with it.

use std::{fs, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{commit, has_ended};
use crate::support::{git::Git, wait_until};

/// A check that needs a service, which writes down its process and has a volume.
fn repository(runtime: &str, service: &str) -> Git {
    let git = Git::new();
    git.git("", &["init", "-q", "work"]);
    git.git("", &["init", "-q", "--bare", "remote.git"]);
    git.git("work", &["remote", "add", "origin", "../remote.git"]);
    git.write(
        "work/devenv.toml",
        &format!(
            r#"[project]
name = "hook-services"
runtime = "{runtime}"

[service.store]
{service}
stop_grace = "1s"

[task.check]
run = "test ! -e wait || {{ echo $$ > ../../../../../../../waits; exec sleep 600; }}"
needs = ["service.store"]

[hook.pre-push]
run = ["task.check"]
"#
        ),
    );
    git.write("work/.gitignore", ".devenv/\n");
    git.write("work/a", "a\n");
    git.ok("work", &["hooks", "install"]);
    commit(&git, "work");
    git
}

fn on_processes() -> Git {
    let service = r#"process = { command = ["sh", "-c", "echo $$$$ > ../../../../../../../service; exec sleep 1000"] }
volumes = { "/data" = "data" }
ready = { exec = "test -e ../../../../../../../service" }"#;
    repository("process", service)
}

#[test]
fn a_service_ends_with_the_hook() {
    let git = on_processes();
    git.write("work/a", "not committed\n");
    let pushed = git.try_git("work", &["push", "origin", "main"]);
    assert_eq!(pushed.code, 0, "{}", pushed.all());
    assert!(has_ended(&git, "service"), "{}", pushed.all());
    assert!(!git.join("work/.git/devenv/hooks/work/0").exists());
    // Nothing of it was said of the checkout.
    assert!(!git.join("work/.devenv/identity.json").exists());
}

#[test]
fn what_a_killed_hook_left_running_ends_with_the_next() {
    let git = on_processes();
    git.write("work/wait", "");
    commit(&git, "work");
    fs::remove_file(git.join("work/wait")).expect("a file");
    let mut hook = git.command("work", env!("CARGO_BIN_EXE_devenv"));
    hook.args(["hooks", "run", "pre-push"]);
    let hook = hook.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut hook = hook.expect("devenv");
    wait_until(|| !git.read("waits").is_empty());
    let pid = Pid::from_raw(i32::try_from(hook.id()).expect("a pid"));
    kill_process(pid.expect("a pid"), Signal::KILL).expect("killed");
    hook.wait().expect("devenv");
    assert!(!has_ended(&git, "service"));

    let next = git.devenv("work", &["hooks", "run", "pre-merge-commit"]);
    assert_eq!(next.code, 0, "{}", next.all());
    assert!(has_ended(&git, "service"), "{}", next.all());
    wait_until(|| has_ended(&git, "waits"));
    assert!(!git.join("work/.git/devenv/hooks/work/0").exists());
}
