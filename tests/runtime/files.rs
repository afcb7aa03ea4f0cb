use devenv::runtime::{Runtime, Spec};

use super::world::{World, file, id, volume};

super::conformance! {
    a_new_volume_is_told_once;
    containers:
    are_there_at_the_first_start,
    are_put_again_into_what_was_never_started,
    stay_as_the_program_left_them_when_it_is_started_again,
    come_anew_with_another_container,
}

/// Shows the file it was given at each start, then takes it away.
fn spec(world: &World, content: &str) -> Spec {
    let script = "cat /etc/given 2>/dev/null && stat -c '%a %u' /etc/given || echo none; rm -f /etc/given; exec sleep 1000";
    let mut spec = world.script("service.files", script);
    spec.inputs.text("content", content);
    spec.files = vec![file("/etc/given", 0o640, content)];
    spec
}

async fn output(world: &World, lines: usize) -> Vec<String> {
    world.lines("service.files", lines).await
}

async fn are_there_at_the_first_start(world: World) {
    world.start(&spec(&world, "first\n")).await;
    assert_eq!(output(&world, 2).await, ["first", "640 0"]);
}

/// What a kill between creating and starting leaves: the upload may have come half way, or not at all.
async fn are_put_again_into_what_was_never_started(world: World) {
    let spec = spec(&world, "whole\n");
    world.start(&spec).await;
    super::faults::make_created_again(&format!("{}-service-files", world.identity.id)).await;
    world.start(&spec).await;
    assert_eq!(output(&world, 2).await, ["whole", "640 0"]);
}

async fn stay_as_the_program_left_them_when_it_is_started_again(world: World) {
    let spec = spec(&world, "once\n");
    world.start(&spec).await;
    output(&world, 2).await;
    world.runtime.restart(&id("service.files")).await.unwrap();
    assert_eq!(output(&world, 3).await, ["once", "640 0", "none"]);
}

async fn come_anew_with_another_container(world: World) {
    world.start(&spec(&world, "one\n")).await;
    world.start(&spec(&world, "two\n")).await;
    assert_eq!(output(&world, 2).await, ["two", "640 0"]);
}

async fn a_new_volume_is_told_once(world: World) {
    let mut spec = world.script("postgres.db", "exec sleep 1000");
    spec.mounts = vec![volume("db", "/var/lib/db/data")];
    assert_eq!(world.start(&spec).await.new_volumes, ["db"]);
    world.runtime.remove(&id("postgres.db")).await.unwrap();
    assert_eq!(world.start(&spec).await.new_volumes, [""; 0]);
}
