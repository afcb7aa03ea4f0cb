//! Host ports: the wanted one if free, else another, remembered; the holder is named.

use std::net::TcpListener;

use super::web_app;
use crate::support::{http, image};

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
