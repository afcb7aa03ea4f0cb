use devenv::{
    config::Restart,
    runtime::{FormerVolume, Instance, InstanceState, OneShot, Runtime, RuntimeError, STABLE},
};

use super::world::{Kind, World, id, port, volume};

super::conformance! {
    starts_lists_restarts_and_removes,
    starting_what_runs_changes_nothing,
    other_inputs_replace_the_instance,
    a_stopped_instance_is_started_again,
    two_identities_live_side_by_side,
    many_steps_start_at_once,
    two_processes_start_the_same_step_at_once,
    removal_is_idempotent,
    what_comes_back_by_itself_is_listed_with_how_often;
    containers:
    other_inputs_replace_the_instance_and_keep_its_volume,
    a_created_leftover_is_started,
    a_paused_instance_goes_on,
    containers_of_a_former_name_are_told_and_left_alone,
    neighbours_reach_each_other_by_name,
    what_devenv_did_not_make_is_left_alone,
    an_unknown_image_is_an_error_and_leaves_nothing,
    one_shots_give_output_code_and_files,
    a_dropped_one_shot_is_removed,
    settings_reach_the_container,
    one_network_for_all,
}

async fn containers_of_a_former_name_are_told_and_left_alone(world: World) {
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.mounts = vec![volume("data", "/data")];
    let first = world.start(&spec).await;
    assert!(first.former_volumes.is_empty());
    let renamed = world.renamed("devenv-other");
    let listing = renamed.runtime.list().await.unwrap();
    assert_eq!(listing.former, [world.identity.id.clone()].into());
    assert!(listing.instances.is_empty());
    let mut spec = renamed.script("app.hello", "sleep 1000");
    spec.mounts = vec![volume("data", "/data"), volume("other", "/other")];
    let other = renamed.start(&spec).await;
    let former = FormerVolume {
        name: format!("{}-data", world.identity.id),
        identity: world.identity.id.clone(),
    };
    assert_eq!(other.former_volumes, [former]);
    assert!(renamed.start(&spec).await.former_volumes.is_empty());
    assert!(world.instance("app.hello").await.is_some());
    assert!(renamed.instance("app.hello").await.is_some());
}

async fn what_comes_back_by_itself_is_listed_with_how_often(world: World) {
    let mut spec = world.script(
        "app.hello",
        "test -e again && exec sleep 1000; touch again; exit 3",
    );
    spec.restart = Restart::OnFailure;
    world.start(&spec).await;
    let back = loop {
        let instance = world.instance("app.hello").await.unwrap();
        if (instance.state, instance.restarts) == (InstanceState::Running, 1) {
            break instance;
        }
    };
    let long_ago = std::time::SystemTime::now() - STABLE;
    assert!(back.started.is_some_and(|started| started > long_ago));
    let with = |started, restarts| Instance {
        started,
        restarts,
        ..back.clone()
    };
    let now = Some(std::time::SystemTime::now());
    assert!(with(now, 1).keeps_restarting());
    assert!(!with(now, 0).keeps_restarting());
    assert!(!with(Some(long_ago), 7).keeps_restarting());
    // A start on purpose begins anew.
    world.runtime.restart(&spec.step).await.unwrap();
    assert_eq!(world.instance("app.hello").await.unwrap().restarts, 0);
}

async fn starts_lists_restarts_and_removes(world: World) {
    let mut spec = world.script("app.hello", "exec sleep 1000");
    spec.ports = vec![port("http", 80, &[], (21000, 21999))];
    let started = world.start(&spec).await;
    let instance = world.instance("app.hello").await.expect("it is listed");
    assert_eq!(instance.state, InstanceState::Running);
    assert_eq!(instance.ports, started.ports);
    assert_eq!(instance.inputs, spec.inputs);
    if let Kind::Docker(_) = world.kind {
        let id = &instance.image_id;
        assert!(id.starts_with("sha256:"), "{id}");
    }

    world.runtime.restart(&spec.step).await.unwrap();
    let again = world
        .instance("app.hello")
        .await
        .expect("it is still there");
    assert_eq!(
        (again.id, again.state),
        (instance.id, InstanceState::Running)
    );

    world.runtime.remove(&spec.step).await.unwrap();
    assert_eq!(world.instance("app.hello").await, None);
    world.runtime.clean().await.unwrap();
    let error = world.runtime.restart(&spec.step).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotRunning { .. }), "{error}");
}

