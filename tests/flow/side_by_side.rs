//! Two copies of a project never meet: not in names, networks, data or ports.

use super::postgres::full_project;
use crate::support::{Project, engine, http, image};

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

    // With all that carries the old name, that name goes.
    project.ok(&["down", "--volumes", "--images"]);
    assert_eq!(engine::things_of(&project), Default::default());
    project.ok(&["up"]);
    let things = engine::things_of(&project);
    let named = |thing: &String| thing.contains("renamed-") && !thing.contains("web-");
    assert!(things.iter().any(named), "{things:?}");
}

/// The name in what a message says about the file.
fn named(text: &str) -> String {
    let (_, rest) = text.split_once("set `name = \"").expect("advice");
    rest.split('"').next().expect("a name").to_owned()
}

/// What `.devenv` knew is lost, and the project has another name: nothing proves any more that it is the same one.
#[test]
fn after_a_loss_and_a_new_name_the_advice_leads_to_the_old_data_and_back() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project.read("devenv.toml");
    let rename = |name: &str| {
        let line = format!("name = \"{name}\"");
        project.write("devenv.toml", &config.replacen("name = \"web\"", &line, 1));
    };
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    project.ok(&["down"]);
    std::fs::remove_dir_all(project.join(".devenv")).unwrap();
    rename("renamed");
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("its data is new"), "{}", up.all());
    assert_eq!(project.sql("select count(*) from users"), "0");
    project.sql("insert into users values ('bob')");

    // Exactly what it says.
    rename(&named(&up.stderr));
    let plan = project.ok(&["plan"]);
    let reason = "it was started when the project was called `renamed`";
    assert!(plan.stdout.contains(reason), "{}", plan.all());
    let up = project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "ada");
    let things = engine::things_of(&project);
    let left = |thing: &&String| thing.starts_with("container") && thing.contains("renamed-");
    assert_eq!(things.iter().find(left), None);
    assert!(up.stderr.contains("are kept in volume"), "{}", up.all());
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    // What was made since is where it was.
    assert_eq!(named(&up.stderr), "renamed");
    rename("renamed");
    project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "bob");
    project.ok(&["down", "--volumes", "--images"]);
    rename("web");
    project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "ada");
}

#[test]
fn containers_left_by_a_lost_name_are_stopped_as_the_advice_says() {
    let base = image::busybox();
    let file = |name: &str| {
        format!(
            "[project]\nname = \"{name}\"\n\n[service.one]\nimage = \"{}\"\ncommand = [\"sleep\", \"600\"]\nstop_grace = \"0s\"\n",
            base.reference
        )
    };
    let project = Project::new(&file("two-words"));
    project.ok(&["up"]);
    // It keeps its id with this name, and its labels have both.
    project.write("devenv.toml", &file("between"));
    project.ok(&["restart"]);
    std::fs::remove_dir_all(project.join(".devenv")).unwrap();
    project.write("devenv.toml", &file("renamed"));
    let up = project.ok(&["up"]);
    assert!(
        up.stderr.contains("its containers are left"),
        "{}",
        up.all()
    );
    assert_eq!(named(&up.stderr), "two-words");
    let before = project.instance("service.one");

    project.write("devenv.toml", &file(&named(&up.stderr)));
    let down = project.ok(&["down"]);
    assert!(
        down.stdout.contains("Stopped 1 container"),
        "{}",
        down.all()
    );
    project.write("devenv.toml", &file("renamed"));
    assert_eq!(project.instance("service.one"), before);
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Nothing to do"), "{}", up.all());
    assert!(!up.stderr.contains("are left"), "{}", up.all());
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
