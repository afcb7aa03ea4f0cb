//! What a run costs, and what it leaves.

use std::{fs, os::unix::process::CommandExt, process::Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    prepush::{
        Found,
        world::{BAD, GOOD, World},
    },
    support::wait_until,
};

fn expect(what: &str, is_so: bool) -> Found {
    match is_so {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

pub fn second_push_is_known(world: &World) -> Found {
    world.commit_a("better\n");
    world.accepts(&["origin", "main"])?;
    expect("one check", world.seen().len() == 1)?;
    world.accepts(&["origin", "main:other"])?;
    expect("no second check", world.seen().is_empty())
}

pub fn two_refs_with_one_tree(world: &World) -> Found {
    world.commit_a("better\n");
    world.git(&["tag", "-a", "-m", "v1", "v1"]);
    world.accepts(&["origin", "main", "v1"])?;
    expect("one check", world.seen().len() == 1)
}

/// A checkout with all kinds of work that is not committed.
fn unfinished(world: &World) {
    world.write("src/staged", GOOD);
    world.git(&["add", "src/staged"]);
    world.write("src/staged", "and changed\n");
    world.write("src/untracked", BAD);
    world.git(&["add", "-N", "src/untracked"]);
    fs::remove_file(world.git.join("work/.gitignore")).expect("a file");
}

/// All that a person would miss.
fn state(world: &World) -> String {
    let files =
        ["staged", "untracked", "a"].map(|name| world.git.read(&format!("work/src/{name}")));
    let git = [
        &["status", "--porcelain=v2", "--branch"][..],
        &["diff"],
        &["diff", "--cached"],
        &["stash", "list"],
        &["worktree", "list"],
        &["for-each-ref"],
    ];
    let git = git.map(|args| world.git(args));
    format!("{files:?} {git:#?}")
}

pub fn killed_hook_leaves_the_checkout(world: &World) -> Found {
    world.commit_a("wait\n");
    unfinished(world);
    let before = state(world);
    let mut push = world.push_command(&["origin", "main"]);
    push.process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut push = push.spawn().expect("git");
    let waits = world.git.join("waits");
    wait_until(|| waits.exists() || push.try_wait().expect("git").is_some());
    let group = Pid::from_raw(i32::try_from(push.id()).expect("a pid")).expect("a pid");
    let _ = kill_process_group(group, Signal::KILL);
    push.wait().expect("git");
    end_check(world);
    expect("the checkout as it was", state(world) == before)
}

/// A check that its killed tool left behind.
fn end_check(world: &World) {
    let pid = world
        .git
        .read("waits")
        .trim()
        .parse()
        .ok()
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::KILL);
    }
}

pub fn failed_hook_leaves_the_checkout(world: &World) -> Found {
    world.commit_a(BAD);
    unfinished(world);
    let before = state(world);
    world.refuses(&["origin", "main"])?;
    expect("the checkout as it was", state(world) == before)
}

pub fn pushes_at_the_same_time(world: &World) -> Found {
    world.git(&["branch", "good"]);
    world.git(&["checkout", "-q", "-b", "bad"]);
    world.commit_a(BAD);
    world.git(&["checkout", "-q", "-b", "better", "main"]);
    world.commit_a("better\n");
    world.write("src/a", "unfinished\n");
    let pushes = ["bad", "better", "good"].map(|branch| {
        let mut push = world.push_command(&["origin", branch]);
        push.stdout(Stdio::null()).stderr(Stdio::null());
        push.spawn().expect("git")
    });
    let codes = pushes.map(|mut push| push.wait().expect("git").success());
    expect("only the good ones", codes == [false, true, true])
}
