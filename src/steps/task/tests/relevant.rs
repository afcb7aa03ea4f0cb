//! Whatever matters changes: the outputs are always those of what is there now.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

use super::{
    Random, seed,
    world::{Model, World},
};
use crate::plan::{Action, Verdict};

const MUTATIONS: usize = 1_000;

#[tokio::test]
async fn a_thousand_changes_that_matter_give_no_stale_hit() {
    let seed = seed();
    let mut random = Random::new(seed);
    let model = Model::random(&mut random);
    let mut world = World::new(model, &mut random);
    let mut seen = BTreeSet::new();
    let (mut hits, mut tampered, mut edited) = (0, 0, false);
    for number in 0..=MUTATIONS {
        let at = format!(
            "DEVENV_TEST_SEED={seed}, change {number}: {:?}",
            world.model
        );
        let session = world.session();
        let verdict = session.decide().await;
        let is_new = seen.insert(world.model.key());
        let runs = match &verdict {
            Verdict::Act(decision) => decision.action == Action::Run,
            Verdict::Keep(_) => false,
        };
        assert_eq!(runs, is_new || edited, "{verdict:?} at {at}");
        edited = false;
        let had = mine(&world);
        hits += usize::from(!runs);
        session.act(&verdict).await;
        let made = fs::read_to_string(world.root.join("out/r")).expect("made");
        assert_eq!(made, world.model.result(), "{at}");
        assert_eq!(mine(&world), had, "{at}");
        // It has written through a link, which stays the user's until it goes.
        if world.root.join("out/r").is_symlink() {
            fs::remove_file(world.root.join("out/r")).expect("removed");
            let session = world.session();
            let verdict = session.decide().await;
            let restores = matches!(&verdict, Verdict::Act(it) if it.action == Action::Restore);
            assert!(restores, "{verdict:?} at {at}");
            session.act(&verdict).await;
            let made = fs::read_to_string(world.root.join("out/r")).expect("made");
            assert_eq!(made, world.model.result(), "{at}");
        }
        if number % 10 == 0 {
            let again = world.session().decide().await;
            assert!(matches!(again, Verdict::Keep(_)), "{again:?} at {at}");
        }

        if random.below(4) == 0 {
            edited = tamper(&world, &mut random);
            tampered += 1;
        } else {
            let mut model = world.model.clone();
            model.mutate(&mut random);
            world.become_model(model, &mut random);
        }
    }
    // What was seen before comes back often enough to tell.
    assert!(
        hits > MUTATIONS / 10 && tampered > 100,
        "{hits} hits, {tampered}, seed {seed}"
    );
}

/// What the user has in the task's folder.
fn mine(world: &World) -> [bool; 2] {
    ["out/more", "out/folder"].map(|path| world.root.join(path).exists())
}

/// Somebody changes what the task left. True when there is then a file of the task's that is not as it wrote it.
fn tamper(world: &World, random: &mut Random) -> bool {
    let out = world.root.join("out");
    let file = out.join("r");
    match random.below(7) {
        0 => fs::remove_file(file).expect("removed"),
        1 => {
            let had_more = out.join("more").exists();
            fs::remove_dir_all(&out).expect("removed");
            if had_more {
                fs::create_dir(&out).expect("made");
                fs::write(out.join("more"), "").expect("written");
            }
        }
        2 => {
            fs::write(file, "something else").expect("written");
            return true;
        }
        3 => fs::write(out.join("more"), "").expect("written"),
        4 => fs::create_dir_all(out.join("folder")).expect("made"),
        5 => {
            let mode = file.metadata().expect("there").permissions().mode() ^ 0o111;
            fs::set_permissions(file, Permissions::from_mode(mode)).expect("set");
            return true;
        }
        _ => {
            fs::rename(&file, world.root.join("elsewhere")).expect("moved");
            symlink("../elsewhere", file).expect("a link");
            return true;
        }
    }
    false
}
