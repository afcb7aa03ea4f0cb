//! `devenv db copy`: a database from one runtime to the other. The source is left as it was, and so is a target when it fails.

use std::sync::Arc;

use crate::support::{Project, Signal, image, wait_until};

/// Two databases, for containers and for processes.
struct Copied {
    docker: Project,
    process: Project,
    _images: Arc<image::PostgresImages>,
}

impl Copied {
    fn new() -> Self {
        let images = image::postgres();
        let image = &images.postgres;
        let docker = Project::new(&format!(
            "[project]\nname = \"copied\"\n\n[postgres.db]\nversion = \"15\"\nimage = \"{image}\"\nport = 15734\n\n\
             [postgres.other]\nversion = \"15\"\nimage = \"{image}\"\nport = 15735\n"
        ))
        .on("docker");
        Self {
            process: docker.on("process"),
            docker,
            _images: images,
        }
    }

    /// Brought up, with a table and a row.
    fn fill(project: &Project) {
        project.ok(&["up", "db"]);
        sql(
            project,
            "create table t (name text); insert into t values ('ada')",
        );
    }
}

fn sql(project: &Project, query: &str) -> String {
    let ran = project.ok(&["psql", "--database", "db", "--", "-tAqc", query]);
    ran.stdout.trim().to_owned()
}

#[test]
fn goes_in_both_directions_and_leaves_the_source_as_it_was() {
    let Copied {
        docker, process, ..
    } = &Copied::new();
    Copied::fill(docker);
    let source = docker.instance("postgres.db");
    let which = process.run(&["db", "copy"]);
    assert_eq!(which.code, 2, "{}", which.all());
    for name in ["`devenv db copy db`", "`devenv db copy other`"] {
        assert!(which.stderr.contains(name), "{name} in {}", which.all());
    }
    let none = process.run(&["db", "copy", "other"]);
    assert_eq!(none.code, 2, "{}", none.all());
    assert!(
        none.stderr.contains("has no data as a container"),
        "{}",
        none.all()
    );
    assert_eq!(process.state("postgres.other"), "absent");

    // From one that runs.
    let copied = process.ok(&["db", "copy", "db"]);
    let told = "Copied postgres.db from docker to process: 1 relation";
    assert!(copied.stdout.contains(told), "{}", copied.all());
    assert_eq!(sql(process, "select name from t"), "ada");
    assert_eq!(docker.instance("postgres.db"), source);
    assert_eq!(docker.state("postgres.db"), "running");
    assert_eq!(sql(docker, "select name from t"), "ada");
    assert_eq!(process.state("postgres.other"), "absent");

    // And back, from one that does not.
    sql(process, "insert into t values ('bob')");
    process.ok(&["down"]);
    docker.ok(&["up", "db"]);
    let ports = docker.read(".devenv/ports.json");
    let copied = docker.ok(&["db", "copy", "db", "--force", "--output", "json"]);
    let answer = copied.events().pop().expect("an answer");
    assert_eq!(
        answer,
        serde_json::json!({ "database": "postgres.db", "from": "process", "to": "docker", "relations": 1 })
    );
    assert_eq!(
        sql(docker, "select string_agg(name, ' ' order by name) from t"),
        "ada bob"
    );
    assert_eq!(process.state("postgres.db"), "absent");
    assert_eq!(docker.read(".devenv/ports.json"), ports);
    let again = docker.ok(&["up", "db"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn a_target_that_holds_something_stays_as_it_is_unless_all_of_it_can_be_replaced() {
    let Copied {
        docker, process, ..
    } = &Copied::new();
    Copied::fill(docker);
    process.ok(&["up", "db"]);
    sql(
        process,
        "create table t (name text); insert into t values ('bob'); create view v as select * from t",
    );
    let full = process.run(&["db", "copy", "db"]);
    assert_eq!(full.code, 2, "{}", full.all());
    assert!(
        full.stderr
            .contains("holds 2 relations already as a process"),
        "{}",
        full.all()
    );
    // The view is not in the copy, so the table cannot go.
    let failed = process.run(&["db", "copy", "db", "--force"]);
    assert_eq!(failed.code, 1, "{}", failed.all());
    for part in [
        "pg_restore of `postgres.db` failed",
        "view public.v depends on table public.t",
        "nothing of it was kept",
    ] {
        assert!(failed.stderr.contains(part), "{part} in {}", failed.all());
    }
    assert_eq!(sql(process, "select name from v"), "bob");
    // Up on processes has stopped the source, and there it stays.
    assert_eq!(docker.state("postgres.db"), "absent");
    sql(process, "drop view v");
    process.ok(&["db", "copy", "db", "--force"]);
    assert_eq!(sql(process, "select name from t"), "ada");
    assert_eq!(docker.state("postgres.db"), "absent");
}

#[test]
fn interrupted_it_leaves_both_sides_and_nothing_goes_on() {
    let Copied {
        docker, process, ..
    } = &Copied::new();
    Copied::fill(docker);
    process.ok(&["db", "copy", "db"]);
    sql(process, "insert into t values ('bob')");
    // Whichever side it has come to: the tool waits there for somebody's lock.
    for side in [docker, process] {
        let lock = "begin; lock table t; select pg_sleep(1000)";
        let client = side.start(&["psql", "--database", "db", "--", "-c", lock], &[]);
        wait_until(|| {
            sql(
                side,
                "select count(*) from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock' and granted",
            ) == "1"
        });
        let copy = process.start(&["db", "copy", "db", "--force", "--output", "json"], &[]);
        let waits = "select count(*) from pg_locks where not granted";
        wait_until(|| sql(side, waits) == "1");
        copy.signal(Signal::Interrupt);
        let ran = copy.wait();
        assert_eq!(ran.code, 130, "{}", ran.all());
        assert_eq!(sql(side, waits), "0");
        sql(
            side,
            "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(1000)' and pid <> pg_backend_pid()",
        );
        client.wait();
    }
    assert_eq!(docker.state("postgres.db"), "running");
    assert_eq!(sql(process, "select count(*) from t"), "2");
}

#[test]
fn nothing_else_runs_between_its_steps() {
    let Copied {
        docker, process, ..
    } = &Copied::new();
    Copied::fill(docker);
    let lock = "begin; lock table t; select pg_sleep(1000)";
    let client = docker.start(&["psql", "--database", "db", "--", "-c", lock], &[]);
    let locks = |more: &str| {
        let query =
            format!("select count(*) from pg_locks where relation = 't'::regclass and {more}");
        sql(docker, &query)
    };
    wait_until(|| locks("mode = 'AccessExclusiveLock' and granted") == "1");
    let copy = process.start(&["db", "copy", "db"], &[]);
    wait_until(|| locks("not granted") == "1");
    // Would stop the server that is copied from.
    let mut up = process.start(&["up", "db", "--output", "json"], &[]);
    up.wait_for_line("`devenv db copy` (pid");
    sql(
        docker,
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(1000)' and pid <> pg_backend_pid()",
    );
    client.wait();
    let (copy, up) = (copy.wait(), up.wait());
    assert_eq!((copy.code, up.code), (0, 0), "{}{}", copy.all(), up.all());
    assert_eq!(sql(process, "select name from t"), "ada");
    assert_eq!(docker.state("postgres.db"), "absent");
}
