//! What a project made on the engine goes with it: nothing is left behind, nothing else is touched.

use std::collections::BTreeSet;

use super::postgres::full_project;
use crate::support::{Signal, engine, image};

#[test]
fn down_with_volumes_and_images_leaves_nothing_of_the_project() {
    let images = image::postgres();
    let project = full_project(&images);
    let other = full_project(&images);
    other.ok(&["up"]);
    let others = engine::things_of(&other);
    assert_eq!(engine::things_of(&project), BTreeSet::new());

    project.ok(&["up"]);
    let made = engine::things_of(&project);
    for kind in ["container", "network", "volume", "image"] {
        let found = made.iter().any(|thing| thing.starts_with(kind));
        assert!(found, "no {kind} in {made:?}");
    }
    // Also what was interrupted half way.
    project.ok(&["down", "--volumes"]);
    let mut up = project.start(&["up", "--output", "json"], &[]);
    up.wait_for("step-started", "postgres.db");
    up.signal(Signal::Kill);
    up.wait();
    project.ok(&["down", "--volumes", "--images"]);
    assert_eq!(engine::things_of(&project), BTreeSet::new());
    assert_eq!(engine::things_of(&other), others);
    let again = project.ok(&["down", "--volumes", "--images"]);
    assert_eq!(again.stdout, "Nothing was running\n");
}
