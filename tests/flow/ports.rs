//! Host ports: the wanted one if free, else another, remembered; the holder is named.

use std::net::TcpListener;

use super::web_app;
use crate::support::{Project, http, image};

#[test]
fn a_port_held_by_another_program_is_named_and_another_is_taken_and_kept() {
    let base = image::busybox();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let project = web_app(&base, "");
    let config = project
        .read("devenv.toml")
        .replace("18080", &taken.to_string());
    project.write("devenv.toml", &config);

    let up = project.ok(&["up"]);
    let held = format!("port {taken} is held by");
    assert!(up.stderr.contains(&held), "{}", up.all());
    assert!(
        up.stderr.contains(&format!("pid {}", std::process::id())),
        "{}",
        up.all()
    );
    let url = project.url("app.web");
    assert!(!url.ends_with(&format!(":{taken}")));
    assert_eq!(http::get(&url), "hello from the test\n");

    drop(listener);
    project.ok(&["down"]);
    project.ok(&["up"]);
    assert_eq!(
        project.url("app.web"),
        url,
        "a port stays where it moved to"
    );
}

#[test]
fn a_port_that_two_want_goes_to_the_first_by_name_and_the_table_says_so() {
    let base = image::busybox();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = listener.local_addr().unwrap().port();
    drop(listener);
    let mut config = String::from("[project]\nname = \"two\"\n");
    // The one that comes second is ready to start long before the first.
    for (name, needs) in [("a", "[\"task.slow\"]"), ("b", "[]")] {
        config += &format!(
            "[service.{name}]\nimage = \"{}\"\ncommand = [\"sleep\", \"600\"]\nports = {{ web = {{ container = 80, host = {wanted} }} }}\nneeds = {needs}\nstop_grace = \"0s\"\n",
            base.reference
        );
    }
    config += "[task.slow]\nrun = \"sleep 1\"\n";
    let project = Project::new(&config);
    let port = |step: &str| {
        let rows = project.ok(&["ps", "--output", "json"]).json();
        let mut rows = rows.as_array().unwrap().iter();
        let row = rows.find(|row| row["step"] == step).unwrap();
        row["ports"]["web"].as_u64().unwrap()
    };
    let up = project.ok(&["up"]);
    assert_eq!(port("service.a"), u64::from(wanted));
    let other = port("service.b");
    assert_ne!(other, u64::from(wanted));
    let why = format!("port {wanted} goes to `service.a`, which comes first; using {other}");
    assert!(up.stderr.contains(&why), "{}", up.all());
    let row = up
        .stdout
        .lines()
        .find(|line| line.starts_with("service.b"))
        .unwrap();
    assert!(
        row.ends_with(&format!("{wanted}, which service.a has")),
        "{row}"
    );

    project.ok(&["down"]);
    let up = project.ok(&["up", "service.b"]);
    assert_eq!(port("service.b"), other, "it stays: {}", up.all());
    assert!(!up.stderr.contains("goes to"), "told once: {}", up.all());
}

#[test]
fn a_full_range_is_an_error_that_names_the_holder() {
    let base = image::busybox();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let project = web_app(&base, "");
    let config = project
        .read("devenv.toml")
        .replace("18080", &taken.to_string())
        .replace(
            "name = \"web\"\n",
            &format!("name = \"web\"\nports = \"{taken}-{taken}\"\n"),
        );
    project.write("devenv.toml", &config);
    let up = project.run(&["up"]);
    assert_eq!(up.code, 3, "{}", up.all());
    assert!(up.stderr.contains("no host port is free"), "{}", up.all());
    assert!(
        up.stderr.contains(&format!("pid {}", std::process::id())),
        "{}",
        up.all()
    );
}

/// The first of three neighbouring ports that nothing listens on.
fn three_ports() -> u16 {
    let begin = 24000 + (std::process::id() % 1000) as u16 * 3;
    let free = |first: &u16| {
        let listeners = (0..3).map(|n| TcpListener::bind(("127.0.0.1", first + n)));
        listeners.into_iter().all(|listener| listener.is_ok())
    };
    let mut firsts = (begin..29000).step_by(3);
    firsts.find(free).expect("three free ports")
}

#[test]
fn a_full_range_names_every_holder_and_what_is_kept_for_another_step() {
    let base = image::busybox();
    let first = three_ports();
    let (second, third) = (first + 1, first + 2);
    let service = |name: &str, port: u16| {
        format!(
            "[service.{name}]\nimage = \"{}\"\ncommand = [\"sleep\", \"600\"]\nprocess = {{ command = [\"sleep\", \"600\"] }}\nports = {{ web = {{ container = 80, host = {port} }} }}\nstop_grace = \"0s\"\n",
            base.reference
        )
    };
    let other = Project::new(&format!(
        "[project]\nname = \"other\"\n{}",
        service("one", third)
    ));
    other.ok(&["up"]);
    let _listener = TcpListener::bind(("127.0.0.1", second)).unwrap();
    for runtime in ["docker", "process"] {
        let config = format!(
            "[project]\nname = \"full\"\nports = \"{first}-{third}\"\n{}{}",
            service("a", first),
            // Not at the same time: what is cancelled while the engine makes it may come after all.
            service("b", second) + "needs = [\"service.a\"]\n"
        );
        let project = Project::new(&config).on(runtime);
        let up = project.run(&["up"]);
        assert_eq!(up.code, 3, "{}", up.all());
        let held = |port: u16, by: &str| format!("{port} is held by {by}");
        for part in [
            "no host port is free for `web` of `service.b`".to_owned(),
            format!("{first} is kept for `service.a` of this project"),
            format!("(pid {})", std::process::id()),
            match runtime {
                "docker" => held(third, "container `"),
                _ => held(third, "`docker-proxy` (pid"),
            },
            format!("widen `ports` in `[project]`, which is {first}-{third}"),
        ] {
            assert!(up.stderr.contains(&part), "{part} in {}", up.all());
        }
    }
}
