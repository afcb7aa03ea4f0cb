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
    project.write("migrations/V2__ok.sql", "create table a (id int);\ncommit");
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
            2
            error: `migrations/V1__has-dash.sql` has `-` in its name and would be skipped in silence
            --> migrations/V1__has-dash.sql:1:1
             = help: rename it to `V1__has_dash.sql`

            error: `migrations/V2__ok.sql:2:1` controls the transaction with `commit`, which would leave half of it on failure
             --> migrations/V2__ok.sql:2:1
              |
            2 | commit
              | ^^^^^^
              |
              = help: delete it: the file already runs in one transaction; or put `-- devenv: no-transaction` on the first line
        "#]],
    );
}

#[test]
fn a_missing_folder_is_told() {
    let project = Project::new(CONFIG);
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
        2
        error: migrations folder `migrations` does not exist
         --> devenv.toml:9:1
          |
        9 | dir = "migrations"
          | ^^^
          |
          = help: create the first migration with `devenv migrate new NAME`, or correct `dir`
    "#]],
    );
}

/// An address where no engine answers: what fails before anything runs fails without one.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

#[test]
fn what_is_wrong_in_the_folder_hides_no_plan_and_lets_nothing_start() {
    let project = Project::new(CONFIG);
    let run = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("DOCKER_HOST", NO_ENGINE).output();
        let output = output.expect("devenv runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("a code");
        (code, text(output.stdout), text(output.stderr))
    };
    let says = |args: &[&str], parts: &[&str]| {
        let (code, stdout, stderr) = run(args);
        assert_eq!(code, 2, "{args:?} {stdout}{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: {part} in {stderr}");
        }
        stdout
    };
    let missing = [
        "migrations folder `migrations` does not exist",
        "--> devenv.toml:9:1",
    ];
    for args in [&["up"][..], &["up", "migrate.db"], &["migrate"]] {
        says(args, &missing);
    }
    let plan = says(&["plan"], &missing);
    for part in [
        "postgres.db",
        "migrate.db",
        "fails: migrations folder `migrations` does not exist",
        "1 to start, 1 to apply",
    ] {
        assert!(plan.contains(part), "{part} in {plan}");
    }

    project.write("migrations/V1__a.sql", "select 1;\n  commit;\n");
    project.ok(&["migrate", "new", "add users"]);
    let wrong = [
        "migrations/V1__a.sql:2:3",
        "2 |   commit;",
        "`migrations/V2__add_users.sql` is empty: it holds no statement yet",
    ];
    for args in [&["up"][..], &["migrate"], &["migrate", "status"]] {
        says(args, &wrong);
    }
    let plan = says(&["plan"], &wrong);
    assert_eq!(plan.matches("fails: ").count(), 2, "{plan}");
    let (_, json, _) = run(&["plan", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let steps = json["answer"]["steps"].as_array().expect("steps");
    let migrate = steps.iter().find(|step| step["step"] == "migrate.db");
    assert_eq!(migrate.expect("a step")["reasons"][0]["reason"], "fails");

    std::fs::create_dir(project.join("migrations/V3__folder.sql")).expect("made");
    let folder = [
        "`migrations/V3__folder.sql` is a folder, and migrations are read from one folder only",
        "help: move its files up into `migrations`",
    ];
    let plan = says(&["plan"], &folder);
    assert_eq!(plan.matches("fails: ").count(), 3, "{plan}");
    says(&["up"], &folder);

    // What does not need them is not kept from running.
    let (code, _, stderr) = run(&["up", "postgres.db"]);
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn a_wrong_folder_is_marked_where_it_is_named() {
    let more =
        "[migrate.other]\npostgres = \"postgres.db\"\ntable = \"other\"\ndir = \"devenv.toml\"\n";
    let project = Project::new(&format!("{CONFIG}{more}"));
    project.write("migrations/V1__a.sql", "select 1");
    check(
        &project,
        &["migrate", "--check"],
        expect![[r#"
            2
            error: migrations folder `devenv.toml` is no folder
              --> devenv.toml:14:1
               |
            14 | dir = "devenv.toml"
               | ^^^
               |
               = help: name the folder that holds the migrations
        "#]],
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
    let more = "[migrate.other]\ndir = \"other\"\npostgres = \"postgres.db\"\ntable = \"other\"\n";
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
    let ran = project.run(&["migrate", "--check", "status"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
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
