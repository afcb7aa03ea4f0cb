//! Services: order, every way of being ready, volumes, addresses, and what happens when one ends.

use bollard::query_parameters::StopContainerOptions;

use crate::support::{Project, engine, http, image};

fn project(image: &image::BusyboxImage, services: &str) -> Project {
    let services = services.replace("IMAGE", &image.reference);
    Project::new(&format!("[project]\nname = \"services\"\n{services}"))
}

#[test]
fn each_starts_when_what_it_needs_is_ready_by_exec_log_and_tcp() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.first]
image = "IMAGE"
command = ["sh", "-c", "sleep 0.3; touch /tmp/there; exec sleep 600"]
ready = { exec = ["test", "-f", "/tmp/there"] }
stop_grace = "0s"

[service.second]
image = "IMAGE"
command = ["sh", "-c", "sleep 0.3; echo now I am listening; exec sleep 600"]
ready = { log = "am listening" }
needs = ["service.first"]
stop_grace = "0s"

[service.third]
image = "IMAGE"
command = ["sh", "-c", "sleep 0.3; exec httpd -f -p 7000 -h /data"]
ports = { web = { container = 7000, host = 17000 } }
ready = { tcp = "web" }
needs = ["service.second"]
stop_grace = "0s"
"#,
    );
    let up = project.ok(&["up", "--output", "json"]);
    for (before, after) in [("first", "second"), ("second", "third")] {
        let ready = up.position("step-finished", &format!("service.{before}"));
        let started = up.position("step-started", &format!("service.{after}"));
        assert!(ready < started, "{}", up.all());
    }
    let second = project.ok(&["up"]);
    assert!(second.stderr.contains("Nothing to do"), "{}", second.all());
}

#[test]
fn volumes_outlive_the_container_and_folders_of_the_project_are_seen() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.store]
image = "IMAGE"
command = ["sh", "-c", "echo again >> /store/runs; cat /etc/motd; exec sleep 600"]
volumes = { "/store" = "runs", "/etc/motd" = { path = "motd", read_only = true }, "/shared" = "./shared" }
ready = { log = "a file" }
stop_grace = "0s"
"#,
    );
    project.write("motd", "a file of the project\n");
    project.write("shared/greeting", "hello\n");
    project.ok(&["up"]);
    let logs = project.ok(&["logs", "service.store"]);
    assert_eq!(logs.stdout, "a file of the project\n");
    let inside = |script: &str| project.run(&["exec", "service.store", "--", "sh", "-c", script]);
    assert_eq!(inside("cat /shared/greeting").stdout, "hello\n");
    assert_eq!(inside("echo written > /shared/back").code, 0);
    assert_eq!(project.read("shared/back"), "written\n");
    assert_ne!(inside("echo no > /etc/motd").code, 0, "it is read-only");

    project.ok(&["down"]);
    project.ok(&["up"]);
    assert_eq!(inside("cat /store/runs").stdout, "again\nagain\n");
    let down = project.ok(&["down", "--volumes"]);
    assert!(
        down.stdout.contains("Removed 1 volume: runs"),
        "{}",
        down.all()
    );
    project.ok(&["up"]);
    assert_eq!(inside("cat /store/runs").stdout, "again\n");
}

#[test]
fn a_folder_to_mount_that_is_missing_is_told_with_its_place_before_anything_starts() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.first]
image = "IMAGE"
command = ["sleep", "600"]
volumes = { "/here" = "./here", "/etc/there.conf" = "./there.conf" }
stop_grace = "0s"
"#,
    );
    project.write("here/file", "");
    for args in [&["plan"][..], &["up"]] {
        let ran = project.run(args);
        assert_eq!(ran.code, 2, "{}", ran.all());
        for part in [
            "`service.first` mounts `[ROOT]/there.conf`, which does not exist",
            "devenv.toml:7:33",
            "create the file",
        ] {
            assert!(ran.stderr.contains(part), "{part} in {}", ran.all());
        }
    }
    assert_eq!(project.state("service.first"), "absent");
    project.write("there.conf", "");
    project.ok(&["up"]);
    // What runs keeps what it has mounted.
    std::fs::remove_file(project.join("there.conf")).unwrap();
    project.ok(&["plan"]);

    // Elsewhere it is the engine that looks.
    let config = project.read("devenv.toml");
    let config = config.replace("./there.conf", "/nonexistent/there.conf");
    project.write("devenv.toml", &config);
    let up = project.run(&["up"]);
    assert_eq!(up.code, 2, "{}", up.all());
    for part in ["mounts `/nonexistent/there.conf`", "devenv.toml:7:33"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn what_is_mounted_may_be_made_by_a_step_before() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[task.make]
run = "echo made > made.conf"
inputs = ["devenv.toml"]
outputs = ["made.conf"]

[service.first]
image = "IMAGE"
command = ["sh", "-c", "cat /made.conf; exec sleep 600"]
volumes = { "/made.conf" = "./made.conf" }
ready = { log = "made" }
needs = ["task.make"]
stop_grace = "0s"
"#,
    );
    project.ok(&["plan"]);
    project.ok(&["up"]);
}

