//! Two copies of a project that are brought up at the very same time: each answers on ports of its own, with data of its own.

use super::both::Both;
use crate::support::{Project, http};

/// Brings both up at once, and looks at each.
fn side_by_side(one: &Project, two: &Project) {
    one.write("index.html", "this is one\n");
    two.write("index.html", "this is two\n");
    let started = [one, two].map(|project| project.start(&["up", "--output", "json"], &[]));
    for ran in started.map(|up| up.wait()) {
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    one.sql("insert into users values ('ada')");
    two.sql("insert into users values ('bob'), ('eve')");
    let check = |project: &Project, page: &str, users: &str| {
        assert_eq!(http::get(&project.url("app.web")), page);
        let query = "select string_agg(name, ' ' order by name) from users";
        assert_eq!(project.sql(query), users);
        for step in ["postgres.db", "app.web", "service.echo"] {
            assert_eq!(project.state(step), "running");
        }
        project.comes_to_rest();
    };
    check(one, "this is one\n", "ada");
    check(two, "this is two\n", "bob eve");
    for step in ["app.web", "service.echo"] {
        assert_ne!(one.url(step), two.url(step));
    }

    // And down, at once as well: neither takes anything from the other.
    let downs = [one, two].map(|project| project.start(&["down"], &[]));
    for ran in downs.map(|down| down.wait()) {
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    two.ok(&["up"]);
    check(two, "this is two\n", "bob eve");
    one.ok(&["down", "--volumes"]);
    check(two, "this is two\n", "bob eve");
}

fn folders_of_the_same_name(runtime: &'static str) {
    let one = Both::in_folder("same", runtime);
    let two = Both::in_folder("same", runtime);
    side_by_side(&one.project, &two.project);
}

fn worktrees_of_one_repository(runtime: &'static str) {
    let main = Both::new(runtime);
    main.project.git(&["init", "-q"]);
    main.project.write(".gitignore", "out\n");
    main.project.git(&["add", "-A"]);
    main.project.git(&["commit", "-q", "-m", "start"]);
    let tree = main.project.worktree("feature").on(runtime);
    side_by_side(&main.project, &tree);
}

mod docker {
    #[test]
    fn folders_of_the_same_name() {
        super::folders_of_the_same_name("docker");
    }

    #[test]
    fn worktrees_of_one_repository() {
        super::worktrees_of_one_repository("docker");
    }
}

mod process {
    #[test]
    fn folders_of_the_same_name() {
        super::folders_of_the_same_name("process");
    }

    #[test]
    fn worktrees_of_one_repository() {
        super::worktrees_of_one_repository("process");
    }
}
