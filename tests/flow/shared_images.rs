//! Worktrees whose files say different things of one reference.

use std::collections::BTreeSet;

use crate::support::{Project, Ran, engine, http, image};

/// A reference that the projects of one test share.
struct Shared {
    base: std::sync::Arc<image::BusyboxImage>,
    reference: String,
    _removed: image::Removed,
}

impl Shared {
    fn new() -> Self {
        let reference = format!("devenv-test-shared:{}", image::unique());
        Self {
            base: image::busybox(),
            _removed: image::Removed(reference.clone()),
            reference,
        }
    }

    /// Has the reference with this version in it, and a service that runs it.
    fn project(&self, version: &str, more: &str) -> Project {
        let reference = &self.reference;
        let project = Project::new(&format!(
            r#"[project]
name = "shared"

[image.own]
ref = "{reference}"
dockerfile = {{ path = "own/Dockerfile", context = "own" }}

[service.one]
image = "{reference}"
command = ["sleep", "600"]
stop_grace = "0s"
{more}"#
        ));
        let dockerfile = format!("FROM {}\nCOPY version /version\n", self.base.reference);
        project.write("own/Dockerfile", &dockerfile);
        project.write("own/version", version);
        project
    }
}

fn version(project: &Project) -> String {
    project
        .ok(&["exec", "service.one", "--", "cat", "/version"])
        .stdout
}

#[track_caller]
fn has_nothing_to_do(project: &Project) {
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Nothing to do"), "{}", up.all());
}

fn row_of(ran: &Ran, step: &str) -> String {
    let mut lines = ran.stdout.lines();
    let row = lines.find(|line| line.starts_with(step));
    row.unwrap_or_else(|| panic!("no {step} in {}", ran.all()))
        .to_owned()
}

#[test]
fn who_comes_first_has_the_reference_and_the_other_a_tag_of_its_own() {
    let shared = Shared::new();
    let (one, two) = (shared.project("1\n", ""), shared.project("2\n", ""));
    one.ok(&["up"]);
    let plan = two.ok(&["plan"]);
    let reason = "was built elsewhere from another definition: this one gets a tag of its own";
    assert!(plan.stdout.contains(reason), "{}", plan.all());
    two.ok(&["up"]);
    for (project, expected) in [(&one, "1\n"), (&two, "2\n")] {
        has_nothing_to_do(project);
        assert_eq!(version(project), expected);
        let row = row_of(&project.ok(&["ps"]), "service.one");
        assert!(row.contains(&shared.reference), "{row}");
        assert!(row.contains("dockerfile"), "{row}");
    }

    // Each edits its own definition: the other is not touched.
    for (project, other, edited) in [(&one, &two, "3\n"), (&two, &one, "4\n")] {
        project.write("own/version", edited);
        let up = project.ok(&["up"]);
        assert!(up.stderr.contains("`version` changed"), "{}", up.all());
        assert_eq!(version(project), edited);
        has_nothing_to_do(project);
        has_nothing_to_do(other);
    }

    // The same definition in the end: nobody has to move.
    two.write("own/version", "3\n");
    two.ok(&["up"]);
    assert_eq!(version(&two), "3\n");
    has_nothing_to_do(&one);
    has_nothing_to_do(&two);
}

