//! Being ready, seen by the commands that look at what runs.

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
