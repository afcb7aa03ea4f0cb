//! The engine is absent, goes away, or has no such image.

use std::process::Stdio;

use super::web_app;
use crate::support::{Project, Ran, engine, image};

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
fn an_engine_that_takes_connections_and_never_answers_is_said_by_every_command() {
    let base = image::busybox();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("engine.sock");
    // Its backlog takes the connections, and nobody ever accepts one.
    let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let address = format!("unix://{}", socket.display());
    let commands: [(&[&str], i32); 7] = [
        (&["plan"], 0),
        (&["ps"], 3),
        (&["up"], 3),
        (&["down"], 3),
        (&["logs"], 3),
        (&["doctor"], 3),
        (&["exec", "app.web", "--", "true"], 3),
    ];
    // At once, and each in a project of its own: each waits as long as a slow engine may take.
    let running = commands.map(|(args, code)| {
        let project = web_app(&base, "");
        let mut command = project.command(args);
        let command = command.env("DOCKER_HOST", &address);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("devenv runs");
        (args, code, project, child)
    });
    for (args, code, project, child) in running {
        let ran = Ran::from(child.wait_with_output().expect("its end"), project.path());
        assert_eq!(ran.code, code, "{args:?}: {}", ran.all());
        let words = "takes connections, but gave no answer within 10s";
        assert!(ran.all().contains(words), "{args:?}: {}", ran.all());
    }
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