async fn starting_what_runs_changes_nothing(world: World) {
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[], (21000, 21999))];
    let first = world.start(&spec).await;
    let before = world.instance("app.hello").await;
    let second = world.start(&spec).await;
    assert_eq!(first, second);
    assert_eq!(before, world.instance("app.hello").await);
}

async fn other_inputs_replace_the_instance(world: World) {
    let mut spec = world.script("service.cache", "exec sleep 1000");
    world.start(&spec).await;
    let before = world.instance("service.cache").await.unwrap();
    spec.inputs.text("env.LOG_LEVEL", "debug");
    world.start(&spec).await;
    let after = world.instance("service.cache").await.unwrap();
    assert_ne!(before.id, after.id);
    assert_eq!(after.inputs, spec.inputs);
    assert_eq!(world.runtime.list().await.unwrap().instances.len(), 1);
}

async fn other_inputs_replace_the_instance_and_keep_its_volume(world: World) {
    let mut spec = world.script("service.cache", "sleep 1000");
    spec.mounts = vec![volume("cache", "/data")];
    world.start(&spec).await;
    assert_eq!(world.sh("service.cache", "echo kept > /data/x").await.0, 0);
    let before = world.instance("service.cache").await.unwrap();

    spec.inputs.text("env.LOG_LEVEL", "debug");
    world.start(&spec).await;
    let after = world.instance("service.cache").await.unwrap();
    assert_ne!(before.id, after.id);
    assert_eq!(after.inputs, spec.inputs);
    assert_eq!(
        world.sh("service.cache", "cat /data/x").await,
        (0, "kept".into())
    );
    assert_eq!(world.runtime.list().await.unwrap().instances.len(), 1);
}

async fn a_created_leftover_is_started(world: World) {
    let spec = world.script("app.hello", "sleep 1000");
    world.start(&spec).await;
    let name = format!("{}-app-hello", world.identity.id);
    super::faults::make_created_again(&name).await;
    assert_eq!(
        world.instance("app.hello").await.unwrap().state,
        InstanceState::Created
    );
    world.start(&spec).await;
    assert_eq!(
        world.instance("app.hello").await.unwrap().state,
        InstanceState::Running
    );
}

async fn a_stopped_instance_is_started_again(world: World) {
    let spec = world.script(
        "app.hello",
        "test -e second && sleep 1000; touch second; exit 7",
    );
    world.start(&spec).await;
    assert_eq!(world.runtime.exited(&spec.step).await.unwrap(), 7);
    let stopped = world.instance("app.hello").await.unwrap();
    assert_eq!(stopped.state, InstanceState::Exited { code: 7 });
    world.start(&spec).await;
    let running = world.instance("app.hello").await.unwrap();
    assert_eq!(
        (running.id, running.state),
        (stopped.id, InstanceState::Running)
    );
}

async fn a_paused_instance_goes_on(world: World) {
    let spec = world.script("app.hello", "sleep 1000");
    world.start(&spec).await;
    super::faults::pause(&format!("{}-app-hello", world.identity.id)).await;
    assert_eq!(
        world.instance("app.hello").await.unwrap().state,
        InstanceState::Paused
    );
    world.start(&spec).await;
    assert_eq!(
        world.instance("app.hello").await.unwrap().state,
        InstanceState::Running
    );
}

async fn two_identities_live_side_by_side(world: World) {
    let other = world.neighbour();
    for world in [&world, &other] {
        let mut spec = world.script("app.hello", "sleep 1000");
        spec.mounts = vec![volume("data", "/data")];
        world.start(&spec).await;
    }
    assert_eq!(world.runtime.list().await.unwrap().instances.len(), 1);
    world.runtime.remove(&id("app.hello")).await.unwrap();
    world.runtime.remove_volume("data").await.unwrap();
    world.runtime.clean().await.unwrap();
    assert_eq!(world.runtime.volumes().await.unwrap(), Vec::<String>::new());
    assert_eq!(other.runtime.volumes().await.unwrap(), ["data"]);
    assert_eq!(
        other.instance("app.hello").await.unwrap().state,
        InstanceState::Running
    );
}

