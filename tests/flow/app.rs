//! One app: up, up again, change, down; and all the ways an app fails to get ready.

use super::{WEB, web_app};
use crate::support::{Project, http, image};

#[test]
fn comes_up_answers_and_has_nothing_to_do_the_second_time() {
    let base = image::busybox();
    let project = web_app(&base, r#"env = { GREETING = "hi" }"#);

    let first = project.ok(&["up"]);
    let url = project.url("app.web");
    assert!(first.stdout.contains(&url), "{}", first.all());
    assert_eq!(http::get(&url), "hello from the test\n");
    assert!(
        project
            .ok(&["logs", "app.web"])
            .stdout
            .contains("greeting is hi")
    );

    let second = project.ok(&["up"]);
    assert!(second.stderr.contains("Nothing to do"), "{}", second.all());
    let plan = project.run(&["plan", "--detailed-exit-code"]);
    assert_eq!(plan.code, 0, "{}", plan.all());
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());

    project.ok(&["down"]);
    assert_eq!(project.state("app.web"), "absent");
}

#[test]
fn a_changed_variable_recreates_the_app_and_says_so() {
    let base = image::busybox();
    let project = web_app(&base, r#"env = { GREETING = "hi" }"#);
    project.ok(&["up"]);

    let config = project.read("devenv.toml").replace("\"hi\"", "\"bye\"");
    project.write("devenv.toml", &config);
    let plan = project.run(&["plan", "--detailed-exit-code"]);
    assert_eq!(plan.code, 4, "{}", plan.all());
    assert!(
        plan.stdout.contains("env.GREETING changed"),
        "{}",
        plan.all()
    );
    assert!(plan.stdout.contains("recreate"), "{}", plan.all());

    project.ok(&["up"]);
    assert!(
        project
            .ok(&["logs", "app.web"])
            .stdout
            .contains("greeting is bye")
    );
}

#[test]
fn a_changed_file_beside_the_artifact_replaces_the_app_without_a_build() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.ok(&["up"]);
    project.write("index.html", "another page\n");
    let plan = project.run(&["plan", "--detailed-exit-code"]);
    assert_eq!(plan.code, 4, "{}", plan.all());
    assert!(
        plan.stdout.contains("`index.html` changed"),
        "{}",
        plan.all()
    );
    let up = project.ok(&["up"]);
    assert!(!up.stderr.contains("build.web"), "{}", up.all());
    assert_eq!(http::get(&project.url("app.web")), "another page\n");
    assert!(project.ok(&["up"]).stderr.contains("Nothing to do"));
}

#[test]
fn a_changed_source_is_built_and_replaces_the_app() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.ok(&["up"]);
    project.write("web.sh", &WEB.replace("greeting", "another greeting"));
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("`web.sh` changed"), "{}", up.all());
    assert!(
        project
            .ok(&["logs", "app.web"])
            .stdout
            .contains("another greeting")
    );
}

#[test]
fn an_app_that_exits_at_once_is_reported_with_its_code_and_output() {
    let base = image::busybox();
    let project = web_app(&base, r#"restart = "no""#);
    project.write("web.sh", "#!/bin/sh\necho no configuration found\nexit 7\n");
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["devenv.toml:5:1", "exited", "7", "no configuration found"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn the_output_of_one_that_its_restart_policy_starts_again_and_again_is_shown() {
    let base = image::busybox();
    let project = web_app(&base, "");
    project.write("web.sh", "#!/bin/sh\necho no configuration found\nexit 7\n");
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(up.stderr.contains("no configuration found"), "{}", up.all());
}

#[test]
fn an_app_that_never_gets_ready_shows_its_last_lines() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let config = project.read("devenv.toml").replace("20s", "1500ms");
    project.write("devenv.toml", &config);
    project.write(
        "web.sh",
        "#!/bin/sh\necho waiting for godot\nexec sleep 600\n",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in [
        "was not ready after 1500ms",
        "waiting for godot",
        "devenv.toml:5:1",
    ] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn a_build_that_fails_shows_its_output_and_where_it_is_written() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let config = project.read("devenv.toml").replace(
        "mkdir -p out",
        "echo the compiler is unhappy >&2; exit 3; mkdir -p out",
    );
    project.write("devenv.toml", &config);
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["the compiler is unhappy", "devenv.toml:6:", "3"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn a_step_that_is_no_longer_in_the_file_is_removed_with_a_reason() {
    let base = image::busybox();
    let project = Project::new(&services(&base.reference, &["one", "two"]));
    project.ok(&["up"]);
    project.write("devenv.toml", &services(&base.reference, &["one"]));
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("service.two"), "{}", plan.all());
    assert!(
        plan.stdout.contains("no longer in devenv.toml"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    let ps = project.ok(&["ps"]);
    assert!(!ps.stdout.contains("service.two"), "{}", ps.all());
}

#[test]
fn restart_exec_and_logs_of_several_steps() {
    let base = image::busybox();
    let project = Project::new(&services(&base.reference, &["one", "two"]));
    project.ok(&["up"]);
    let exec = project.run(&[
        "exec",
        "service.one",
        "--",
        "sh",
        "-c",
        "echo inside; exit 5",
    ]);
    assert_eq!(
        (exec.code, exec.stdout.as_str()),
        (5, "inside\n"),
        "{}",
        exec.all()
    );
    let restart = project.ok(&["restart", "service.one"]);
    assert!(restart.stderr.contains("service.one"), "{}", restart.all());
    let logs = project.ok(&["logs"]);
    assert!(
        logs.stdout.contains("service.one | started one"),
        "{}",
        logs.all()
    );
    assert!(
        logs.stdout.contains("service.two | started two"),
        "{}",
        logs.all()
    );
}

/// Plain services that print a line and sleep.
fn services(image: &str, names: &[&str]) -> String {
    let mut config = String::from("[project]\nname = \"plain\"\n");
    for name in names {
        config += &format!(
            "[service.{name}]\nimage = \"{image}\"\ncommand = [\"sh\", \"-c\", \"echo started {name}; exec sleep 600\"]\nstop_grace = \"1s\"\n"
        );
    }
    config
}
