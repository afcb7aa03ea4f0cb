//! A real engine that is killed in the middle of a run and started again: the next `up` converges, and no data is lost.

use super::postgres::full_project;
use crate::support::{Dockerd, Project, image};

/// What the app answers.
fn page(project: &Project) -> String {
    let mut curl = project.command_beside("curl");
    let output = curl
        .args(["-sS", "--fail", &project.url("app.web")])
        .output();
    String::from_utf8(output.expect("curl").stdout).expect("UTF-8")
}

#[test]
fn killed_at_any_step_and_started_again() {
    let images = image::postgres();
    let mut engine = Dockerd::start();
    for image in [&images.postgres, &images.base.reference] {
        engine.load(image);
    }
    let project = full_project(&images).on_engine(&engine);
    // Before there is anything, and with data.
    for (round, step) in [
        "postgres.db",
        "app.web",
        "postgres.db",
        "migrate.db",
        "app.web",
    ]
    .into_iter()
    .enumerate()
    {
        project.write("web.sh", &format!("{}# {round}\n", super::WEB));
        project.write(
            &format!("migrations/V{}__more.sql", round + 2),
            &format!("create table more{round} (id int);\n"),
        );
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", step);
        engine.kill();
        let ran = up.wait();
        // The engine may have done all it was asked for by then.
        assert!(matches!(ran.code, 0 | 1 | 3), "{step}: {}", ran.all());
        engine.start_again();

        project.ok(&["up"]);
        assert_eq!(page(&project), "hello from the test\n");
        for step in ["postgres.db", "app.web"] {
            assert_eq!(project.state(step), "running");
        }
        project.comes_to_rest();
        let users = project.sql("select count(*) from users");
        assert_eq!(users, round.to_string(), "{step}");
        project.sql(&format!("insert into users values ('{round}')"));
        let tables = project.sql("select count(*) from pg_tables where tablename like 'more%'");
        assert_eq!(tables, (round + 1).to_string());
        project.ok(&["down"]);
    }
}

#[test]
fn killed_and_started_again_what_runs_is_told_as_it_is() {
    let images = image::postgres();
    let mut engine = Dockerd::start();
    for image in [&images.postgres, &images.base.reference] {
        engine.load(image);
    }
    let project = full_project(&images).on_engine(&engine);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    engine.kill();
    let ps = project.run(&["ps"]);
    assert_eq!(ps.code, 3, "{}", ps.all());
    engine.start_again();
    // It ends what the one before had started.
    for step in ["postgres.db", "app.web"] {
        assert_ne!(project.state(step), "running");
    }
    project.ok(&["up"]);
    assert_eq!(page(&project), "hello from the test\n");
    assert_eq!(project.sql("select name from users"), "ada");
}