async fn many_steps_start_at_once(world: World) {
    let specs: Vec<_> = (0..6)
        .map(|n| {
            let mut spec = world.script(&format!("service.s{n}"), "sleep 1000");
            spec.ports = vec![port("http", 80, &[], (22000, 22999))];
            spec
        })
        .collect();
    let starts = specs.iter().map(|spec| world.start(spec));
    let started = futures_util::future::join_all(starts).await;
    let ports: std::collections::BTreeSet<u16> = started
        .iter()
        .map(|started| started.ports["http"])
        .collect();
    assert_eq!(ports.len(), 6);
    let instances = world.runtime.list().await.unwrap().instances;
    assert!(
        instances
            .iter()
            .all(|instance| instance.state == InstanceState::Running)
    );
}

async fn one_network_for_all(world: World) {
    let specs = ["service.a", "service.b"].map(|step| world.script(step, "sleep 1000"));
    let other = world.other_process();
    let (a, b, again) = tokio::join!(
        world.runtime.start(&specs[0]),
        world.runtime.start(&specs[1]),
        other.start(&specs[0]),
    );
    for started in [a, b, again] {
        started.unwrap();
    }
    assert_eq!(super::faults::networks(&world.identity.id).await, 1);
    for spec in &specs {
        world.runtime.remove(&spec.step).await.unwrap();
    }
    world.runtime.clean().await.unwrap();
    assert_eq!(super::faults::networks(&world.identity.id).await, 0);
}

async fn two_processes_start_the_same_step_at_once(world: World) {
    let mut spec = world.script("app.hello", "sleep 1000");
    spec.ports = vec![port("http", 80, &[], (22000, 22999))];
    let other = world.other_process();
    let (mine, theirs) = tokio::join!(world.runtime.start(&spec), other.start(&spec));
    assert_eq!(mine.unwrap().ports, theirs.unwrap().ports);
    let instances = world.runtime.list().await.unwrap().instances;
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].state, InstanceState::Running);
}

async fn neighbours_reach_each_other_by_name(world: World) {
    let mut server = world.script(
        "service.cache",
        "while true; do echo hi | nc -l -p 7000; done",
    );
    server.aliases = vec!["redis".into()];
    world.start(&server).await;
    world.start(&world.script("app.hello", "sleep 1000")).await;
    for name in ["cache", "redis"] {
        let script =
            format!("for i in $(seq 50); do nc {name} 7000 && exit 0; sleep 0.1; done; exit 1");
        assert_eq!(
            world.sh("app.hello", &script).await,
            (0, "hi".into()),
            "{name}"
        );
    }
}

async fn removal_is_idempotent(world: World) {
    let spec = world.script("app.hello", "sleep 1000");
    world.runtime.remove(&spec.step).await.unwrap();
    world.runtime.remove_volume("nothing").await.unwrap();
    world.runtime.clean().await.unwrap();
    world.start(&spec).await;
    let (first, second) = tokio::join!(
        world.runtime.remove(&spec.step),
        world.runtime.remove(&spec.step)
    );
    first.unwrap();
    second.unwrap();
    world.runtime.remove(&spec.step).await.unwrap();
    world.runtime.clean().await.unwrap();
    world.runtime.clean().await.unwrap();
}

