//! The engine is absent, goes away, or has no such image.

use super::web_app;
use crate::support::{Project, engine, image};

#[test]
fn no_engine_is_an_environment_error_with_what_was_tried() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let up = project
        .command(&["up"])
        .env("DOCKER_HOST", "unix:///nonexistent/engine.sock")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(3), "{text}");
    assert!(text.contains("/nonexistent/engine.sock"), "{text}");
}

#[test]
fn an_image_that_cannot_be_had_names_everything_tried() {
    let project = Project::new(
        "[project]\nname = \"x\"\n[service.none]\nimage = \"127.0.0.1:1/devenv-test/none:1\"\n",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["127.0.0.1:1/devenv-test/none:1", "devenv.toml:4:1", "pull"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn an_engine_that_goes_away_in_the_middle_is_said_and_the_next_up_converges() {
    let base = image::busybox();
    let project = web_app(&base, "");
    // Holds the run until the engine is cut off.
    project.write("web.sh", "#!/bin/sh\nsleep 600\n");
    let proxy = engine::Proxy::start();
    let mut up = project.start(
        &["up", "--output", "json"],
        &[("DOCKER_HOST", &proxy.address())],
    );
    up.wait_for("step-started", "app.web");
    proxy.cut();
    let ran = up.wait();
    assert!(matches!(ran.code, 1 | 3), "{}", ran.all());
    assert!(ran.all().contains("engine"), "{}", ran.all());

    project.write("web.sh", super::WEB);
    project.ok(&["up"]);
}
