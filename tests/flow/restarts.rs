//! Something that exits again and again is not up to date while it happens to run.

use std::fs;

use crate::support::{Project, image, wait_until};

/// Runs until `store/crash` is there, then exits a little later, every time it is started.
fn crashing(image: &image::BusyboxImage) -> Project {
    let project = Project::new(&format!(
        r#"
[project]
name = "crashing"

[service.shaky]
image = "{}"
command = ["sh", "-c", "until test -f /store/crash; do touch /store/waits; sleep 0.05; done; echo it is broken; sleep 0.4; exit 4"]
volumes = {{ "/store" = "./store" }}
stop_grace = "0s"
"#,
        image.reference
    ));
    project.write("store/README", "");
    project
}

#[test]
fn what_keeps_exiting_is_told_watched_and_up_to_date_once_it_stays_up() {
    let base = image::busybox();
    let project = crashing(&base);
    let waits = project.join("store/waits");
    project.ok(&["up"]);
    wait_until(|| waits.exists());
    project.write("store/crash", "");
    wait_until(|| {
        let state = project.state("service.shaky");
        state.starts_with("restarting (")
    });
    fs::remove_file(&waits).unwrap();

    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("restarted"), "{}", plan.all());
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["`service.shaky`", "exited with code 4", "it is broken"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
    for args in [&["plan"][..], &["up"]] {
        let ran = project.run(args);
        let all = ran.all();
        assert!(
            !all.contains("No changes") && !all.contains("Nothing to do"),
            "{all}"
        );
    }

    fs::remove_file(project.join("store/crash")).unwrap();
    wait_until(|| waits.exists());
    project.ok(&["up"]);
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
}
