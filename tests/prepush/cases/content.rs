//! What is checked is what is pushed, whatever the checkout holds.

use crate::prepush::{
    Found,
    world::{BAD, GOOD, World},
};

const MAIN: &[&str] = &["origin", "main"];

pub fn good_commit(world: &World) -> Found {
    world.commit_a("better\n");
    world.accepts(MAIN)?;
    world.saw("src/a:better")
}

pub fn bad_commit(world: &World) -> Found {
    world.commit_a(BAD);
    world.refuses(MAIN)?;
    world.saw("src/a:forbidden")
}

pub fn dirty_bad_checkout(world: &World) -> Found {
    world.commit_a("better\n");
    world.write("src/a", BAD);
    world.accepts(MAIN)?;
    world.saw("src/a:better")
}

pub fn fix_that_is_not_staged(world: &World) -> Found {
    world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.refuses(MAIN)
}

pub fn fix_that_is_staged(world: &World) -> Found {
    world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.git(&["add", "-A"]);
    world.refuses(MAIN)
}

pub fn untracked_file_hides_a_missing_one(world: &World) -> Found {
    world.commit_a("include b\n");
    world.write("src/b", GOOD);
    world.refuses(MAIN)?;
    world.commit("work", "add b");
    world.accepts(MAIN)
}

pub fn untracked_bad_file(world: &World) -> Found {
    world.commit_a("better\n");
    world.write("src/b", BAD);
    world.accepts(MAIN)
}

pub fn ignored_file_hides_a_missing_one(world: &World) -> Found {
    // Ignored by who pushes alone: everybody else lacks it.
    world.write(".git/info/exclude", "src/b\n");
    world.write("src/b", GOOD);
    world.commit_a("include b\n");
    // A second change, so that the checkout is not what is pushed.
    world.write("src/a", "include b\nmore\n");
    world.refuses(MAIN)
}

pub fn bad_merge(world: &World) -> Found {
    world.git(&["checkout", "-q", "-b", "side"]);
    world.write("src/b", GOOD);
    world.commit("work", "add b");
    world.git(&["checkout", "-q", "main"]);
    world.commit_a("better\n");
    world.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    world.write("src/b", BAD);
    world.commit("work", "merge");
    world.git(&["checkout", "-q", "side"]);
    world.refuses(MAIN)
}

pub fn commit_before_a_bad_one(world: &World) -> Found {
    world.commit_a("better\n");
    world.commit_a(BAD);
    world.accepts(&["origin", "HEAD~1:refs/heads/main"])?;
    world.refuses(MAIN)
}

pub fn head_is_the_pushed_commit(world: &World) -> Found {
    let pushed = world.commit_a("better\n");
    world.commit_a("best\n");
    world.accepts(&["origin", "HEAD~1:refs/heads/main"])?;
    world.saw(&format!("head {pushed}"))
}

pub fn tree_with_another_configuration(world: &World) -> Found {
    // The branch is checked as it says itself, not as the checkout says.
    world.git(&["checkout", "-q", "-b", "side"]);
    let check = world.git.join("check").display().to_string();
    let other = world.git.join("other");
    crate::support::write_program(&other, "#!/bin/sh\nexit 1\n");
    world
        .tool
        .configure(world, "work", &other.display().to_string());
    world.commit("work", "another check");
    world.git(&["checkout", "-q", "main"]);
    world.refuses(&["origin", "side"])?;
    world.tool.configure(world, "work", &check);
    world.commit_a("better\n");
    world.accepts(MAIN)
}
