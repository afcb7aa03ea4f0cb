//! Somebody else changes things on the engine, or the file, between two runs.

use std::collections::BTreeSet;

use bollard::{
    models::{ContainerCreateBody, HostConfig, NetworkDisconnectRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, KillContainerOptions, RemoveContainerOptionsBuilder,
        RemoveVolumeOptions, StartContainerOptions,
    },
};

use super::{WEB, postgres::full_project, web_app};
use crate::support::{Project, engine, http, image};

#[test]
fn a_container_that_was_killed_or_removed_is_started_again() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.ok(&["up"]);
    let url = project.url("app.web");

    let killed = project.instance("app.web");
    let id = killed.clone();
    image::on_engine(move |engine| async move {
        let killed = engine
            .kill_container(&id, None::<KillContainerOptions>)
            .await;
        killed.expect("a killed container");
    });
    engine::wait_for_end(&killed);
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("exited with code 137"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(http::get(&url), "hello from the test\n");

    let id = project.instance("app.web");
    image::on_engine(move |engine| async move {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        engine
            .remove_container(&id, Some(options))
            .await
            .expect("a removed container");
    });
    project.ok(&["up"]);
    assert_eq!(http::get(&url), "hello from the test\n");
}

#[test]
fn a_database_that_was_killed_comes_back_with_its_data() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let killed = project.instance("postgres.db");
    let id = killed.clone();
    image::on_engine(move |engine| async move {
        let killed = engine
            .kill_container(&id, None::<KillContainerOptions>)
            .await;
        killed.expect("a killed container");
    });
    engine::wait_for_end(&killed);
    project.ok(&["up"]);
    assert_eq!(
        project.instance("postgres.db"),
        killed,
        "it is the same one"
    );
    assert_eq!(project.sql("select name from users"), "ada");
}

#[test]
fn without_its_volume_the_database_is_made_again() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let id = project.instance("postgres.db");
    image::on_engine(move |engine| async move {
        let container = engine
            .inspect_container(&id, None)
            .await
            .expect("a container");
        let name = container
            .mounts
            .and_then(|mounts| mounts.into_iter().find_map(|mount| mount.name));
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        engine
            .remove_container(&id, Some(options))
            .await
            .expect("a removed container");
        let name = name.expect("a volume");
        engine
            .remove_volume(&name, None::<RemoveVolumeOptions>)
            .await
            .expect("a removed volume");
    });
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Applied 1 migration"), "{}", up.all());
    assert_eq!(project.sql("select count(*) from users"), "0");
    assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
}

#[test]
fn what_runs_can_be_stopped_although_the_file_is_broken() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let good = project.read("devenv.toml");
    project.ok(&["up"]);
    project.write("devenv.toml", "[project\nname = 1");
    assert_eq!(project.run(&["up"]).code, 2);
    let down = project.ok(&["down"]);
    assert!(
        down.stdout.contains("Stopped 1 container: app.web"),
        "{}",
        down.all()
    );

    project.write("devenv.toml", &good);
    assert_eq!(project.state("app.web"), "absent");
    project.ok(&["up"]);
}

#[test]
fn a_network_that_others_use_is_told_after_all_else_is_gone() {
    let base = image::busybox();
    let project = web_app(&base, "volumes = { \"/data\" = \"data\" }\n");
    project.ok(&["up"]);
    let name = format!("devenv-test-guest-{}", image::unique());
    let network = network(&project);
    let guest = Guest::start(&name, &base.reference, &network);

    let down = project.run(&["down", "--volumes"]);
    assert_eq!(down.code, 3, "{}", down.all());
    assert!(
        down.stdout
            .contains("Stopped 1 container: app.web\nRemoved 1 volume: data\n"),
        "{}",
        down.all()
    );
    let said = [
        format!("error: network `{network}` is still in use"),
        " |".to_owned(),
        format!(" = note: container `{name}` is attached to it; devenv did not make it"),
        format!(
            " = help: run `docker network disconnect {network} {name}`, then `devenv down` again"
        ),
        String::new(),
    ];
    let said = said.join("\n");
    assert_eq!(down.stderr, said);
    let left = engine::things_of(&project);
    assert!(
        left.iter()
            .all(|thing| !thing.starts_with("container") && !thing.starts_with("volume")),
        "{left:?}"
    );

    let json = project.run(&["down", "--output", "json"]).json();
    assert_eq!(json["answer"]["steps"], serde_json::json!([]));
    assert_eq!(
        json["error"]["message"],
        format!("network `{network}` is still in use")
    );
    disconnect(&network, &name);
    project.ok(&["down", "--images"]);
    assert_eq!(engine::things_of(&project), BTreeSet::new());
    drop(guest);
}

