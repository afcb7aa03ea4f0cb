//! Whatever does not matter changes: nothing is to be done, and the plan is the same.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use super::{
    Random, seed,
    world::{Entry, Model, TARGETS, World},
};
use crate::plan::Verdict;

const MUTATIONS: usize = 1_000;

#[tokio::test]
async fn a_thousand_changes_that_do_not_matter_are_hits_with_the_same_plan() {
    let seed = seed();
    let mut random = Random::new(seed);
    let model = Model::random(&mut random);
    let mut world = World::new(model, &mut random);
    let session = world.session();
    let verdict = session.decide().await;
    session.act(&verdict).await;
    let hash = session.steps.plan.hash;
    let mut misses = Vec::new();
    for number in 0..MUTATIONS {
        let change = change(&mut world, &mut random);
        let session = world.session();
        let at = format!("DEVENV_TEST_SEED={seed}, change {number}: {change}");
        assert_eq!(session.steps.plan.hash, hash, "{at}");
        let verdict = session.decide().await;
        if !matches!(verdict, Verdict::Keep(_)) {
            misses.push(format!("{verdict:?} at {at}"));
        }
        session.act(&verdict).await;
    }
    assert!(misses.len() * 100 <= MUTATIONS, "{misses:#?}");
}

fn change(world: &mut World, random: &mut Random) -> &'static str {
    let number = random.below(1000);
    match random.below(11) {
        0 => {
            for path in ["out/r", "maybe.txt", "src/a.in", "src/b.in"] {
                touch(world, path, number);
            }
            "times"
        }
        1 => {
            rewrite(world);
            "the same content in new files"
        }
        2 => {
            world.write(&format!("note{}.md", number % 10), &number.to_string());
            "a file that nothing names"
        }
        3 => {
            world.write(&format!("src/ignored{}.in", number % 10), "content 1\n");
            "a file that git ignores"
        }
        4 => {
            world.write(".git/HEAD", &format!("ref: refs/heads/b{number}\n"));
            "the branch"
        }
        5 => {
            world.go_elsewhere();
            "the place"
        }
        6 | 7 => {
            world.write_config(&world.model.clone(), random);
            "order of keys, and comments"
        }
        8 => {
            aim_elsewhere(world, number);
            "a file that no link leads to"
        }
        9 => {
            permissions(world, number);
            "who else may read"
        }
        _ => {
            world.copy();
            "a copy"
        }
    }
}

fn touch(world: &World, path: &str, hours: usize) {
    if let Ok(file) = File::open(world.root.join(path)) {
        let then = SystemTime::now() - Duration::from_hours(hours as u64);
        file.set_modified(then).expect("set");
    }
}

fn plain_files(world: &World) -> impl Iterator<Item = std::path::PathBuf> {
    let files = world.model.files.iter();
    let files = files.filter(|(_, entry)| matches!(entry, Entry::File { .. }));
    files.map(|(name, _)| world.root.join(format!("src/{name}.in")))
}

fn rewrite(world: &World) {
    for path in plain_files(world) {
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).expect("copied");
        fs::rename(copy, path).expect("moved");
    }
}

fn permissions(world: &World, number: usize) {
    for path in plain_files(world) {
        let mode = path.metadata().expect("there").permissions().mode() & 0o700;
        let others = if number.is_multiple_of(2) {
            0o044
        } else {
            0o000
        };
        fs::set_permissions(path, Permissions::from_mode(mode | others)).expect("set");
    }
}

fn aim_elsewhere(world: &World, number: usize) {
    let target = number % TARGETS;
    let mut entries = world.model.files.values();
    if !entries.any(|entry| *entry == Entry::Link(target)) {
        world.write(&format!("targets/{target}"), &format!("content {number}\n"));
    }
}
