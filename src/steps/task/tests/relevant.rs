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
    let (mut hits, mut tampered) = (0, 0);
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
        assert_eq!(runs, is_new, "{verdict:?} at {at}");
        hits += usize::from(!runs);
        session.act(&verdict).await;
        let made = fs::read_to_string(world.root.join("out/r")).expect("made");
        assert_eq!(made, world.model.result(), "{at}");
        let in_out = fs::read_dir(world.root.join("out")).expect("made");
        assert_eq!(in_out.count(), 1, "{at}");
        if number % 10 == 0 {
            let again = world.session().decide().await;
            assert!(matches!(again, Verdict::Keep(_)), "{again:?} at {at}");
        }

        if random.below(4) == 0 {
            tamper(&world, &mut random);
            tampered += 1;
        } else {
            let mut model = world.model.clone();
            model.mutate(&mut random);
            world.become_model(model, &mut random);
        }
    }
    // What was seen before comes back often enough to tell.
    assert!(
        hits > MUTATIONS / 5 && tampered > 100,
        "{hits} hits, {tampered}, seed {seed}"
    );
}

/// Somebody changes what the task left.
fn tamper(world: &World, random: &mut Random) {
    let out = world.root.join("out");
    let file = out.join("r");
    match random.below(7) {
        0 => fs::remove_file(file).expect("removed"),
        1 => fs::remove_dir_all(out).expect("removed"),
        2 => fs::write(file, "something else").expect("written"),
        3 => fs::write(out.join("more"), "").expect("written"),
        4 => fs::create_dir(out.join("folder")).expect("made"),
        5 => fs::set_permissions(file, Permissions::from_mode(0o755)).expect("set"),
        _ => {
            fs::rename(&file, world.root.join("elsewhere")).expect("moved");
            symlink("../elsewhere", file).expect("a link");
        }
    }
}
