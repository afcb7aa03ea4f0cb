//! Every ref that is pushed is looked at, and nothing else.

use std::fs;

use crate::prepush::{
    Found,
    world::{BAD, GOOD, World},
};

/// A branch with a bad commit; `main` is checked out again.
fn bad_branch(world: &World) -> String {
    world.git(&["checkout", "-q", "-b", "bad"]);
    let commit = world.commit_a(BAD);
    world.git(&["checkout", "-q", "main"]);
    commit
}

pub fn several_with_one_bad(world: &World) -> Found {
    bad_branch(world);
    world.commit_a("better\n");
    world.refuses(&["--atomic", "origin", "main", "bad"])?;
    world.refuses(&["--atomic", "origin", "bad", "main"])
}

pub fn all_of_them_with_one_bad(world: &World) -> Found {
    world.git(&["branch", "good"]);
    bad_branch(world);
    world.refuses(&["--all", "origin"])
}

pub fn another_branch_that_is_bad(world: &World) -> Found {
    bad_branch(world);
    world.refuses(&["origin", "bad"])
}

pub fn another_branch_that_is_good(world: &World) -> Found {
    world.commit_a("better\n");
    world.git(&["checkout", "-q", "-b", "bad"]);
    world.commit_a(BAD);
    world.accepts(&["origin", "main"])?;
    world.saw("src/a:better")
}

pub fn new_branch_without_upstream(world: &World) -> Found {
    world.git(&["checkout", "-q", "-b", "new"]);
    world.commit_a(BAD);
    world.refuses(&["origin", "new"])?;
    world.commit_a("better\n");
    world.accepts(&["-u", "origin", "new"])
}

pub fn force_push(world: &World) -> Found {
    world.commit_a("better\n");
    world.accepts(&["origin", "main"])?;
    world.write("src/a", BAD);
    world.git(&[
        "commit",
        "-q",
        "--no-verify",
        "-a",
        "--amend",
        "-m",
        "amended",
    ]);
    world.refuses(&["--force", "origin", "main"])?;
    world.write("src/a", "best\n");
    world.git(&[
        "commit",
        "-q",
        "--no-verify",
        "-a",
        "--amend",
        "-m",
        "amended",
    ]);
    world.accepts(&["--force", "origin", "main"])
}

/// A branch of the remote, and a bad checkout.
fn old_branch(world: &World) {
    world.git(&["push", "-q", "--no-verify", "origin", "main:old"]);
    world.write("src/a", BAD);
}

pub fn deletion(world: &World) -> Found {
    old_branch(world);
    world.accepts(&["origin", ":old"])
}

pub fn deletion_and_bad_branch(world: &World) -> Found {
    old_branch(world);
    world.commit("work", "bad");
    world.write("src/a", GOOD);
    world.refuses(&["--atomic", "origin", ":old", "main"])
}

pub fn deletion_and_good_branch(world: &World) -> Found {
    world.commit_a("better\n");
    old_branch(world);
    world.accepts(&["origin", ":old", "main"])
}

pub fn annotated_tag(world: &World) -> Found {
    let bad = bad_branch(world);
    world.git(&["tag", "-a", "-m", "v1", "v1", &bad]);
    world.refuses(&["origin", "v1"])?;
    world.git(&["tag", "-a", "-m", "v2", "v2", "main"]);
    world.accepts(&["origin", "v2"])
}

pub fn lightweight_tag(world: &World) -> Found {
    let bad = bad_branch(world);
    world.git(&["tag", "v1", &bad]);
    world.refuses(&["origin", "v1"])
}

pub fn tag_of_a_tag(world: &World) -> Found {
    let bad = bad_branch(world);
    world.git(&["tag", "-a", "-m", "v1", "v1", &bad]);
    world.git(&["tag", "-a", "-m", "v2", "v2", "v1"]);
    world.refuses(&["origin", "v2"])
}

pub fn tag_of_a_file(world: &World) -> Found {
    let blob = world.git(&["rev-parse", "HEAD:src/a"]);
    world.git(&["tag", "-a", "-m", "key", "key", &blob]);
    world.git(&["tag", "light", &blob]);
    world.write("src/a", BAD);
    world.accepts(&["origin", "key", "light"])
}

pub fn object_by_its_name(world: &World) -> Found {
    let bad = bad_branch(world);
    world.refuses(&["origin", &format!("{bad}:refs/heads/new")])
}

pub fn detached_head(world: &World) -> Found {
    world.git(&["checkout", "-q", "--detach"]);
    world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.refuses(&["origin", "HEAD:refs/heads/new"])
}

pub fn remote_head_is_stale(world: &World) -> Found {
    world.git(&[
        "symbolic-ref",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/gone",
    ]);
    world.git(&["checkout", "-q", "-b", "new"]);
    world.commit_a(BAD);
    world.refuses(&["origin", "new"])?;
    world.commit_a("better\n");
    world.accepts(&["origin", "new"])
}

pub fn remote_head_is_missing(world: &World) -> Found {
    world.git(&["remote", "set-head", "origin", "--delete"]);
    fs::write(world.git.join("remote.git/HEAD"), "ref: refs/heads/gone\n").expect("written");
    world.git(&["checkout", "-q", "-b", "new"]);
    world.commit_a(BAD);
    world.refuses(&["origin", "new"])?;
    world.commit_a("better\n");
    world.accepts(&["origin", "new"])
}

pub fn nothing_new(world: &World) -> Found {
    world.write("src/a", BAD);
    world.accepts(&["origin", "main"])
}