#[test]
fn what_was_disconnected_from_its_network_is_made_again() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.ok(&["up"]);
    let before = project.instance("app.web");
    disconnect(&network(&project), &before);
    let plan = project.ok(&["plan"]);
    let said = "app.web  recreate\n    network: it was disconnected from the project's\n";
    assert!(plan.stdout.contains(said), "{}", plan.all());
    project.ok(&["up"]);
    assert_ne!(project.instance("app.web"), before);
    assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
    assert!(project.ok(&["plan"]).stdout.contains("No changes"));
}

fn network(project: &Project) -> String {
    let things = engine::things_of(project);
    let name = |thing: &String| {
        Some(
            thing
                .strip_prefix("network Some(\"")?
                .trim_end_matches("\")")
                .to_owned(),
        )
    };
    things.iter().find_map(name).expect("a network")
}

/// A container of somebody else, removed at the end.
struct Guest(String);

impl Guest {
    fn start(name: &str, image: &str, network: &str) -> Self {
        let guest = Self(name.to_owned());
        let (name, image, network) = (name.to_owned(), image.to_owned(), network.to_owned());
        image::on_engine(move |engine| async move {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let body = ContainerCreateBody {
                image: Some(image),
                host_config: Some(HostConfig {
                    network_mode: Some(network),
                    ..HostConfig::default()
                }),
                ..ContainerCreateBody::default()
            };
            let made = engine.create_container(Some(options), body).await;
            made.expect("a container");
            let started = engine.start_container(&name, None::<StartContainerOptions>);
            started.await.expect("a running container");
        });
        guest
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let name = self.0.clone();
        image::on_engine(move |engine| async move {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            let _ = engine.remove_container(&name, Some(options)).await;
        });
    }
}

fn disconnect(network: &str, container: &str) {
    let (network, container) = (network.to_owned(), container.to_owned());
    image::on_engine(move |engine| async move {
        let request = NetworkDisconnectRequest {
            container,
            force: Some(true),
        };
        let done = engine.disconnect_network(&network, request).await;
        done.expect("a disconnected container");
    });
}

#[test]
fn down_where_nothing_runs_and_where_no_engine_answers() {
    let base = image::busybox();
    let project = web_app(&base, "");
    assert_eq!(project.ok(&["down"]).stdout, "Nothing was running\n");
    assert_eq!(
        project.ok(&["down", "--volumes"]).stdout,
        "Nothing was running\n"
    );
    for args in [
        &["down"][..],
        &["ps"],
        &["logs"],
        &["exec", "app.web", "--", "true"],
    ] {
        let output = project
            .command(args)
            .env("DOCKER_HOST", "unix:///nonexistent/engine.sock")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?} {text}");
        assert!(text.contains("/nonexistent/engine.sock"), "{args:?} {text}");
    }
}

#[test]
fn a_folder_without_a_project_is_a_usage_error() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.write("deep/er/file", WEB);
    let inside = project.ok(&["-C", "deep/er", "plan"]);
    assert!(inside.stdout.contains("app.web"), "{}", inside.all());
    for (dir, part) in [
        ("/", "no `devenv.toml` in `/`"),
        ("nowhere", "cannot open folder `nowhere`"),
    ] {
        for command in ["up", "down", "ps", "plan", "doctor"] {
            let ran = project.run(&["-C", dir, command]);
            assert_eq!(ran.code, 2, "{command}: {}", ran.all());
            assert!(ran.stderr.contains(part), "{command}: {}", ran.all());
        }
    }
}
