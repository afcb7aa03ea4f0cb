//! Files of the project that cannot be read: who only looks or stops does so all the same.

use std::fs;

use super::both::{Both, in_both};
use crate::support::{Project, Ran};

in_both!(
    a_broken_lock_stops_only_who_needs_it,
    down_stops_all_without_a_file_that_can_be_read,
);

/// As a merge leaves it.
const LOCK: &str = "version = 1\n<<<<<<< HEAD\n";

fn a_broken_lock_stops_only_who_needs_it(both: Both) {
    let project = &both.project;
    project.ok(&["up"]);
    project.write("devenv.lock", LOCK);
    for args in [
        &["ps"][..],
        &["logs", "echo"],
        &["exec", "echo", "--", "true"],
        &["exec", "--", "true"],
        &["env"],
        &["psql", "--", "-c", "select 1"],
        &["migrate", "status"],
    ] {
        let ran = project.ok(args);
        let warnings = ran.stderr.matches("warning: devenv.lock:2:").count();
        assert_eq!(warnings, 1, "{args:?}: {}", ran.all());
    }
    for args in [
        &["up"][..],
        &["plan"],
        &["restart", "echo"],
        &["run", "migrate.db"],
    ] {
        let ran = project.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.all());
        for part in ["--> devenv.lock:2:", "restore the file from git"] {
            assert!(ran.stderr.contains(part), "{part} in {}", ran.all());
        }
    }
    let down = project.ok(&["down"]);
    assert!(down.stdout.contains("Stopped 3"), "{}", down.all());
    assert_eq!(project.state("app.web"), "absent");
}

fn down_stops_all_without_a_file_that_can_be_read(both: Both) {
    let project = &both.project;
    let config = project.read("devenv.toml");
    let file = project.join("devenv.toml");
    let breaks: [&dyn Fn(); 4] = [
        &|| fs::write(&file, "[project\n").expect("written"),
        &|| fs::write(&file, "[app.web]\nbuidl = 1\n").expect("written"),
        &|| fs::remove_file(&file).expect("removed"),
        &|| {
            fs::remove_file(&file).expect("removed");
            fs::create_dir(&file).expect("a folder");
        },
    ];
    for (index, broken) in breaks.iter().enumerate() {
        project.ok(&["up"]);
        broken();
        project.write("devenv.lock", LOCK);
        let down = down_by_itself(project);
        assert_eq!(down.code, 0, "{index}: {}", down.all());
        assert!(down.stdout.contains("Stopped 3"), "{index}: {}", down.all());
        assert!(down.stderr.contains("error: "), "{index}: {}", down.all());
        let _ = fs::remove_dir(&file);
        project.write("devenv.toml", &config);
        fs::remove_file(project.join("devenv.lock")).expect("removed");
        assert_eq!(project.state("app.web"), "absent");
    }
    project.ok(&["up"]);
    assert_eq!(project.sql("select count(*) from users"), "0");
    // Also from a folder below, and the data on request.
    fs::remove_file(&file).expect("removed");
    let mut down = project.command(&["-C", "migrations", "down", "--volumes"]);
    let output = down.env_remove("DEVENV_RUNTIME").output();
    let down = Ran::from(output.expect("devenv runs"), project.path());
    assert_eq!(down.code, 0, "{}", down.all());
    assert!(down.stdout.contains("Removed 1 volume"), "{}", down.all());
    project.write("devenv.toml", &config);
}

/// With nothing that says which runtime it is.
fn down_by_itself(project: &Project) -> Ran {
    let mut down = project.command(&["down"]);
    let output = down.env_remove("DEVENV_RUNTIME").output();
    Ran::from(output.expect("devenv runs"), project.path())
}

#[test]
fn without_a_file_and_with_nothing_made_there_is_no_project() {
    let project = Project::new("");
    fs::remove_file(project.join("devenv.toml")).expect("removed");
    let down = project.run(&["down"]);
    assert_eq!(down.code, 2, "{}", down.all());
    assert!(
        down.stderr.contains("no `devenv.toml` in"),
        "{}",
        down.all()
    );
    assert!(!project.join(".devenv").exists());
}

#[test]
fn containers_are_found_without_any_file_of_the_project() {
    let both = Both::new("docker");
    let project = &both.project;
    project.ok(&["up", "echo"]);
    let config = project.read("devenv.toml");
    fs::remove_file(project.join("devenv.toml")).expect("removed");
    fs::remove_dir_all(project.join(".devenv")).expect("removed");
    let down = down_by_itself(project);
    assert!(down.stdout.contains("Stopped 2"), "{}", down.all());
    project.write("devenv.toml", &config);
}