#[test]
fn a_reference_is_the_network_address_in_a_container_and_the_published_port_on_the_host() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.web]
image = "IMAGE"
command = ["sh", "-c", "mkdir /tmp/www; echo hi > /tmp/www/index.html; exec httpd -f -p 7000 -h /tmp/www"]
ports = { http = { container = 7000, host = 17100 } }
ready = { http = "/" }
stop_grace = "0s"

[service.client]
image = "IMAGE"
command = ["sh", "-c", "echo $URL at ${service.web.host} ${service.web.port}; exec sleep 600"]
env = { URL = "${service.web.url}" }
stop_grace = "0s"

[task.ask]
run = "echo $URL $PORT > answer.txt"
env = { URL = "${service.web.url}", PORT = "${service.web.port.http}" }
"#,
    );
    let up = project.ok(&["up", "--output", "json"]);
    let ready = up.position("step-finished", "service.web");
    assert!(ready < up.position("step-started", "service.client"));
    assert_eq!(
        project.ok(&["logs", "service.client"]).stdout,
        "http://web:7000 at web 7000\n"
    );
    let reached = project.ok(&[
        "exec",
        "service.client",
        "--",
        "sh",
        "-c",
        "echo 'GET / HTTP/1.0' | nc web 7000",
    ]);
    assert!(reached.stdout.contains("200 OK"), "{}", reached.all());

    project.ok(&["run", "ask"]);
    let answer = project.read("answer.txt");
    let (url, port) = answer.trim().split_once(' ').unwrap();
    assert_eq!(url, project.url("service.web"));
    assert!(url.ends_with(port), "{answer}");
    assert_eq!(http::get(url), "hi\n");
}

#[test]
fn one_that_ends_is_shown_and_started_again_by_the_next_up() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.short]
image = "IMAGE"
command = ["sh", "-c", "test -f /store/again && exec sleep 600; until test -f /tmp/end; do sleep 0.05; done; touch /store/again; exit 3"]
volumes = { "/store" = "store" }
restart = "no"
stop_grace = "0s"
"#,
    );
    project.ok(&["up"]);
    project.ok(&["exec", "service.short", "--", "touch", "/tmp/end"]);
    engine::wait_for_end(&project.instance("service.short"));
    assert_eq!(project.state("service.short"), "exited (3)");
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("it exited with code 3"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(project.state("service.short"), "running");
}

#[test]
fn one_that_fails_before_it_is_ready_is_reported_although_it_is_restarted() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.failing]
image = "IMAGE"
command = ["sh", "-c", "echo again >> /store/runs; test $(cat /store/runs | busybox wc -l) -gt 2 && { echo third time; exec sleep 600; }; exit 1"]
volumes = { "/store" = "store" }
restart = "on-failure"
ready = { log = "third time" }
stop_grace = "0s"
"#,
    );
    let up = project.run(&["up"]);
    // One that restarts while it is waited for is reported, it does not count as ready.
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(up.stderr.contains("exited"), "{}", up.all());
}

