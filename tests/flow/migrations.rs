//! Migrations on a running database: what is wrong is said with its place, and changes nothing.

use std::fs;

use super::postgres::full_project;
use crate::support::{Project, image};

/// Versions that are applied, and tables that are there.
fn state(project: &Project) -> (String, String) {
    (
        project.sql(
            "select string_agg(version::text, ' ' order by version) from refinery_schema_history",
        ),
        project.sql(
            "select string_agg(tablename, ' ' order by tablename) from pg_tables where schemaname = 'public'",
        ),
    )
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_applied() {
    let images = image::postgres();
    let project = full_project(&images);
    let first = project.read("migrations/V1__create_users.sql");
    project.ok(&["up"]);
    let before = state(&project);
    let app = project.instance("app.web");

    let wrong = |files: &[(&str, &str)], parts: &[&str]| {
        for (path, text) in files {
            project.write(&format!("migrations/{path}"), text);
        }
        for args in [&["up"][..], &["plan"], &["migrate"]] {
            let ran = project.run(args);
            assert!(matches!(ran.code, 1 | 2), "{args:?} {}", ran.all());
            for part in parts {
                assert!(
                    ran.stderr.contains(part),
                    "{args:?}: {part} in {}",
                    ran.all()
                );
            }
        }
        assert_eq!(state(&project), before);
        assert_eq!(project.instance("app.web"), app);
        fs::remove_dir_all(project.join("migrations")).unwrap();
        project.write("migrations/V1__create_users.sql", &first);
    };
    let good = ("V2__good.sql", "create table good (id int);\n");
    wrong(
        &[good, ("V3__has-dash.sql", "select 1;\n")],
        &["migrations/V3__has-dash.sql", "`-` in its name"],
    );
    wrong(
        &[good, ("v3__small.sql", "select 1;\n")],
        &["migrations/v3__small.sql"],
    );
    wrong(
        &[good, ("V2__other.sql", "select 1;\n")],
        &["V2__good.sql", "V2__other.sql"],
    );
    wrong(
        &[
            good,
            ("V1__create_users.sql", "create table users (id int);\n"),
        ],
        &["migrations/V1__create_users.sql"],
    );

    // A file that is gone.
    fs::rename(
        project.join("migrations/V1__create_users.sql"),
        project.join("gone.sql"),
    )
    .unwrap();
    wrong(&[good], &["create_users"]);

    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn line_ends_and_another_checkout_make_no_difference() {
    let images = image::postgres();
    let project = full_project(&images);
    project.write(
        "migrations/V2__two_lines.sql",
        "create table a (id int);\ncreate table b (id int);\n",
    );
    project.ok(&["up"]);
    for file in ["V1__create_users.sql", "V2__two_lines.sql"] {
        let path = format!("migrations/{file}");
        project.write(&path, &project.read(&path).replace('\n', "\r\n"));
    }
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Nothing to do"), "{}", up.all());
    project.ok(&["migrate", "status"]);
}

#[test]
fn migrate_applies_and_status_tells_applied_pending_and_edited() {
    let images = image::postgres();
    let project = full_project(&images);
    let absent = project.run(&["migrate", "status"]);
    assert_eq!(absent.code, 3, "{}", absent.all());
    project.ok(&["up", "postgres.db"]);
    let states = |code: i32| {
        let status = project.run(&["migrate", "status", "--output", "json"]);
        assert_eq!(status.code, code, "{}", status.all());
        let told = status.json();
        // What fails brings its answer beside the failure.
        let answer = told.get("answer").unwrap_or(&told);
        let rows = answer[0]["migrations"].clone();
        let states: Vec<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect();
        states.join(" ")
    };
    assert_eq!(states(0), "pending");
    let migrate = project.ok(&["migrate"]);
    assert_eq!(migrate.stdout, "Applied 1 migration to postgres.db\n");
    let migrate = project.ok(&["migrate"]);
    assert_eq!(migrate.stdout, "postgres.db is up to date\n");
    project.write(
        "migrations/V2__add_age.sql",
        "alter table users add age int;\n",
    );
    assert_eq!(states(0), "applied pending");
    let text = project.ok(&["migrate", "status"]).stdout;
    let lines: Vec<Vec<_>> = text
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        lines,
        [
            ["VERSION", "NAME", "STATE"],
            ["1", "create_users", "applied"],
            ["2", "add_age", "pending"]
        ]
    );
    let json = project.ok(&["migrate", "--output", "json"]).json();
    assert_eq!(json[0]["applied"], serde_json::json!([2]));
    project.write(
        "migrations/V1__create_users.sql",
        "create table users (id int);\n",
    );
    assert_eq!(states(1), "edited applied");
}

#[test]
fn a_migration_outside_of_a_transaction_works_and_says_where_it_fails() {
    let images = image::postgres();
    let project = full_project(&images);
    project.write(
        "migrations/V2__index.sql",
        "-- devenv: no-transaction\ncreate index concurrently users_name on users (name);\nvacuum users;\n",
    );
    project.ok(&["up"]);
    assert_eq!(
        project.sql("select count(*) from pg_indexes where indexname = 'users_name'"),
        "1"
    );
    project.write(
        "migrations/V3__fails.sql",
        "-- devenv: no-transaction\ncreate table half (id int);\n\nselect nonsense;\n",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in [
        "migrations/V3__fails.sql:4:8",
        "4 | select nonsense;",
        "42703",
        "its first statement of 2 was applied and remains, at line 2",
    ] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
    let again = project.run(&["migrate"]);
    assert_eq!(again.code, 1, "{}", again.all());
    for part in [
        "2 | create table half (id int);",
        "what an earlier, failed run applied remains",
        "fit to run again",
    ] {
        assert!(again.stderr.contains(part), "{part} in {}", again.all());
    }
    let logs = project.ok(&["logs", "postgres.db"]).all();
    assert!(logs.contains("nonsense"), "{logs}");
    assert!(!logs.contains("no transaction in progress"), "{logs}");
    project.write(
        "migrations/V3__fails.sql",
        "-- devenv: no-transaction\ncreate table if not exists half (id int);\n",
    );
    project.ok(&["migrate"]);
    assert!(project.ok(&["plan"]).stdout.contains("No changes"));
}
