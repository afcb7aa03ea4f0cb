//! Postgres, migrations and an app that needs them.

use super::{WEB, web_app};
use crate::support::{Project, image};

/// Postgres, one migration, and an app that needs it.
pub fn full_project(images: &image::PostgresImages) -> Project {
    let project = web_app(
        &images.base,
        &format!(
            r#"env = {{ GREETING = "${{postgres.db.url}}" }}
needs = ["migrate.db"]

[postgres.db]
version = "15"
image = "{postgres}"
database = "web"
port = 15432

[migrate.db]
postgres = "postgres.db"
"#,
            postgres = images.postgres,
        ),
    );
    project.write(
        "migrations/V1__create_users.sql",
        "create table users (name text primary key);\n",
    );
    project
}

#[test]
fn data_outlive_down_and_go_with_down_volumes() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    project.ok(&["down"]);
    project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "ada");

    project.ok(&["down", "--volumes"]);
    project.ok(&["up"]);
    assert_eq!(project.sql("select count(*) from users"), "0");
}

#[test]
fn a_new_migration_reaches_the_running_database_and_leaves_the_app_alone() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    let age = project.instance("app.web");
    project.write(
        "migrations/V2__add_age.sql",
        "alter table users add column age int;\n",
    );
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("V2__add_age.sql"), "{}", plan.all());
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Applied 1 migration"), "{}", up.all());
    project.sql("insert into users values ('ada', 36)");
    assert_eq!(project.instance("app.web"), age, "the app was not replaced");
    let status = project.ok(&["migrate", "status"]);
    assert!(status.stdout.contains("add_age"), "{}", status.all());
}

#[test]
fn a_failing_migration_points_at_its_line_and_leaves_nothing() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.write(
        "migrations/V2__broken.sql",
        "create table half (id int);\ninsert into nowhere values (1);\n",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["migrations/V2__broken.sql:2:13", "42P01", "nowhere"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
    assert_eq!(
        project.sql("select count(*) from pg_tables where tablename = 'half'"),
        "0"
    );
}

#[test]
fn the_app_sees_the_network_address_and_the_host_the_published_port() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project.read("devenv.toml")
        + "\n[task.url]\nrun = \"echo $URL > url.txt\"\nenv = { URL = \"${postgres.db.url}\" }\n";
    project.write("devenv.toml", &config);
    project.ok(&["up"]);
    let logs = project.ok(&["logs", "app.web"]).stdout;
    assert!(logs.contains("@db:5432/web"), "{logs}");
    project.ok(&["run", "url"]);
    let url = project.read("url.txt");
    assert!(url.contains("@127.0.0.1:"), "{url}");
}

#[test]
fn an_image_without_an_entrypoint_has_to_be_prepared() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project.read("devenv.toml");
    let config = config.replace("port = 15432", "port = 15432\nprepared = false");
    project.write("devenv.toml", &config);
    let up = project.run(&["up", "postgres.db"]);
    assert_eq!(up.code, 2, "{}", up.all());
    let line = config
        .lines()
        .position(|line| line.starts_with("prepared"))
        .unwrap()
        + 1;
    for part in [
        format!("image `{}` has no entrypoint", images.postgres),
        format!("devenv.toml:{line}:"),
        "leave `prepared` out".to_owned(),
    ] {
        assert!(up.stderr.contains(&part), "{part} in {}", up.all());
    }
    assert_eq!(project.state("postgres.db"), "absent");
}

#[test]
fn a_version_that_the_image_does_not_have_is_told_at_its_line() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project
        .read("devenv.toml")
        .replace(r#"version = "15""#, r#"version = "99""#);
    project.write("devenv.toml", &config);
    let up = project.run(&["up", "postgres.db"]);
    assert_eq!(up.code, 2, "{}", up.all());
    let line = config.lines().position(|line| line.starts_with("version"));
    for part in [
        format!("image `{}` has no Postgres 99", images.postgres),
        format!("devenv.toml:{}:", line.unwrap() + 1),
        "initdb (PostgreSQL) 15".to_owned(),
        "set `version` to the one that the image has".to_owned(),
    ] {
        assert!(up.stderr.contains(&part), "{part} in {}", up.all());
    }
    assert_eq!(project.state("postgres.db"), "absent");
}

#[test]
fn a_secret_is_used_but_never_shown() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project
        .read("devenv.toml")
        .replace("port = 15432", "port = 15432\npassword = \"${secret.db}\"")
        + "\n[secret.db]\nfile = \"password.txt\"\n";
    project.write("devenv.toml", &config);
    project.write("password.txt", "correct-horse-battery\n");
    project.write(
        "web.sh",
        &WEB.replace("exec", "test -n \"$GREETING\"\nexec"),
    );
    let mut shown = String::new();
    for args in [
        &["config"][..],
        &["plan"],
        &["up", "--output", "json"],
        &["ps", "--output", "json"],
        &["config", "--output", "json"],
    ] {
        shown += &project.ok(args).all();
    }
    assert!(!shown.contains("correct-horse-battery"), "{shown}");
    assert_eq!(project.sql("select 1"), "1");
}
