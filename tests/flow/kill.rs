//! Ctrl-C and SIGKILL at every step, deleted state, two runs at once: the next `up` converges.

use super::postgres::full_project;
use crate::support::{Signal, http, image};

const STEPS: [&str; 4] = ["build.web", "postgres.db", "migrate.db", "app.web"];

#[test]
fn killed_at_every_step_the_next_up_converges() {
    let images = image::postgres();
    let project = full_project(&images);
    for step in STEPS {
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", step);
        up.signal(Signal::Kill);
        up.wait();
        project.ok(&["up"]);
        assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
        project.ok(&["down", "--volumes"]);
        project.write("web.sh", &format!("{}# {step}\n", super::WEB));
    }
}

#[test]
fn interrupted_at_every_step_it_ends_with_130_and_the_next_up_converges() {
    let images = image::postgres();
    let project = full_project(&images);
    for step in STEPS {
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", step);
        up.signal(Signal::Interrupt);
        let ran = up.wait();
        // The step may have been the last and done before the signal arrived.
        assert!(matches!(ran.code, 130 | 0), "{step}: {}", ran.all());
        project.ok(&["up"]);
        project.ok(&["down", "--volumes"]);
        project.write("web.sh", &format!("{}# {step}\n", super::WEB));
    }
}

#[test]
fn stopped_inside_a_long_migration_the_next_up_converges() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    for (version, signal, code) in [(2, Signal::Kill, -1), (3, Signal::Interrupt, 130)] {
        let file = format!("migrations/V{version}__slow.sql");
        project.write(
            &file,
            "create table half (id int);\nselect pg_sleep(600);\n",
        );
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", "migrate.db");
        let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        while project.sql(sleeping) == "0" {
            std::thread::yield_now();
        }
        up.signal(signal);
        let ran = up.wait();
        assert_eq!(ran.code, code, "{}", ran.all());

        project.write(&file, &format!("create table whole{version} (id int);\n"));
        project.ok(&["up"]);
        assert_eq!(project.sql("select to_regclass('half') is null"), "t");
        assert_eq!(project.sql(sleeping), "0");
    }
    let history = "select string_agg(version || ' ' || name, ', ' order by version) from refinery_schema_history";
    assert_eq!(project.sql(history), "1 create_users, 2 slow, 3 slow");
    let tables = "select count(*) from pg_tables where tablename like 'whole_'";
    assert_eq!(project.sql(tables), "2");
}

#[test]
fn without_its_state_folder_up_finds_what_runs() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    let url = project.url("app.web");
    std::fs::remove_dir_all(project.join(".devenv")).unwrap();
    let up = project.ok(&["up"]);
    assert_eq!(project.url("app.web"), url);
    assert!(!up.stderr.contains("recreate"), "{}", up.all());
    assert_eq!(project.sql("select count(*) from users"), "0");
}

#[test]
fn a_second_up_waits_and_says_for_whom() {
    let images = image::postgres();
    let project = full_project(&images);
    let mut first = project.start(&["up", "--output", "json"], &[]);
    first.wait_for("step-started", "build.web");
    let second = project.run(&["up"]);
    let first = first.wait();
    assert_eq!(first.code, 0, "{}", first.all());
    assert_eq!(second.code, 0, "{}", second.all());
    assert!(
        second
            .stderr
            .contains("Waiting for another run: `devenv up` (pid"),
        "{}",
        second.all()
    );
}
