//! `devenv migrate lint` and the step `lint.X`: real git, no database, no engine.

use std::process::Command;

use expect_test::{Expect, expect};
use serde_json::Value as Json;

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

/// Drops a table that an app may use.
const DROP: &str = "set local lock_timeout = '5s';\ndrop table a;\n";

/// A clone whose remote's default branch has one old migration, which the rules are against.
fn cloned() -> Project {
    let project = Project::new(CONFIG);
    git(&project, &["init", "-q", "-b", "main"]);
    git(
        &project,
        &["init", "-q", "--bare", "-b", "main", ".devenv/origin.git"],
    );
    git(&project, &["remote", "add", "origin", ".devenv/origin.git"]);
    project.write(".gitignore", ".devenv\n");
    project.write("migrations/V1__old.sql", DROP);
    commit(&project);
    git(&project, &["push", "-q", "origin", "main"]);
    project
}

fn commit(project: &Project) {
    git(project, &["add", "-A"]);
    git(project, &["commit", "-q", "-m", "x"]);
}

fn git(project: &Project, args: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b"]);
    let output = git.args(args).current_dir(project.path()).output();
    let output = output.expect("git runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
}

/// Exit code, standard output and standard error of one command, where no engine answers.
fn lint(project: &Project, args: &[&str]) -> (i32, String, String) {
    let mut command = project.command(args);
    command.env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
    let output = command.output().expect("devenv runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("a code");
    (code, text(output.stdout), text(output.stderr))
}

fn check(project: &Project, args: &[&str], expected: Expect) {
    let (code, stdout, stderr) = lint(project, args);
    expected.assert_eq(&format!("{code}\n{stdout}{stderr}"));
}

const LINT: [&str; 2] = ["migrate", "lint"];

#[test]
fn new_migrations_are_looked_at_and_old_ones_are_not() {
    let project = cloned();
    check(
        &project,
        &LINT,
        expect![[r#"
        0
        Checked 0 migrations new or changed since origin/main, 1 older
    "#]],
    );
    project.write("migrations/V2__new.sql", DROP);
    check(
        &project,
        &LINT,
        expect![[r#"
        1
        Checked 1 migration new or changed since origin/main, 1 older
        error[ban-drop-table]: dropping a table may break existing clients
         --> migrations/V2__new.sql:2:1
          |
        2 | drop table a;
          | ^^^^
          |
          = help: release an app that does not use it first, and drop it in a later migration

        error: 1 finding in migrations
         |
         = help: where one is as it should be, write `-- squawk-ignore RULE` on the line above it, or turn the rule off with `lint = { exclude = ["RULE"] }`
    "#]],
    );
    // Whether it was committed makes no difference.
    commit(&project);
    assert_eq!(lint(&project, &LINT).0, 1);
    check(
        &project,
        &["migrate", "lint", "--all"],
        expect![[r#"
        1
        Checked 2 migrations
        error[ban-drop-table]: dropping a table may break existing clients
         --> migrations/V1__old.sql:2:1
          |
        2 | drop table a;
          | ^^^^
          |
          = help: release an app that does not use it first, and drop it in a later migration

        error[ban-drop-table]: dropping a table may break existing clients
         --> migrations/V2__new.sql:2:1
          |
        2 | drop table a;
          | ^^^^
          |
          = help: release an app that does not use it first, and drop it in a later migration

        error: 2 findings in migrations
         |
         = help: where one is as it should be, write `-- squawk-ignore RULE` on the line above it, or turn the rule off with `lint = { exclude = ["RULE"] }`
    "#]],
    );
    let (code, stdout, _) = lint(&project, &["migrate", "lint", "--since", "HEAD"]);
    let said = "Checked 0 migrations new or changed since HEAD, 2 older\n";
    assert_eq!((code, stdout.as_str()), (0, said));
}

#[test]
fn an_old_one_that_was_changed_is_looked_at() {
    let project = cloned();
    project.write("migrations/V1__old.sql", &format!("-- x\n{DROP}"));
    let (code, _, stderr) = lint(&project, &LINT);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("--> migrations/V1__old.sql:3:1"),
        "{stderr}"
    );
    let accepted = DROP.replace("drop", "-- squawk-ignore ban-drop-table\ndrop");
    project.write("migrations/V1__old.sql", &accepted);
    assert_eq!(lint(&project, &LINT).0, 0);
}

#[test]
fn a_file_is_looked_at_as_it_is_run() {
    let project = cloned();
    let index = "create index concurrently a_b on a (b);\n";
    project.write("migrations/V2__index.sql", index);
    let (code, _, stderr) = lint(&project, &LINT);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error[ban-concurrent-index-creation-in-transaction]"),
        "{stderr}"
    );
    project.write(
        "migrations/V2__index.sql",
        &format!("-- devenv: no-transaction\n{index}"),
    );
    assert_eq!(lint(&project, &LINT).0, 0);
}

#[test]
fn where_git_knows_no_base_all_are_new() {
    let project = Project::new(CONFIG);
    project.write("migrations/V1__old.sql", DROP);
    assert_eq!(lint(&project, &LINT).0, 1);
    check(
        &project,
        &["migrate", "lint", "--since", "main"],
        expect![[r#"
        2
        error: git knows no commit `main`
         |
         = help: name a commit, branch or tag; in a shallow clone, `git fetch` it first
    "#]],
    );
    git(&project, &["init", "-q", "-b", "main"]);
    commit(&project);
    assert_eq!(lint(&project, &LINT).0, 1);
    check(
        &project,
        &["migrate", "lint", "--since", "v1"],
        expect![[r#"
        2
        error: git knows no commit `v1`
         |
         = help: name a commit, branch or tag; in a shallow clone, `git fetch` it first
    "#]],
    );
}

#[test]
fn each_table_has_its_own_rules() {
    let project = cloned();
    let config = format!(
        "{CONFIG}\n[migrate.other]\ndir = \"other\"\npostgres = \"postgres.db\"\ntable = \"public.other\"\n\
         lint = {{ exclude = [\"ban-drop-table\"] }}\n\n[migrate.free]\ndir = \"free\"\n\
         postgres = \"postgres.db\"\ntable = \"public.free\"\nlint = false\n"
    );
    project.write("devenv.toml", &config);
    for folder in ["migrations", "other", "free"] {
        project.write(&format!("{folder}/V2__new.sql"), DROP);
    }
    let (code, _, stderr) = lint(&project, &LINT);
    assert_eq!(code, 1);
    assert_eq!(stderr.matches("ban-drop-table").count(), 1, "{stderr}");
    check(
        &project,
        &["migrate", "lint", "--step", "other"],
        expect![[r#"
        0
        Checked 1 migration new or changed since origin/main, 0 older
    "#]],
    );
    check(
        &project,
        &["migrate", "lint", "--step", "free"],
        expect![[r#"
            0
            Read 1 migration, no rules: `lint = false`
        "#]],
    );
    project.write("free/V3__broken.sql", "select 'open;\n");
    let (code, _, stderr) = lint(&project, &["migrate", "lint", "--step", "free"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn programs_get_each_finding_with_its_place_and_rule() {
    let project = cloned();
    project.write("migrations/V2__new.sql", DROP);
    let (code, stdout, _) = lint(&project, &["migrate", "lint", "--output", "json"]);
    assert_eq!(code, 1);
    let json: Json = serde_json::from_str(&stdout).expect("JSON");
    let one = &json["answer"][0];
    assert_eq!((&one["checked"], &one["older"]), (&1.into(), &1.into()));
    let finding = &json["error"]["errors"][0];
    assert_eq!(finding["code"], "ban-drop-table");
    assert_eq!(finding["excerpt"], "drop table a;");
    let site = serde_json::json!({ "file": "migrations/V2__new.sql", "line": 2, "column": 1 });
    assert_eq!(finding["site"], site);
    assert_eq!(json["error"]["exit_code"], 1);
}

#[test]
fn the_step_is_skipped_while_nothing_changes() {
    let project = cloned();
    let run = ["run", "lint.db"];
    project.write("migrations/V2__new.sql", DROP);
    let (code, _, stderr) = lint(&project, &run);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("--> migrations/V2__new.sql:2:1"),
        "{stderr}"
    );
    project.write("migrations/V2__new.sql", "create table b (id bigint);\n");
    let (code, _, stderr) = lint(&project, &run);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("Checked 1 migration new or changed since origin/main, 1 older"),
        "{stderr}"
    );
    let says = |wanted: &str| {
        let (code, _, stderr) = lint(&project, &run);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains(wanted), "{wanted} in {stderr}");
    };
    says("Nothing to do");
    // Another commit is no other text.
    commit(&project);
    says("Nothing to do");
    git(&project, &["push", "-q", "origin", "main"]);
    says("Checked 0 migrations new or changed since origin/main, 2 older");
    project.write(
        "devenv.toml",
        &format!("{CONFIG}lint = {{ exclude = [\"ban-drop-table\"] }}\n"),
    );
    says("exclude.0 added");
}

#[test]
fn what_the_lint_cannot_read_fails() {
    let project = cloned();
    project.write("migrations/V2__new.sql", "selec 1;\n");
    check(
        &project,
        &LINT,
        expect![[r#"
        1
        Checked 1 migration new or changed since origin/main, 1 older
        error[syntax]: the SQL lint cannot read this statement: expected command, found IDENT
         --> migrations/V2__new.sql:1:1
          |
        1 | selec 1;
          | ^^^^^
          |
          = help: correct it; or where Postgres takes it all the same, write `-- squawk-ignore syntax` on the line above it, and no rule looks at it

        error: 1 finding in migrations
         |
         = help: where one is as it should be, write `-- squawk-ignore RULE` on the line above it, or turn the rule off with `lint = { exclude = ["RULE"] }`
    "#]],
    );
    let (code, _, stderr) = lint(&project, &["run", "lint.db"]);
    assert_eq!(code, 1, "{stderr}");
    let accepted = "-- squawk-ignore syntax\nselec 1;\n";
    project.write("migrations/V2__new.sql", accepted);
    assert_eq!(lint(&project, &LINT).0, 0);
}

#[test]
fn that_other_migrations_are_old_is_a_reason_in_words() {
    let project = cloned();
    let (code, _, stderr) = lint(&project, &["run", "lint.db"]);
    assert_eq!(code, 0, "{stderr}");
    git(&project, &["remote", "remove", "origin"]);
    let (_, stdout, _) = lint(&project, &["plan", "lint.db"]);
    assert!(
        stdout.contains("list of older migrations changed"),
        "{stdout}"
    );
}
