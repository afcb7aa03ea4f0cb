use devenv::runtime::{Runtime, Spec};

use super::world::{World, id, seed, volume};

super::conformance! {
    a_new_volume_is_seeded_with_its_owner,
    a_volume_with_data_is_never_seeded,
    a_volume_that_came_without_a_seed_is_never_seeded,
    half_a_seed_is_thrown_away,
    half_a_seed_is_not_used_without_one,
    a_volume_that_was_only_made_is_seeded,
    a_seeded_volume_that_lost_its_mark_is_data,
}

fn spec(world: &World) -> Spec {
    let mut spec = world.script("postgres.db", "exec sleep 1000");
    spec.mounts = vec![volume("db", "/var/lib/db/data")];
    spec
}

const READ: &str = "cd /var/lib/db/data; cat file; stat -c '%u %a' .";

async fn a_new_volume_is_seeded_with_its_owner(world: World) {
    let spec = spec(&world);
    let seeded = seed("db", &[("file", "seeded\n"), ("sub/deep", "x")]);
    world.runtime.start(&spec, Some(seeded)).await.unwrap();
    assert_eq!(
        world.sh("postgres.db", READ).await,
        (0, "seeded\n1000 700".into())
    );
}

async fn a_volume_with_data_is_never_seeded(world: World) {
    let mut spec = spec(&world);
    let first = seed("db", &[("file", "seeded\n")]);
    world.runtime.start(&spec, Some(first)).await.unwrap();
    let write = "echo mine > /var/lib/db/data/file";
    assert_eq!(world.sh("postgres.db", write).await.0, 0);
    // A new container, then one after `down`.
    for round in ["one", "two"] {
        spec.inputs.text("round", round);
        let second = seed("db", &[("file", "overwritten\n")]);
        world.runtime.start(&spec, Some(second)).await.unwrap();
        assert_eq!(world.sh("postgres.db", READ).await.1, "mine\n1000 700");
        world.runtime.remove(&id("postgres.db")).await.unwrap();
    }
}

async fn a_volume_that_came_without_a_seed_is_never_seeded(world: World) {
    let mut spec = spec(&world);
    world.start(&spec).await;
    let write = "echo mine > /var/lib/db/data/file";
    assert_eq!(world.sh("postgres.db", write).await.0, 0);
    spec.inputs.text("prepared", "true");
    let seeded = seed("db", &[("file", "overwritten\n"), ("more", "x")]);
    world.runtime.start(&spec, Some(seeded)).await.unwrap();
    let read = "cd /var/lib/db/data; cat file; ls -A";
    assert_eq!(world.sh("postgres.db", read).await.1, "mine\nfile");
}

/// What a kill in the middle of the upload leaves: a created container, some files, a pending mark.
async fn leave_half_a_seed(world: &World, spec: &Spec) {
    let whole = seed("db", &[("file", "half\n"), ("stale", "x")]);
    world.runtime.start(spec, Some(whole)).await.unwrap();
    let mark = "echo pending > /var/lib/db/data/.devenv-seed";
    assert_eq!(world.sh("postgres.db", mark).await.0, 0);
    super::faults::make_created_again(&format!("{}-postgres-db", world.identity.id)).await;
}

async fn half_a_seed_is_thrown_away(world: World) {
    let spec = spec(&world);
    leave_half_a_seed(&world, &spec).await;
    let whole = seed("db", &[("file", "whole\n")]);
    world.runtime.start(&spec, Some(whole)).await.unwrap();
    let read = "cd /var/lib/db/data; cat file; ls";
    assert_eq!(world.sh("postgres.db", read).await.1, "whole\nfile");
}

async fn half_a_seed_is_not_used_without_one(world: World) {
    let mut spec = spec(&world);
    leave_half_a_seed(&world, &spec).await;
    spec.inputs.text("prepared", "false");
    world.runtime.start(&spec, None).await.unwrap();
    assert_eq!(
        world.sh("postgres.db", "ls -A /var/lib/db/data").await.1,
        ""
    );
}

async fn a_volume_that_was_only_made_is_seeded(world: World) {
    let spec = spec(&world);
    world
        .runtime
        .start(&spec, Some(seed("db", &[])))
        .await
        .unwrap();
    assert_eq!(
        world
            .sh("postgres.db", "rm /var/lib/db/data/.devenv-seed")
            .await
            .0,
        0
    );
    super::faults::make_created_again(&format!("{}-postgres-db", world.identity.id)).await;
    let whole = seed("db", &[("file", "whole\n")]);
    world.runtime.start(&spec, Some(whole)).await.unwrap();
    assert_eq!(world.sh("postgres.db", READ).await.1, "whole\n1000 700");
}

async fn a_seeded_volume_that_lost_its_mark_is_data(world: World) {
    let mut spec = spec(&world);
    let first = seed("db", &[("file", "seeded\n")]);
    world.runtime.start(&spec, Some(first)).await.unwrap();
    let restore = "cd /var/lib/db/data; rm .devenv-seed; echo restored > file";
    assert_eq!(world.sh("postgres.db", restore).await.0, 0);
    spec.inputs.text("round", "two");
    let second = seed("db", &[("file", "overwritten\n")]);
    world.runtime.start(&spec, Some(second)).await.unwrap();
    assert_eq!(world.sh("postgres.db", READ).await.1, "restored\n1000 700");
}
