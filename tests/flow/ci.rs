//! `devenv ci`: the whole flow beside what is up, with things of its own that are gone at the end.

use std::{fs, process::Command};

use super::both::{Both, in_both};
use crate::support::{Project, Signal, http, wait_until};

in_both!(
    runs_everything_beside_what_is_up_and_leaves_nothing,
    what_fails_does_not_keep_the_rest_from_being_run,
    interrupted_it_takes_its_things_down,
    what_a_killed_one_left_is_taken_down_by_the_next_or_by_down,
);

const CI: &str = r#"
[task.test]
run = "echo tested"

[task.bad]
run = "echo broken; false"

[task.other]
run = "echo not for CI"

[smoke.site]
url = "${app.web.url}"
requests = [{ contains = "hello" }]

[ci]
run = ["task.test"]
"#;

fn with_ci(both: &Both) -> &Project {
    let project = &both.project;
    let config = project.read("devenv.toml");
    project.write("devenv.toml", &format!("{config}{CI}"))
}

/// What there is of runs that leave nothing.
pub(super) fn left(project: &Project) -> Vec<String> {
    let place = project.join(".devenv/ci");
    let mut found = Vec::new();
    for kind in ["container", "volume", "network"] {
        let mut list = Command::new("docker");
        list.args([kind, "ls", "-q"]);
        if kind == "container" {
            list.arg("-a");
        }
        let label = format!("label=dev.devenv.root={}", place.display());
        let output = list.args(["--filter", &label]).output().expect("docker");
        assert!(output.status.success(), "{output:?}");
        let ids = String::from_utf8(output.stdout).expect("text");
        found.extend(ids.lines().map(|id| format!("{kind} {id}")));
    }
    for folder in ["data", "run/instances"] {
        let entries = fs::read_dir(place.join(".devenv").join(folder));
        let entries = entries.into_iter().flatten();
        found.extend(entries.map(|entry| entry.expect("an entry").path().display().to_string()));
    }
    found
}

fn runs_everything_beside_what_is_up_and_leaves_nothing(both: Both) {
    let project = with_ci(&both);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let before = project.instance("app.web");

    let ran = project.ok(&["ci"]);
    for part in ["1 request answered", "| tested", "Applied 1 migration"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    for part in ["not for CI", "18085", "15434", "18086"] {
        assert!(!ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(left(project), Vec::<String>::new());
    assert_eq!(project.instance("app.web"), before);
    assert_eq!(project.sql("select count(*) from users"), "1");
    assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
    project.ok(&["plan", "--detailed-exit-code"]);
}

fn what_fails_does_not_keep_the_rest_from_being_run(both: Both) {
    let project = with_ci(&both);
    let config = project.read("devenv.toml");
    let named = config.replace(
        "run = [\"task.test\"]",
        "run = [\"task.bad\", \"task.test\"]",
    );
    project.write("devenv.toml", &named);
    let ran = project.run(&["ci"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for part in [
        "1 request answered",
        "| tested",
        "error: `echo broken; false` failed",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(left(project), Vec::<String>::new());
}

fn interrupted_it_takes_its_things_down(both: Both) {
    let project = with_ci(&both);
    for step in ["migrate.db", "app.web"] {
        let mut ci = project.start(&["ci", "--output", "json"], &[]);
        ci.wait_for("step-started", step);
        ci.signal(Signal::Interrupt);
        let ran = ci.wait();
        // The step may have been the last and done before the signal arrived.
        assert!(matches!(ran.code, 130 | 0), "{step}: {}", ran.all());
        assert_eq!(left(project), Vec::<String>::new(), "{step}");
    }
}

fn what_a_killed_one_left_is_taken_down_by_the_next_or_by_down(both: Both) {
    let project = with_ci(&both);
    let kill = || {
        let mut ci = project.start(&["ci", "--output", "json"], &[]);
        ci.wait_for("step-finished", "postgres.db");
        ci.signal(Signal::Kill);
        ci.wait();
        assert_ne!(left(project), Vec::<String>::new(), "it had a database");
    };
    kill();
    let told = "a killed `devenv ci` or hook has left what it ran";
    let ps = project.ok(&["ps"]).stderr;
    assert!(ps.contains(told), "{ps}");
    project.ok(&["ci"]);
    let ps = project.ok(&["ps"]).stderr;
    assert!(!ps.contains(told), "{ps}");
    assert_eq!(left(project), Vec::<String>::new());
    kill();
    project.ok(&["down"]);
    assert_eq!(left(project), Vec::<String>::new());
}

#[test]
fn images_of_ci_stay_for_the_next_and_go_with_those_of_the_worktree() {
    let both = Both::new("docker");
    let project = with_ci(&both);
    let images = || {
        let output = Command::new("docker")
            .args(["image", "ls", "--format", "{{.Repository}}"])
            .output()
            .expect("docker");
        let all = String::from_utf8(output.stdout).expect("text");
        let own = project.join(".devenv/ci").display().to_string();
        let id = &blake3::hash(own.as_bytes()).to_hex()[..8];
        all.lines().filter(|name| name.ends_with(id)).count()
    };
    project.ok(&["ci"]);
    assert_eq!(images(), 1);
    project.ok(&["down"]);
    assert_eq!(images(), 1);
    project.ok(&["down", "--images"]);
    assert_eq!(images(), 0);
}

#[test]
fn two_at_once_run_one_after_the_other() {
    let project = Project::new(
        "[project]\nname = \"x\"\n[task.t]\nrun = \"test ! -e busy && touch busy && cat gate && rm busy\"\n\
         [ci]\nrun = [\"task.t\"]\n",
    );
    let fifo = Command::new("mkfifo").arg(project.join("gate")).status();
    assert!(fifo.expect("coreutils").success());
    let one = project.start(&["ci", "--output", "json"], &[]);
    let two = project.start(&["ci", "--output", "json"], &[]);
    for _ in 0..2 {
        fs::write(project.join("gate"), "go\n").expect("somebody reads");
        wait_until(|| !project.join("busy").exists());
    }
    for run in [one, two] {
        let ran = run.wait();
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
}
