//! `devenv hooks`.

mod install;
mod interrupt;
mod run;
mod services;
mod staged;

use std::fs;

use crate::support::git::Git;

const FILE: &str = r#"[project]
name = "hooked"

[task.check]
run = "! grep -r forbidden src"

[hook.pre-push]
run = ["task.check"]

[hook.pre-commit]
run = ["task.check"]
"#;

/// A repository `work` with one commit and this devenv.toml in a folder of it.
fn repository(folder: &str, file: &str) -> Git {
    let git = Git::new();
    git.git("", &["init", "-q", "--bare", "remote.git"]);
    git.git("", &["init", "-q", "work"]);
    git.git("work", &["remote", "add", "origin", "../remote.git"]);
    let at = |name: &str| format!("work/{folder}{name}");
    git.write(&at("devenv.toml"), file);
    git.write("work/.gitignore", ".devenv/\n");
    git.write(&at("src/a"), "good\n");
    commit(&git, "work");
    git
}

fn commit(git: &Git, folder: &str) {
    git.git(folder, &["add", "-A"]);
    git.git(folder, &["commit", "-q", "--no-verify", "-m", "a commit"]);
}

/// Of the process that the file names: gone, or a zombie that nobody has collected yet.
fn has_ended(git: &Git, file: &str) -> bool {
    let pid: u32 = git.read(file).trim().parse().expect("a pid");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}
