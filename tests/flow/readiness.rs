//! Being ready, seen by the commands that look at what runs.

use bollard::query_parameters::RestartContainerOptions;

use crate::support::{Project, image, wait_until};

fn project(image: &image::BusyboxImage, ready: &str) -> Project {
    Project::new(&format!(
        r#"
[project]
name = "ready"

[service.one]
image = "{}"
command = ["sh", "-c", "touch /tmp/ready; exec sleep 600"]
ready = {{ {ready} }}
stop_grace = "0s"
"#,
        image.reference
    ))
}

#[test]
fn a_probe_that_takes_long_is_waited_for() {
    let base = image::busybox();
    let project = project(&base, r#"exec = ["sh", "-c", "sleep 1.5"]"#);
    project.ok(&["up"]);
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Nothing to do"), "{}", up.all());
}

#[test]
fn what_runs_but_is_not_ready_is_told_with_what_the_probe_saw() {
    let base = image::busybox();
    let project = project(&base, r#"exec = ["test", "-f", "/tmp/ready"]"#);
    project.ok(&["up"]);
    assert_eq!(project.state("service.one"), "running");
    let inside = |script: &str| project.ok(&["exec", "service.one", "--", "sh", "-c", script]);
    inside("rm /tmp/ready");
    // The one quick look of `ps` may be too quick for a busy engine.
    wait_until(|| project.state("service.one") == "not ready");
    let plan = project.ok(&["plan"]);
    let told = "it runs but is not ready: `test -f /tmp/ready`: exit code 1";
    assert!(plan.stdout.contains(told), "{}", plan.all());
    inside("touch /tmp/ready");
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
}

#[test]
fn what_runs_but_is_not_ready_is_restarted_when_asked_for() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"exec = ["test", "-f", "/tmp/ready"], timeout = "10m""#,
    );
    project.ok(&["up"]);
    project.ok(&["exec", "service.one", "--", "rm", "/tmp/ready"]);
    let patient = project.read("devenv.toml");
    project.write("devenv.toml", &patient.replace("\"10m\"", "\"1s\""));
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    let way_out = "it is as it was made before: `devenv restart service.one` makes it anew";
    assert!(up.stderr.contains(way_out), "{}", up.all());
    project.write("devenv.toml", &patient);
    let restart = project.ok(&["restart", "one"]);
    let told = "restart: asked for, it runs but is not ready";
    assert!(restart.stderr.contains(told), "{}", restart.all());
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
}

#[test]
fn the_line_of_a_log_probe_may_have_left_the_log_by_now() {
    let base = image::busybox();
    // More than the engine keeps, in lines that are quickly written.
    let script = r"echo it is READY; until test -f /tmp/go; do sleep 0.1; done; head -c 50000000 /dev/zero | tr '\\0' x | fold -w 10000; touch /tmp/ready;";
    for remembered_by in ["the start", "a run that found it ready"] {
        let project = project(&base, r#"log = "it is READY", timeout = "60s""#);
        let config = project.read("devenv.toml");
        let config = config.replace("touch /tmp/ready;", script);
        project.write("devenv.toml", &config);
        project.ok(&["up"]);
        if remembered_by != "the start" {
            std::fs::remove_dir_all(project.join(".devenv")).unwrap();
            project.ok(&["up"]);
        }
        let chatter = "touch /tmp/go; until test -f /tmp/ready; do sleep 0.1; done";
        project.ok(&["exec", "service.one", "--", "sh", "-c", chatter]);
        let plan = project.ok(&["plan"]);
        assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    }
}

#[test]
fn another_probe_is_told_as_the_reason() {
    let base = image::busybox();
    let project = project(&base, r#"exec = ["test", "-f", "/tmp/ready"]"#);
    project.ok(&["up"]);
    let config = project.read("devenv.toml");
    project.write(
        "devenv.toml",
        &config.replace("\"/tmp/ready\"]", "\"/tmp/never\"]"),
    );
    let plan = project.ok(&["plan"]);
    let told = "ready.exec changed: `test -f /tmp/ready` → `test -f /tmp/never`";
    assert!(plan.stdout.contains(told), "{}", plan.all());
}

#[test]
fn a_log_probe_asks_again_after_a_restart() {
    let base = image::busybox();
    let project = project(&base, r#"log = "READY""#);
    let config = project.read("devenv.toml").replace(
        "touch /tmp/ready;",
        "test -f /tmp/ready || echo READY; touch /tmp/ready;",
    );
    project.write("devenv.toml", &config);
    project.ok(&["up"]);
    let id = project.instance("service.one");
    image::on_engine(move |engine| async move {
        let restarted = engine.restart_container(&id, None::<RestartContainerOptions>);
        restarted.await.expect("a restarted container");
    });
    let plan = project.ok(&["plan"]);
    let told = "it runs but is not ready: log line with `READY`";
    assert!(plan.stdout.contains(told), "{}", plan.all());
}

#[test]
fn a_probe_that_hangs_holds_a_plan_no_longer_than_a_start() {
    let base = image::busybox();
    let probe = r#"exec = ["sh", "-c", "test ! -f /tmp/hang || exec sleep 600"], timeout = "8s""#;
    let project = project(&base, probe);
    project.ok(&["up"]);
    project.ok(&["exec", "service.one", "--", "touch", "/tmp/hang"]);
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("no answer within 8s"),
        "{}",
        plan.all()
    );
}
