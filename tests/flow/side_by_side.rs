//! Two copies of a project never meet: not in names, networks, data or ports.

use super::postgres::full_project;
use crate::support::{engine, http, image};

#[test]
fn two_folders_with_the_same_project_name_run_at_once() {
    let images = image::postgres();
    let (one, two) = (full_project(&images), full_project(&images));
    let first = one.start(&["up", "--output", "json"], &[]);
    let second = two.start(&["up", "--output", "json"], &[]);
    for ran in [first.wait(), second.wait()] {
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    let (url_one, url_two) = (one.url("app.web"), two.url("app.web"));
    assert_ne!(url_one, url_two);
    for url in [&url_one, &url_two] {
        assert_eq!(http::get(url), "hello from the test\n");
    }

    one.sql("insert into users values ('ada')");
    assert_eq!(one.sql("select count(*) from users"), "1");
    assert_eq!(two.sql("select count(*) from users"), "0");

    one.ok(&["down", "--volumes"]);
    assert_eq!(http::get(&url_two), "hello from the test\n");
    assert_eq!(two.sql("select count(*) from users"), "0");
}

#[test]
fn a_renamed_project_keeps_its_containers_and_its_data() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let database = project.instance("postgres.db");
    let config = project.read("devenv.toml");
    project.write(
        "devenv.toml",
        &config.replace("name = \"web\"", "name = \"renamed\""),
    );
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    project.ok(&["up"]);
    assert_eq!(project.instance("postgres.db"), database);
    assert_eq!(project.sql("select name from users"), "ada");

    // Nothing proves any more that this was the same project: its data is told, not taken.
    project.ok(&["down"]);
    std::fs::remove_dir_all(project.join(".devenv")).unwrap();
    let up = project.ok(&["up"]);
    assert!(
        up.stderr.contains("set `name` back to use it"),
        "{}",
        up.all()
    );
    assert_eq!(project.sql("select count(*) from users"), "0");
    project.ok(&["down", "--volumes", "--images"]);
    project.write("devenv.toml", &config);
    project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "ada");
    project.write(
        "devenv.toml",
        &config.replace("name = \"web\"", "name = \"renamed\""),
    );

    // With all that carries the old name, that name goes.
    project.ok(&["down", "--volumes", "--images"]);
    assert_eq!(engine::things_of(&project), Default::default());
    project.ok(&["up"]);
    let things = engine::things_of(&project);
    let named = |thing: &String| thing.contains("renamed-") && !thing.contains("web-");
    assert!(things.iter().any(named), "{things:?}");
}

#[test]
fn git_worktrees_are_copies_of_their_own() {
    let images = image::postgres();
    let main = full_project(&images);
    main.git(&["init", "-q"]);
    main.write(".gitignore", "out\n");
    main.git(&["add", "-A"]);
    main.git(&["commit", "-q", "-m", "start"]);
    let tree = main.worktree("feature");
    main.ok(&["up"]);
    tree.ok(&["up"]);
    assert_ne!(main.url("app.web"), tree.url("app.web"));
    main.sql("insert into users values ('ada')");
    assert_eq!(tree.sql("select count(*) from users"), "0");
}