#[test]
fn a_program_that_the_image_does_not_have_is_said_so() {
    let base = image::busybox();
    let project = project(
        &base,
        "[service.broken]\nimage = \"IMAGE\"\ncommand = [\"sh\", \"-c\", \"no-such-program\"]\nrestart = \"no\"\nready = { log = \"never\", timeout = \"10m\" }\n",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    let help = "the image has no such program: check `command` and `entrypoint`";
    assert!(up.stderr.contains(help), "{}", up.all());
}

#[test]
fn a_volume_that_is_kept_is_named_and_one_that_is_not_there_is_not() {
    let base = image::busybox();
    let plain = "[service.web]\nimage = \"IMAGE\"\nstop_grace = \"0s\"\n";
    let project = project(&base, plain);
    project.ok(&["up"]);
    let down = project.ok(&["down"]);
    assert_eq!(down.stdout, "Stopped 1 container: service.web\n");

    let config = project.read("devenv.toml") + "volumes = { \"/data\" = \"data\" }\n";
    project.write("devenv.toml", &config);
    project.ok(&["up"]);
    let down = project.ok(&["down"]);
    let kept = "Kept 1 volume: data; `devenv down --volumes` removes it\n";
    assert!(down.stdout.ends_with(kept), "{}", down.all());
}

#[test]
fn without_a_probe_one_that_exits_at_once_is_reported_whether_or_not_it_is_restarted() {
    let base = image::busybox();
    for (restart, code) in [
        ("no", 3),
        ("on-failure", 3),
        ("unless-stopped", 3),
        ("unless-stopped", 0),
    ] {
        let project = project(
            &base,
            &format!(
                r#"
[service.broken]
image = "IMAGE"
command = ["sh", "-c", "echo no configuration found; exit {code}"]
restart = "{restart}"
stop_grace = "0s"
"#
            ),
        );
        let up = project.run(&["up"]);
        assert_eq!(up.code, 1, "{restart}: {}", up.all());
        let said = format!("`service.broken` exited with code {code} right after it was started");
        for part in [
            said.as_str(),
            "devenv.toml:4:1",
            "no configuration found",
            "help: ",
        ] {
            assert!(
                up.stderr.contains(part),
                "{restart}: {part} in {}",
                up.all()
            );
        }
        if restart == "no" {
            // As long as nothing is changed, the next one says so again.
            let up = project.run(&["up"]);
            assert_eq!(up.code, 1, "{restart}: {}", up.all());
            assert!(up.stderr.contains(&said), "{}", up.all());
        }
    }
}

const ONE_SHOT: &str = r#"
[service.once]
image = "IMAGE"
command = ["sh", "-c", "echo ran >> /store/runs"]
volumes = { "/store" = "store" }
restart = "no"
stop_grace = "0s"

[service.after]
image = "IMAGE"
command = ["sh", "-c", "cat /store/runs; exec sleep 600"]
volumes = { "/store" = "store" }
ready = { log = "ran" }
needs = ["service.once"]
stop_grace = "0s"
"#;

#[test]
fn one_that_has_something_to_do_and_ends_is_done_until_something_changes() {
    let base = image::busybox();
    let project = project(&base, ONE_SHOT);
    let runs = || {
        let cat = ["exec", "service.after", "--", "cat", "/store/runs"];
        project.ok(&cat).stdout.lines().count()
    };
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Ran to its end"), "{}", up.all());
    assert_eq!(project.state("service.once"), "exited (0)");
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    assert_eq!(runs(), 1);

    project.ok(&["restart", "service.once"]);
    assert_eq!(runs(), 2);
    let config = project.read("devenv.toml");
    project.write(
        "devenv.toml",
        &config.replace("echo ran >>", "echo ran again >>"),
    );
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("command.2 changed"), "{}", up.all());
    assert_eq!(runs(), 3);
}

#[test]
fn one_that_was_stopped_is_started_again_although_it_exited_with_0() {
    let base = image::busybox();
    let project = project(
        &base,
        r#"
[service.polite]
image = "IMAGE"
command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
restart = "no"
"#,
    );
    project.ok(&["up"]);
    let id = project.instance("service.polite");
    image::on_engine(move |engine| async move {
        let stopped = engine
            .stop_container(&id, None::<StopContainerOptions>)
            .await;
        stopped.expect("a stopped container");
    });
    assert_eq!(project.state("service.polite"), "exited (0)");
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("it exited with code 0"), "{}", up.all());
    assert_eq!(project.state("service.polite"), "running");
}
