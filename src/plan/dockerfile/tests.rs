use crate::{
    config::{self, StepId},
    plan::{FileCache, Locked, Plan, sources},
};

/// Two images, of a Dockerfile each, and an app.
const FILE: &str = r#"
[project]
name = "x"
[image.a]
ref = "base:1"
dockerfile = "a"
[image.b]
ref = "tools"
dockerfile = { path = "b", args = { BASE = "base" } }
[image.other]
ref = "other"
[app.web]
build = { dockerfile = "web" }
[service.one]
image = "tools"
"#;

fn plan(files: &[(&str, &str)]) -> Plan {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in [(config::FILE, FILE)].iter().chain(files) {
        std::fs::write(dir.path().join(path), text).expect("written");
    }
    let config = config::load(dir.path()).expect("a good file");
    let cache = FileCache::load(dir.path(), &dir.path().join("cache"));
    let sources = sources(dir.path(), &config, &cache).expect("readable");
    Plan::build(&config, &Locked::new(), &sources)
}

fn check(files: &[(&str, &str)], step: &str, expected: &[&str]) {
    let id: StepId = step.parse().expect("a step id");
    let plan = plan(files);
    let step = &plan.steps[&id];
    let feeds: Vec<_> = step.feeds.iter().map(ToString::to_string).collect();
    assert_eq!(feeds, expected, "{files:?}");
    assert!(step.needs.is_superset(&step.feeds));
}

#[test]
fn a_build_feeds_on_the_images_that_its_dockerfile_names() {
    check(&[("web", "FROM debian\n")], "build.web", &[]);
    check(&[("web", "FROM base:1\n")], "build.web", &["image.a"]);
    check(
        &[(
            "web",
            "FROM base:2 AS other\nCOPY --from=docker.io/library/tools:latest / /\nFROM other\n",
        )],
        "build.web",
        &["image.b"],
    );
    check(
        &[("b", "ARG BASE\nFROM $BASE:1\n")],
        "image.b",
        &["image.a"],
    );
    check(&[("a", "FROM scratch\n")], "image.a", &[]);
}

#[test]
fn a_dockerfile_that_cannot_be_read_names_nothing() {
    check(&[], "build.web", &[]);
    check(&[], "image.b", &[]);
}

#[test]
fn images_on_each_other_are_a_circle() {
    let circle = |files| {
        let error = plan(files).graph().order().expect_err("a circle");
        error.to_string()
    };
    assert_eq!(
        circle(&[("a", "FROM tools\n"), ("b", "FROM base:1\n")]),
        "steps need each other: `image.a` → `image.b` → `image.a`"
    );
    assert_eq!(
        circle(&[("a", "FROM base:1\n")]),
        "steps need each other: `image.a` → `image.a`"
    );
}

#[test]
fn what_a_dockerfile_says_is_part_of_the_hash_and_of_no_definition() {
    let [one, two] = ["FROM x\n", "FROM y\n"].map(|text| plan(&[("web", text)]));
    assert_ne!(one.hash, two.hash);
    for (id, step) in &one.steps {
        assert_eq!(step.definition, two.steps[id].definition, "{id}");
    }
}
