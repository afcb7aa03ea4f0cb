//! Ctrl-C and SIGKILL at every step, deleted state, two runs at once: the next `up` converges.

use super::postgres::full_project;
use crate::support::{Signal, http, image};

const STEPS: [&str; 4] = ["build.web", "postgres.db", "migrate.db", "app.web"];

#[test]
fn killed_at_every_step_the_next_up_converges() {
    let images = image::postgres();
    let project = full_project(&images);
    for step in STEPS {
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", step);
        up.signal(Signal::Kill);
        up.wait();
        project.ok(&["up"]);
        assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
        project.ok(&["down", "--volumes"]);
        project.write("web.sh", &format!("{}# {step}\n", super::WEB));
    }
}

#[test]
fn interrupted_at_every_step_it_ends_with_130_and_the_next_up_converges() {
    let images = image::postgres();
    let project = full_project(&images);
    for step in STEPS {
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", step);
        up.signal(Signal::Interrupt);
        let ran = up.wait();
        // The step may have been the last and done before the signal arrived.
        assert!(matches!(ran.code, 130 | 0), "{step}: {}", ran.all());
        project.ok(&["up"]);
        project.ok(&["down", "--volumes"]);
        project.write("web.sh", &format!("{}# {step}\n", super::WEB));
    }
}

#[test]
fn without_its_state_folder_up_finds_what_runs() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    let url = project.url("app.web");
    std::fs::remove_dir_all(project.join(".devenv")).unwrap();
    let up = project.ok(&["up"]);
    assert_eq!(project.url("app.web"), url);
    assert!(!up.stderr.contains("recreate"), "{}", up.all());
    assert_eq!(project.sql("select count(*) from users"), "0");
}

#[test]
fn a_second_up_waits_and_says_for_whom() {
    let images = image::postgres();
    let project = full_project(&images);
    let mut first = project.start(&["up", "--output", "json"], &[]);
    first.wait_for("step-started", "build.web");
    let second = project.run(&["up"]);
    let first = first.wait();
    assert_eq!(first.code, 0, "{}", first.all());
    assert_eq!(second.code, 0, "{}", second.all());
    assert!(
        second
            .stderr
            .contains("Waiting for another run: `devenv up` (pid"),
        "{}",
        second.all()
    );
}