async fn what_devenv_did_not_make_is_left_alone(world: World) {
    let name = format!("{}-app-hello", world.identity.id);
    let foreign = super::faults::foreign_container(&name, world.image()).await;
    let spec = world.script("app.hello", "sleep 1000");
    let error = world.runtime.start(&spec).await.unwrap_err();
    assert!(
        matches!(
            &error,
            RuntimeError::Foreign {
                what: "container",
                ..
            }
        ),
        "{error}"
    );
    world.runtime.remove(&spec.step).await.unwrap();
    assert!(foreign.exists().await);

    let volume_name = format!("{}-data", world.identity.id);
    let foreign = super::faults::foreign_volume(&volume_name).await;
    let mut spec = world.script("app.other", "sleep 1000");
    spec.mounts = vec![volume("data", "/data")];
    let error = world.runtime.start(&spec).await.unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Foreign { what: "volume", .. }),
        "{error}"
    );
    assert!(world.runtime.remove_volume("data").await.is_err());
    assert!(foreign.exists().await);
}

async fn an_unknown_image_is_an_error_and_leaves_nothing(world: World) {
    let mut spec = world.script("app.hello", "true");
    spec.image = "devenv-test-no-such-image:1".into();
    let error = world.runtime.start(&spec).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image of `app.hello` is not on the engine"
    );
    spec.image = world.image().to_owned();
    spec.command = Some(vec!["/no/such/program".into()]);
    // With an init process the engine starts the container, and the init reports the missing program.
    match world.runtime.start(&spec).await {
        Err(error) => assert_eq!(error.to_string(), "the engine could not start `app.hello`"),
        Ok(_) => assert_ne!(world.runtime.exited(&spec.step).await.unwrap(), 0),
    }
}

async fn one_shots_give_output_code_and_files(world: World) {
    let one_shot = |script: &str| OneShot {
        image: world.image().to_owned(),
        argv: ["sh", "-c", script].map(str::to_owned).into(),
        env: [("GREETING".to_owned(), "hi".to_owned())].into(),
        user: Some("1000".into()),
        fetch: Some("/tmp/out".into()),
        ..OneShot::default()
    };
    let script =
        "mkdir -p /tmp/out/sub; echo $GREETING > /tmp/out/sub/file; echo made; ls /sys/class/net";
    let result = world.runtime.one_shot(one_shot(script)).await.unwrap();
    assert_eq!((result.code, result.output.as_str()), (0, "made\nlo\n"));
    let archive = result.archive.expect("the folder");
    let mut archive = tar::Archive::new(archive.as_slice());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.contains(&"sub/file".to_owned()), "{names:?}");

    let result = world
        .runtime
        .one_shot(one_shot("echo no >&2; exit 3"))
        .await
        .unwrap();
    assert_eq!((result.code, result.output.as_str()), (3, "no\n"));
    assert!(result.archive.is_none());
    assert_eq!(super::faults::containers(&world.identity.id).await, 0);
}

async fn a_dropped_one_shot_is_removed(world: World) {
    let one_shot = OneShot {
        image: world.image().to_owned(),
        argv: vec!["sleep".into(), "1000".into()],
        ..OneShot::default()
    };
    let run = world.runtime.one_shot(one_shot);
    let begun = super::faults::event(&world.identity.id, "start");
    tokio::select! {
        result = run => panic!("it ended: {result:?}"),
        () = begun => {}
    }
    assert_eq!(super::faults::containers(&world.identity.id).await, 0);
}

async fn settings_reach_the_container(world: World) {
    let mut spec = world.script(
        "app.hello",
        "echo $GREETING $(pwd); touch /scratch/x && exec sleep 1000",
    );
    spec.env = [("GREETING".to_owned(), "hello world".to_owned())].into();
    spec.workdir = Some("/tmp".into());
    spec.user = Some("guest".into());
    spec.tmpfs = [("/scratch".to_owned(), "mode=1777".to_owned())].into();
    spec.entrypoint = Some(vec!["/bin/busybox".into()]);
    spec.restart = Restart::UnlessStopped;
    world.start(&spec).await;
    assert_eq!(
        world
            .sh(
                "app.hello",
                "test -e /scratch/x || sleep 0.2; stat -c %u /scratch/x"
            )
            .await
            .1,
        "1000"
    );
    let lines = world.logs("app.hello", Default::default()).await;
    assert_eq!(lines, ["hello world /tmp"]);
    assert_eq!(
        world
            .sh("app.hello", "cat /etc/hosts")
            .await
            .1
            .matches("host.docker.internal")
            .count(),
        1
    );
}
