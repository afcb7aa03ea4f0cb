use std::net::TcpListener;

use devenv::runtime::{Runtime, RuntimeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{World, free_ports, id, port, volume};

super::conformance! {
    the_wanted_port_is_used_and_reachable,
    a_port_held_by_a_process_is_named_and_another_is_used,
    a_full_range_is_an_error_that_names_the_holders,
    what_is_replaced_leaves_its_port_to_its_successor;
    containers:
    a_port_held_by_another_project_is_named,
    a_port_taken_while_it_was_stopped_moves,
    a_start_that_lost_a_race_for_a_port_still_tells_the_volume_it_made,
}

async fn the_wanted_port_is_used_and_reachable(world: World) {
    let [wanted] = free_ports();
    let mut spec = world.script("app.hello", "busybox httpd -f -p ${PORT_HTTP:-80} -h /etc");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    let started = world.start(&spec).await;
    assert_eq!((started.ports["http"], &started.moved), (wanted, &vec![]));
    world.probe_http(&spec, &started, "/passwd").await.unwrap();
    let mut stream = tokio::net::TcpStream::connect((world.runtime.host(), wanted))
        .await
        .unwrap();
    stream
        .write_all(b"GET /passwd HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("root:x:0"), "{answer}");
}

async fn a_port_held_by_a_process_is_named_and_another_is_used(world: World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = listener.local_addr().unwrap().port();
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    let started = world.start(&spec).await;
    let used = started.ports["http"];
    assert!((23000..=23999).contains(&used));
    let pid = std::process::id();
    let [moved] = started.moved.as_slice() else {
        panic!("{:?}", started.moved);
    };
    assert!(
        moved.starts_with(&format!("port {wanted} is held by `")),
        "{moved}"
    );
    assert!(
        moved.ends_with(&format!("(pid {pid}); using {used}")),
        "{moved}"
    );
}

async fn a_port_held_by_another_project_is_named(world: World) {
    let other = world.neighbour();
    let [wanted] = free_ports();
    let mut spec = other.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    other.start(&spec).await;
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    let started = world.start(&spec).await;
    assert_eq!(
        started.moved,
        [format!(
            "port {wanted} is held by container `{}-app-hello` of project `devenv-test`; using {}",
            other.identity.id, started.ports["http"]
        )]
    );
}

async fn a_full_range_is_an_error_that_names_the_holders(world: World) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[taken], (taken, taken))];
    let error = world.runtime.start(&spec).await.unwrap_err();
    let RuntimeError::PortsTaken { held, range, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(
        held[0].starts_with(&format!("{taken} is held by `")),
        "{held:?}"
    );
    assert_eq!(*range, format!("{taken}-{taken}"));
    assert_eq!(
        error.to_string(),
        "no host port is free for `http` of `app.hello`"
    );
    assert_eq!(world.instance("app.hello").await, None);
}

async fn a_port_taken_while_it_was_stopped_moves(world: World) {
    let [wanted] = free_ports();
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    world.start(&spec).await;
    super::faults::kill(&format!("{}-app-hello", world.identity.id)).await;
    world.runtime.exited(&id("app.hello")).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", wanted)).expect("the port is free again");
    let started = world.start(&spec).await;
    assert_ne!(started.ports["http"], wanted);
    assert_eq!(started.moved.len(), 1);
    drop(listener);
    let instance = world.instance("app.hello").await.unwrap();
    assert_eq!(instance.ports, started.ports);
}

async fn what_is_replaced_leaves_its_port_to_its_successor(world: World) {
    let [wanted] = free_ports();
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
    world.start(&spec).await;
    spec.inputs.text("env.LEVEL", "debug");
    let started = world.start(&spec).await;
    assert_eq!((started.ports["http"], &started.moved), (wanted, &vec![]));
}

async fn a_start_that_lost_a_race_for_a_port_still_tells_the_volume_it_made(world: World) {
    let [wanted] = free_ports();
    let others = [(); 5].map(|()| World::docker());
    let start = async |world: &World| {
        let mut spec = world.script("app.hello", "sleep 1000");
        spec.ports = vec![port("http", 80, &[wanted], (23000, 23999))];
        spec.mounts = vec![volume("data", "/data")];
        world.start(&spec).await
    };
    let starts = others.iter().chain([&world]).map(start);
    let started = futures_util::future::join_all(starts).await;
    for started in &started {
        assert_eq!(started.new_volumes, ["data"], "{started:?}");
    }
    let first = started.iter().filter(|one| one.ports["http"] == wanted);
    assert!(first.count() <= 1, "{started:?}");
}
