//! Tasks that run in an image.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use crate::support::{Project, Ran, Signal, engine, image::BusyboxImage, wait_until};

/// Of user and group: one that no image knows.
const SOMEBODY: u32 = 54321;

fn project(image: &BusyboxImage, task: &str) -> Project {
    let image = &image.reference;
    Project::new(&format!(
        "[project]\nname = \"tasks\"\n\n[task.one]\nin = \"{image}\"\n{task}"
    ))
}

/// Containers of the project, running or not.
fn containers(project: &Project) -> Vec<String> {
    let things = engine::things_of(project).into_iter();
    things
        .filter(|thing| thing.starts_with("container"))
        .collect()
}

#[test]
fn it_writes_as_the_caller_and_sees_what_is_declared_alone() {
    let image = BusyboxImage::import();
    let project = project(
        &image,
        r#"run = "env > seen.txt; pwd; cat in.txt; echo complained >&2"
inputs = ["in.txt"]
outputs = ["seen.txt"]
env = { LEVEL = "${env.THE_LEVEL:-info}" }
pass = ["PROFILE", "NOT_SET"]
"#,
    );
    project.write("in.txt", "content\n");
    let socket = fs::metadata("/var/run/docker.sock")
        .expect("an engine")
        .gid();
    for path in ["", "in.txt", "devenv.toml"] {
        chown(project.join(path), Some(SOMEBODY), Some(SOMEBODY)).expect("given away");
    }
    let run = || {
        let mut command = project.command(&["run", "one"]);
        command.env("PROFILE", "sesame").env("HIDDEN", "seen");
        command.env("HOME", project.path());
        // The engine's group, and nothing else of root's.
        let mut as_other = std::process::Command::new("setpriv");
        as_other
            .args([format!("--reuid={SOMEBODY}"), format!("--regid={SOMEBODY}")])
            .arg(format!("--groups={socket}"))
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(project.path())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        Ran::from(as_other.output().expect("setpriv"), project.path())
    };
    let ran = run();
    assert_eq!(ran.code, 0, "{}", ran.all());
    for part in ["| /project", "| content", "| complained"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.all());
    }
    let seen = project.join("seen.txt").metadata().expect("written");
    assert_eq!((seen.uid(), seen.gid()), (SOMEBODY, SOMEBODY));
    let mut names: Vec<_> = project
        .read("seen.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    names.retain(|line| {
        !["HOSTNAME", "PATH", "HOME", "PWD", "SHLVL"]
            .contains(&line.split('=').next().unwrap_or(""))
    });
    names.sort();
    assert_eq!(names, ["LEVEL=info", "PROFILE=sesame"]);
    assert_eq!(containers(&project), [""; 0]);

    fs::remove_file(project.join("seen.txt")).expect("removed");
    let hit = run();
    assert!(hit.stderr.contains("restored 1 file"), "{}", hit.all());
    assert!(hit.stderr.contains("| complained"), "{}", hit.all());
}

#[test]
fn a_failure_says_where_it_stands_and_nothing_is_left() {
    let image = BusyboxImage::import();
    let project = project(&image, "run = \"echo it is broken; exit 3\"\n");
    let ran = project.run(&["run", "one"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for part in ["| it is broken", "failed with code 3", "devenv.toml:6:"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.all());
    }
    assert_eq!(containers(&project), [""; 0]);
}

#[test]
fn one_that_takes_too_long_is_removed() {
    let image = BusyboxImage::import();
    let project = project(&image, "run = [\"sleep\", \"1000\"]\ntimeout = \"2s\"\n");
    let ran = project.run(&["run", "one"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("took longer than 2s"), "{}", ran.all());
    assert_eq!(containers(&project), [""; 0]);
}

#[test]
fn one_that_is_interrupted_is_asked_to_end_and_removed() {
    let image = BusyboxImage::import();
    let project = project(
        &image,
        "run = \"trap 'echo asked > asked.txt; exit 0' TERM; echo up; while :; do sleep 0.1; done\"\n",
    );
    let mut running = project.start(&["run", "one", "--output", "json"], &[]);
    running.wait_for("step-log", "task.one");
    running.signal(Signal::Interrupt);
    let ran = running.wait();
    assert_eq!(ran.code, 130, "{}", ran.all());
    assert_eq!(project.read("asked.txt"), "asked\n");
    assert_eq!(containers(&project), [""; 0]);
}

#[test]
fn what_a_killed_one_left_is_removed_by_the_next_command() {
    let image = BusyboxImage::import();
    let project = project(
        &image,
        "run = \"echo up; sleep 1000\"\n\n[task.two]\nrun = \"true\"\n",
    );
    let mut running = project.start(&["run", "one", "--output", "json"], &[]);
    running.wait_for("step-log", "task.one");
    running.signal(Signal::Kill);
    assert_eq!(containers(&project).len(), 1);
    // Nobody has waited for the killed one yet, so its pid is still taken.
    project.ok(&["run", "two"]);
    wait_until(|| containers(&project).is_empty());
    drop(running);
    assert!(!project.join(".devenv/one-shots").exists());
}

#[test]
fn without_containers_it_says_so_at_its_line() {
    let project = Project::new(
        "[project]\nname = \"tasks\"\n\n[task.one]\nrun = \"true\"\nin = \"busybox\"\n",
    );
    let project = project.on("process");
    for args in [&["run", "one"][..], &["plan", "task.one"]] {
        let ran = project.run(args);
        assert_eq!(ran.code, 2, "{}", ran.all());
        for part in [
            "`task.one` runs in an image",
            "devenv.toml:6:",
            "--runtime docker",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.all());
        }
    }
}
