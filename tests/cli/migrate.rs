//! `devenv migrate --check` and `devenv migrate new`: no database, no engine.

use expect_test::{Expect, expect};

use crate::support::Project;

const CONFIG: &str = r#"
[project]
name = "test"

[postgres.db]
version = "15"

[migrate.db]
dir = "migrations"
postgres = "postgres.db"
"#;

/// Exit code, standard output and standard error of one command.
fn check(project: &Project, args: &[&str], expected: Expect) {
    let ran = project.run(args);
    expected.assert_eq(&format!("{}\n{}{}", ran.code, ran.stdout, ran.stderr));
}

#[test]
fn valid_migrations_are_counted() {
    let project = Project::new(CONFIG);
    project.write("migrations/V1__a.sql", "select 1");
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
        0
        1 migration is valid
    "#]],
    );
    project.write("migrations/V2__b.sql", "select 1");
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
        0
        2 migrations are valid
    "#]],
    );
    check(
        &project,
        &["migrate", "--check", "--output", "json"],
        expect![[r#"
            0
            [
              {
                "step": "migrate.db",
                "valid": 2
              }
            ]
        "#]],
    );
}

#[test]
fn problems_exit_with_2() {
    let project = Project::new(CONFIG);
    project.write("migrations/V1__has-dash.sql", "select 1");
    let ran = project.run(&["migrate", "--check"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("`migrations/V1__has-dash.sql` has `-` in its name"),
        "{}",
        ran.stderr
    );
    project.write("migrations/V2__ok.sql", "commit");
    let ran = project.run(&["migrate", "--check"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("2 problems in migrations folder `migrations`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_missing_folder_is_told() {
    let project = Project::new(CONFIG);
    let ran = project.run(&["migrate", "--check"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("`migrations` does not exist"),
        "{}",
        ran.stderr
    );
}

#[test]
fn new_migrations_follow_the_folder() {
    let project = Project::new(CONFIG);
    check(
        &project,
        &["migrate", "new", "Init"],
        expect![[r#"
        0
        migrations/V1__init.sql
    "#]],
    );
    assert_eq!(project.read("migrations/V1__init.sql"), "-- Init\n");
    let ran = project.run(&["migrate", "--check"]);
    assert_eq!(ran.code, 2, "nothing is in it yet: {}", ran.all());
    check(
        &project,
        &["migrate", "new", "add users-table"],
        expect![[r#"
            0
            migrations/V2__add_users_table.sql
        "#]],
    );
    check(
        &project,
        &["migrate", "new", "c", "--output", "json"],
        expect![[r#"
            0
            {
              "file": "migrations/V3__c.sql"
            }
        "#]],
    );
    let ran = project.run(&["migrate", "new", "INIT"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("`V1__init.sql` has the name `init` already"),
        "{}",
        ran.stderr
    );
}

#[test]
fn timestamps_stay_timestamps() {
    let project = Project::new(CONFIG);
    project.write("migrations/V20240101000000__a.sql", "select 1");
    let ran = project.ok(&["migrate", "new", "b"]);
    let version = ran.stdout.strip_prefix("migrations/V").unwrap();
    let version: u64 = version.strip_suffix("__b.sql\n").unwrap().parse().unwrap();
    assert!(
        (20_260_000_000_000..30_000_000_000_000).contains(&version),
        "{version}"
    );
}

#[test]
fn several_folders_need_a_name() {
    let more = "[migrate.other]\ndir = \"other\"\npostgres = \"postgres.db\"\n";
    let project = Project::new(&format!("{CONFIG}{more}"));
    project.write("migrations/V1__a.sql", "select 1");
    project.write("other/V1__a.sql", "select 1");
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
        0
        migrate.db: 1 migration is valid
        migrate.other: 1 migration is valid
    "#]],
    );
    let ran = project.run(&["migrate", "new", "b"]);
    assert_eq!(ran.code, 2);
    check(
        &project,
        &["migrate", "new", "b", "--step", "migrate.other"],
        expect![[r#"
            0
            other/V2__b.sql
        "#]],
    );
    let ran = project.run(&["migrate", "--check", "--step", "migrate.nope"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no `migrate.nope`"), "{}", ran.stderr);
}
