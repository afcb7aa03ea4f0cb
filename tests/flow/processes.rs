//! What a service can say of its process, and what the commands say of processes.

use crate::support::{Project, http, image, wait_until};

/// A project on processes, with these tables.
fn project(tables: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"processes\"\nruntime = \"process\"\n\n{tables}"
    ))
}

#[test]
fn a_service_waits_for_its_needs_and_keeps_its_volume() {
    let project = project(
        r#"
[service.first]
process = { command = ["sh", "-c", "echo begun >> $DATA/begun; touch there; exec sleep 1000"] }
volumes = { "/data" = "data" }
env = { DATA = "${service.first.volume.data}" }
ready = { exec = ["sh", "-c", "test -e there && test -e \"$DATA/begun\""], timeout = "20s" }
stop_grace = "1s"

[service.second]
process = { command = ["sh", "-c", "test -e there && echo after the first; exec busybox httpd -f -p ${service.second.listen} -h ."] }
ports = { http = 18386 }
needs = ["service.first"]
stop_grace = "1s"
"#,
    );
    project.write("index.html", "served\n");
    let up = project.ok(&["up", "--output", "json"]);
    let (ready, starts) = (
        up.position("step-finished", "service.first"),
        up.position("step-started", "service.second"),
    );
    assert!(ready < starts, "{}", up.all());
    assert_eq!(http::get(&project.url("service.second")), "served\n");
    let logs = project.ok(&["logs", "second"]).stdout;
    assert!(logs.contains("after the first"), "{logs}");
    project.ok(&["down"]);
    project.ok(&["up"]);
    assert_eq!(project.read(".devenv/data/data/begun"), "begun\nbegun\n");
    let down = project.ok(&["down", "--volumes"]);
    assert!(
        down.stdout.contains("Removed 1 volume: data"),
        "{}",
        down.all()
    );
    assert!(!project.join(".devenv/data/data").exists());
}

#[test]
fn a_tool_brings_the_program_and_a_secret_reaches_it_unseen() {
    let project = project(
        r#"
[toolchain.busybox]
from = "system"
version_args = ["--help"]

[service.hello]
process = { command = ["busybox", "sh", "./greeter.sh"], tool = "busybox" }
env = { TOKEN = "${secret.token}" }
stop_grace = "1s"

[secret.token]
file = "token.txt"
"#,
    );
    let script = "echo \"token $TOKEN of ${#TOKEN}\"\nexec sleep 1000\n";
    project.write("greeter.sh", script);
    project.write("token.txt", "very-secret");
    let up = project.ok(&["up"]);
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    wait_until(|| !project.ok(&["logs", "hello"]).stdout.is_empty());
    let logs = project.ok(&["logs", "hello"]).stdout;
    assert!(logs.contains("of 11"), "{logs}");
    for shown in [&logs, &up.all(), &project.ok(&["config"]).all()] {
        assert!(!shown.contains("very-secret"), "{shown}");
    }
    project.write("token.txt", "another");
    let again = project.ok(&["up"]);
    assert!(
        again.stderr.contains("secret `token` changed"),
        "{}",
        again.all()
    );
}

#[test]
fn restart_policies_hold_and_down_ends_them() {
    let project = project(
        r#"
[service.once]
process = { command = ["sh", "-c", "echo done"] }
restart = "no"

[service.again]
process = { command = ["sh", "-c", "echo run >> runs; test $(wc -l < runs) -ge 3 || exit 1; exec sleep 1000"] }
restart = "on-failure"
ready = { exec = "test $(wc -l < runs) -ge 3", timeout = "20s" }
stop_grace = "1s"
"#,
    );
    project.ok(&["up", "once"]);
    assert_eq!(project.state("service.once"), "exited (0)");
    let again = project.ok(&["up", "once"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    // It is told that it keeps exiting, or was just in time.
    project.run(&["up", "again"]);
    wait_until(|| project.read("runs").lines().count() == 3);
    wait_until(|| project.state("service.again").starts_with("running"));
    project.ok(&["down"]);
    assert_eq!(project.state("service.again"), "absent");
}

#[test]
fn what_is_told_of_processes_calls_them_so() {
    let project = project(
        "[service.old]\nprocess = { command = [\"sleep\", \"1000\"] }\n\n[service.new]\nprocess = { command = [\"sleep\", \"1000\"] }\n\n[task.t]\nrun = \"true\"\n",
    );
    let first = project.ok(&["up"]);
    assert!(first.stderr.contains("no process yet"), "{}", first.all());
    let config = project.read("devenv.toml");
    let without = "[service.old]\nprocess = { command = [\"sleep\", \"1000\"] }\n";
    project.write("devenv.toml", &config.replace(without, ""));
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Removed its process"), "{}", up.all());
    let task = project.run(&["exec", "task.t", "--", "true"]);
    let doctor = project.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("plain processes"),
        "{}",
        doctor.all()
    );
    for ran in [
        first,
        up,
        task,
        doctor,
        project.ok(&["ps"]),
        project.ok(&["down"]),
    ] {
        assert!(!ran.all().contains("container"), "{}", ran.all());
    }
}

#[test]
fn down_names_both_sides_also_as_json_and_when_the_engine_is_away() {
    let image = image::busybox();
    let project = Project::new(&format!(
        "[project]\nname = \"sides\"\n\n[service.web]\nimage = \"{}\"\ncommand = [\"sleep\", \"1000\"]\nprocess = {{ command = [\"sleep\", \"1000\"] }}\nstop_grace = \"0s\"\n",
        image.reference
    ));
    project.ok(&["up", "--runtime", "docker"]);
    let plan = project.ok(&["plan", "--runtime", "process", "--output", "json"]);
    let rows = plan.json()["steps"].clone();
    assert!(
        rows.to_string()
            .contains("it is a container, and services are plain processes now"),
        "{rows}"
    );
    let up = project.ok(&["up", "--runtime", "process", "--output", "json"]);
    assert!(up.stdout.contains("Removed its container"), "{}", up.all());
    up.events();
    // `auto` stays with what runs.
    assert!(project.ok(&["up"]).stderr.contains("Nothing to do"));
    let down = project.ok(&["down", "--runtime", "docker", "--output", "json"]);
    assert_eq!(down.json()["steps"], serde_json::json!(["service.web"]));

    project.ok(&["up", "--runtime", "process"]);
    let mut away = project.command(&["down", "--runtime", "docker"]);
    let away = away.env("DOCKER_HOST", "unix:///no/such/socket").output();
    let away = crate::support::Ran::from(away.expect("devenv runs"), project.path());
    assert_eq!(away.code, 3, "{}", away.all());
    for part in [
        "no container engine answers",
        "`--runtime process` does without one",
    ] {
        assert!(away.stderr.contains(part), "{part} in {}", away.all());
    }
    assert!(
        away.stdout.contains("Stopped 1 process: service.web"),
        "{}",
        away.all()
    );
    assert_eq!(project.on("process").state("service.web"), "absent");
}