#[test]
fn two_at_once_have_nothing_to_do_the_second_time() {
    let shared = Shared::new();
    let (one, two) = (shared.project("1\n", ""), shared.project("2\n", ""));
    let running = [&one, &two].map(|project| project.start(&["up", "--output", "json"], &[]));
    for running in running {
        let ran = running.wait();
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    has_nothing_to_do(&one);
    has_nothing_to_do(&two);
    assert_eq!((version(&one), version(&two)), ("1\n".into(), "2\n".into()));
}

#[test]
fn apps_are_built_on_the_worktrees_own_image() {
    let shared = Shared::new();
    let apps = format!(
        r#"
[app.web]
build = {{ dockerfile = {{ context = "web", path = "web/Dockerfile" }} }}
ports = {{ http = 8080 }}
ready = {{ http = "/" }}
stop_grace = "0s"

[app.laid]
build = {{ run = "mkdir -p out && cp laid.sh out/laid && chmod +x out/laid", artifact = "out/laid", base = "{}", inputs = ["laid.sh"] }}
ports = {{ http = 8080 }}
ready = {{ http = "/" }}
stop_grace = "0s"
"#,
        shared.reference
    );
    let serve =
        "mkdir -p /tmp/www && cp /version /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www";
    let projects = ["1\n", "2\n"].map(|version| {
        let project = shared.project(version, &apps);
        project.write("laid.sh", &format!("#!/bin/sh\n{serve}\n"));
        let from = format!(
            "FROM {0} AS first\nFROM {0}\nCOPY --from=first /version /first\nRUN cmp /version /first\nCMD [\"sh\", \"-c\", \"{serve}\"]\n",
            shared.reference
        );
        project.write("web/Dockerfile", &from);
        project.ok(&["up"]);
        (project, version)
    });
    for (project, version) in &projects {
        assert_eq!(http::get(&project.url("app.web")), *version);
        assert_eq!(http::get(&project.url("app.laid")), *version);
        has_nothing_to_do(project);
    }
}

#[test]
fn an_image_that_vanishes_before_its_container_is_made_is_had_again() {
    let shared = Shared::new();
    let other = shared.project("2\n", "");
    // Another project takes the reference in between.
    let remove = format!(
        "needs = [\"task.remove\"]\n\n[task.remove]\nrun = \"docker image rm {} && {} -C {} up\"\nneeds = [\"image.own\"]\n",
        shared.reference,
        env!("CARGO_BIN_EXE_devenv"),
        other.path().display(),
    );
    let project = shared.project("1\n", &remove);
    let up = project.ok(&["up"]);
    assert_eq!(version(&project), "1\n", "{}", up.all());
    assert_eq!(version(&other), "2\n");
    let config = project.read("devenv.toml");
    let without = config.replace("needs = [\"task.remove\"]\n", "");
    project.write("devenv.toml", &without);
    has_nothing_to_do(&project);
    has_nothing_to_do(&other);
}

#[test]
fn down_removes_what_was_built_here_and_leaves_what_others_use() {
    let shared = Shared::new();
    let [one, same, other] = ["1\n", "1\n", "2\n"].map(|version| {
        let project = shared.project(version, "");
        project.ok(&["up"]);
        project
    });
    let down = |project: &Project| project.ok(&["down", "--volumes", "--images"]).stdout;
    // Its tag of its own.
    let text = down(&other);
    assert!(text.contains(":image.own"), "{text}");
    assert_eq!(engine::things_of(&other), BTreeSet::new());
    // In use by one of the same definition, which did not build it.
    let text = down(&one);
    assert!(!text.contains(&shared.reference), "{text}");
    has_nothing_to_do(&same);
    let text = down(&same);
    assert!(!text.contains(&shared.reference), "{text}");
    let text = down(&one);
    assert!(text.contains(&shared.reference), "{text}");

    let plan = same.ok(&["plan"]);
    assert!(
        plan.stdout.contains("no image on the engine"),
        "{}",
        plan.all()
    );
}

#[test]
fn a_copy_of_the_folder_did_not_build_what_the_original_did() {
    let shared = Shared::new();
    let [original, copy] = [shared.project("1\n", ""), shared.project("1\n", "")];
    original.ok(&["up"]);
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([original.join(".devenv"), copy.join(".devenv")])
        .status();
    assert!(copied.expect("cp runs").success());
    copy.write("own/version", "2\n");
    let plan = copy.ok(&["plan"]);
    assert!(
        plan.stdout.contains("was built elsewhere"),
        "{}",
        plan.all()
    );
    copy.ok(&["up"]);
    has_nothing_to_do(&original);
    has_nothing_to_do(&copy);
    assert_eq!(
        (version(&original), version(&copy)),
        ("1\n".into(), "2\n".into())
    );
    // Nor does it remove it, though no container uses it.
    original.ok(&["down"]);
    let down = copy.ok(&["down", "--volumes", "--images"]).stdout;
    assert!(!down.contains(&shared.reference), "{down}");
    let plan = original.ok(&["plan"]).stdout;
    assert!(!plan.contains("no image on the engine"), "{plan}");
}

#[test]
fn what_was_built_here_stays_known_without_the_folder_of_devenv() {
    let shared = Shared::new();
    let [project, other] = ["1\n", "2\n"].map(|version| shared.project(version, ""));
    project.ok(&["up"]);
    other.ok(&["up"]);
    let forget = |project: &Project| {
        std::fs::remove_dir_all(project.join(".devenv")).expect("removed");
    };
    forget(&project);
    has_nothing_to_do(&project);
    // An edited definition moves the reference, as ever.
    forget(&project);
    project.write("own/version", "3\n");
    let plan = project.ok(&["plan"]);
    assert!(
        !plan.stdout.contains("was built elsewhere"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(version(&project), "3\n");
    let things = engine::things_of(&project);
    let own = |thing: &&String| thing.starts_with("image");
    assert_eq!(things.iter().find(own), None);

    // Another's stays, and its own goes.
    for project in [&other, &project] {
        forget(project);
    }
    let down = other.ok(&["down", "--volumes", "--images"]).stdout;
    assert!(!down.contains(&shared.reference), "{down}");
    has_nothing_to_do(&project);
    forget(&project);
    let down = project.ok(&["down", "--volumes", "--images"]).stdout;
    assert!(down.contains(&shared.reference), "{down}");
    let plan = project.ok(&["plan"]).stdout;
    assert!(plan.contains("no image on the engine"), "{plan}");
}
