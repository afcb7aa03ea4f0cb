//! Repositories of every shape.

use crate::prepush::{
    Found,
    world::{BAD, GOOD, World},
};

pub fn shallow_clone(world: &World) -> Found {
    world.commit_a("better\n");
    world.accepts(&["origin", "main"])?;
    let url = format!("file://{}", world.git.join("remote.git").display());
    world
        .git
        .git("", &["clone", "-q", "--depth", "1", &url, "shallow"]);
    world.tool.install(world, "shallow");
    world.git.write("shallow/src/a", BAD);
    world.commit("shallow", "bad");
    world.git.write("shallow/src/a", GOOD);
    world.refuses_in("shallow", &["origin", "main"])?;
    world.commit("shallow", "good");
    world.git.write("shallow/src/a", BAD);
    world.accepts_in("shallow", &["origin", "main"])
}

pub fn sha256(world: &World) -> Found {
    let world = World::with(world.tool, &["--object-format=sha256"]);
    world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.refuses(&["origin", "main"])?;
    world.commit("work", "good");
    world.write("src/a", BAD);
    world.accepts(&["origin", "main"])?;
    world.accepts(&["origin", "main:other"])?;
    world.accepts(&["origin", ":other"])
}

pub fn reftable(world: &World) -> Found {
    let init = ["init", "-q", "--ref-format=reftable", "known"];
    if world.git.try_git("", &init).code != 0 {
        // Older than 2.45: it can have no such repository.
        return Ok(());
    }
    let world = World::with(world.tool, &init[2..3]);
    let bad = world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.refuses(&["origin", "main"])?;
    world.saw(&format!("head {bad}"))?;
    world.commit("work", "good");
    world.write("src/a", BAD);
    world.accepts(&["origin", "main"])
}

pub fn linked_worktree(world: &World) -> Found {
    world.git(&["worktree", "add", "-q", "-b", "side", "../linked"]);
    world.git.write("linked/src/a", BAD);
    world.commit("linked", "bad");
    world.git.write("linked/src/a", GOOD);
    world.refuses_in("linked", &["origin", "side"])?;
    world.commit("linked", "good");
    world.git.write("linked/src/a", BAD);
    world.accepts_in("linked", &["origin", "side"])
}

pub fn worktree_of_a_bare_repository(world: &World) -> Found {
    let git = &world.git;
    git.git("", &["clone", "-q", "--bare", "remote.git", "own.git"]);
    git.git(
        "own.git",
        &["worktree", "add", "-q", "-b", "side", "../beside"],
    );
    world.tool.install(world, "beside");
    git.write("beside/src/a", BAD);
    world.commit("beside", "bad");
    git.write("beside/src/a", GOOD);
    world.refuses_in("beside", &["origin", "side"])?;
    world.commit("beside", "good");
    git.write("beside/src/a", BAD);
    world.accepts_in("beside", &["origin", "side"])?;
    // From the bare repository itself there is no checkout at all.
    world.commit("beside", "bad");
    world.refuses_in("own.git", &["origin", "side"])
}

pub fn submodule(world: &World) -> Found {
    let git = &world.git;
    git.git("", &["init", "-q", "outer"]);
    git.git(
        "outer",
        &["submodule", "--quiet", "add", "../remote.git", "inner"],
    );
    git.git("outer/inner", &["checkout", "-q", "main"]);
    world.commit("outer", "first");
    world.tool.install(world, "outer/inner");
    git.write("outer/inner/src/a", BAD);
    world.commit("outer/inner", "bad");
    git.write("outer/inner/src/a", GOOD);
    world.refuses_in("outer/inner", &["origin", "main"])?;
    world.commit("outer/inner", "good");
    git.write("outer/inner/src/a", BAD);
    world.accepts_in("outer/inner", &["origin", "main"])
}

/// The files of a submodule are those that the pushed commit names, too.
pub fn submodule_is_changed(world: &World) -> Found {
    let git = &world.git;
    git.git("", &["init", "-q", "library"]);
    git.write("library/b", GOOD);
    world.commit("library", "first");
    world.git(&["submodule", "--quiet", "add", "../library", "src/library"]);
    world.write("src/a", "include library/b\n");
    world.commit("work", "use the library");
    // Just so in the checkout, then with a change in it that is not committed.
    world.accepts(&["origin", "main"])?;
    world.write("src/more", GOOD);
    world.commit("work", "more");
    world.write("src/library/b", BAD);
    world.accepts(&["origin", "main"])
}

pub fn hooks_path(world: &World) -> Found {
    let git = &world.git;
    git.git("", &["clone", "-q", "remote.git", "configured"]);
    git.git("configured", &["config", "core.hooksPath", ".git/my hooks"]);
    world.tool.install(world, "configured");
    git.write("configured/src/a", BAD);
    world.commit("configured", "bad");
    world.refuses_in("configured", &["origin", "main"])
}

pub fn push_from_a_subfolder(world: &World) -> Found {
    world.commit_a(BAD);
    world.write("src/a", GOOD);
    world.refuses_in("work/src", &["origin", "main"])?;
    world.commit("work", "good");
    world.write("src/a", BAD);
    world.accepts_in("work/src", &["origin", "main"])
}

pub fn git_dir_elsewhere(world: &World) -> Found {
    let git = &world.git;
    git.git(
        "",
        &[
            "clone",
            "-q",
            "--separate-git-dir",
            "elsewhere",
            "remote.git",
            "apart",
        ],
    );
    world.tool.install(world, "apart");
    git.write("apart/src/a", BAD);
    world.commit("apart", "bad");
    git.write("apart/src/a", GOOD);
    world.refuses_in("apart", &["origin", "main"])?;
    world.commit("apart", "good");
    git.write("apart/src/a", BAD);
    world.accepts_in("apart", &["origin", "main"])
}
