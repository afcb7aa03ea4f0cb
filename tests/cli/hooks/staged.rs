//! pre-commit sees what is staged and nothing else, and leaves all that is not alone.

use std::{fs, os::unix::process::CommandExt, process::Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::commit;
use crate::support::{git::Git, wait_until};

/// The check writes down what it sees into `seen` beside the repository, and waits where a file says so.
fn repository() -> Git {
    let git = Git::new();
    git.git("", &["init", "-q", "work"]);
    let seen = git.join("seen").display().to_string();
    let waits = git.join("waits").display().to_string();
    let check = format!(
        "(git diff --cached --name-only | tr '\\\\n' ' '; cat src/*) > {seen}; ! grep -q wait src/a || {{ echo $$ > {waits}; exec sleep 600; }}; ! grep -r forbidden src"
    );
    git.write(
        "work/devenv.toml",
        &format!(
            "[project]\nname = \"staged\"\n[task.check]\nrun = \"{check}\"\n[hook.pre-commit]\nrun = [\"task.check\"]\n"
        ),
    );
    git.write("work/.gitignore", ".devenv/\n");
    git.write("work/src/a", "one\n");
    git.ok("work", &["hooks", "install"]);
    git
}

/// The commit is made, and its check saw this.
#[track_caller]
fn commits(git: &Git, args: &[&str], seen: &str) {
    let ran = git.try_git("work", &[&["commit", "-m", "x"], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(git.read("seen"), seen);
}

#[track_caller]
fn refused(git: &Git, args: &[&str]) {
    let head = || {
        git.try_git("work", &["rev-parse", "-q", "--verify", "HEAD"])
            .stdout
    };
    let before = head();
    let ran = git.try_git("work", &[&["commit", "-m", "x"], args].concat());
    assert_ne!(ran.code, 0, "{}", ran.all());
    assert!(
        ran.stderr.contains("`pre-commit` does not pass"),
        "{}",
        ran.all()
    );
    assert_eq!(before, head());
}

#[test]
fn what_is_staged_is_checked_in_every_kind_of_commit() {
    let git = repository();
    git.git("work", &["add", "-A"]);
    git.write("work/src/a", "forbidden\n");
    // The first commit of all.
    commits(&git, &[], ".gitignore devenv.toml src/a one\n");

    git.write("work/src/b", "two\n");
    git.git("work", &["add", "src/b"]);
    commits(&git, &[], "src/b one\ntwo\n");
    refused(&git, &["-a"]);
    git.write("work/src/a", "one more\n");
    git.write("work/src/b", "two more\n");
    // Of what is staged, only the named path.
    git.git("work", &["add", "-A"]);
    commits(&git, &["--", "src/a"], "src/a one more\ntwo\n");
    commits(&git, &["-a"], "src/b one more\ntwo more\n");
    assert_eq!(git.git("work", &["status", "--short"]), "");

    git.write("work/src/a", "amended\n");
    git.git("work", &["add", "-A"]);
    commits(&git, &["--amend"], "src/a amended\ntwo more\n");
    // Nothing new in it: known.
    fs::remove_file(git.join("seen")).expect("a file");
    let known = git.try_git("work", &["commit", "--amend", "-m", "other words"]);
    assert!(
        known.stderr.contains("was checked before"),
        "{}",
        known.all()
    );
    assert_eq!(git.read("seen"), "");
}

#[test]
fn a_file_that_is_only_meant_to_be_added_is_not_there() {
    let git = repository();
    commit(&git, "work");
    git.write("work/src/b", "forbidden\n");
    git.git("work", &["add", "-N", "src/b"]);
    git.write("work/src/a", "two\n");
    git.git("work", &["add", "src/a"]);
    commits(&git, &[], "src/a two\n");
    refused(&git, &["-a"]);
}

#[test]
fn a_merge_is_checked_and_one_with_conflicts_is_told() {
    let git = repository();
    commit(&git, "work");
    git.git("work", &["checkout", "-q", "-b", "side"]);
    git.write("work/src/a", "theirs\n");
    commit(&git, "work");
    git.git("work", &["checkout", "-q", "main"]);
    git.write("work/src/a", "ours\n");
    commit(&git, "work");
    assert_ne!(git.try_git("work", &["merge", "side"]).code, 0);
    let told = git.devenv("work", &["hooks", "run", "pre-commit"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("not merged"), "{}", told.all());
    git.write("work/src/a", "forbidden\n");
    git.git("work", &["add", "-A"]);
    refused(&git, &[]);
    git.write("work/src/a", "both\n");
    git.git("work", &["add", "-A"]);
    commits(&git, &[], "src/a both\n");
    assert_eq!(
        git.git("work", &["rev-list", "--parents", "-1", "HEAD"])
            .split(' ')
            .count(),
        3
    );
}

/// All that a person would miss.
fn state(git: &Git) -> String {
    let files = ["a", "b", "c"].map(|name| git.read(&format!("work/src/{name}")));
    let asked = [
        &["status", "--porcelain=v2", "--branch"][..],
        &["diff"],
        &["diff", "--cached"],
        &["stash", "list"],
        &["worktree", "list"],
        &["for-each-ref"],
    ];
    format!("{files:?} {:#?}", asked.map(|args| git.git("work", args)))
}

#[test]
fn whatever_is_killed_no_work_is_lost_and_the_next_hook_cleans_up() {
    let git = repository();
    commit(&git, "work");
    git.write("work/src/a", "wait\n");
    git.git("work", &["add", "-A"]);
    git.write("work/src/a", "not staged\n");
    git.write("work/src/b", "untracked\n");
    let before = state(&git);
    let waits = git.join("waits");
    let work = git.join("work/.git/devenv/hooks/work/0");
    // All of git and the hook; the hook alone.
    for all in [true, false] {
        let _ = fs::remove_file(&waits);
        let mut commit = git.command("work", "git");
        commit
            .args(["commit", "-m", "x"])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut commit = commit.spawn().expect("git");
        wait_until(|| !git.read("waits").is_empty());
        let raw = |pid: u32| Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        match all {
            true => kill_process_group(raw(commit.id()), Signal::KILL).expect("killed"),
            false => kill_process(hook_of(commit.id()), Signal::KILL).expect("killed"),
        }
        assert!(!commit.wait().expect("git").success());
        // A lock of git's own, of a git that was killed.
        let _ = fs::remove_file(git.join("work/.git/index.lock"));
        assert_eq!(state(&git), before);
        let check = raw(git.read("waits").trim().parse().expect("a pid"));
        assert!(work.exists());
        // The next hook, whatever it is about.
        let next = git.devenv("work", &["hooks", "run", "pre-push"]);
        assert_eq!(next.code, 0, "{}", next.all());
        assert!(!work.exists(), "{}", next.all());
        wait_until(|| has_ended(check));
        assert_eq!(state(&git), before);
    }
}

/// Gone, or a zombie that nobody has collected yet.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// The devenv that git runs: its only child.
fn hook_of(git: u32) -> Pid {
    let children = fs::read_to_string(format!("/proc/{git}/task/{git}/children"));
    let child = children.expect("a running git").trim().parse().ok();
    child.and_then(Pid::from_raw).expect("one child")
}
