use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;
use crate::{config::Lint, database::scan};

const ON: Lint = Lint {
    enabled: true,
    exclude: Vec::new(),
    include: Vec::new(),
};

const MARK: &str = "-- devenv: no-transaction\n";

fn linted(sql: &str, lint: &Lint, server: &str) -> Vec<Fault> {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("m")).expect("made");
    std::fs::write(dir.path().join("m/V1__a.sql"), sql).expect("written");
    let migrations = scan(dir.path(), "m").expect("a valid migration");
    lint_one(&migrations[0], &Rules::new(lint, Some(server)))
}

use super::lint as lint_one;

/// Place and rule of each finding.
fn rules(sql: &str) -> Vec<String> {
    let found = linted(sql, &ON, "15");
    found.iter().map(place_and_rule).collect()
}

fn place_and_rule(fault: &Fault) -> String {
    let (Some(Site::File { line, column, .. }), Some(code)) = (&fault.site, &fault.code) else {
        panic!("{fault:?}");
    };
    format!("{line}:{column} {code}")
}

fn check(sql: &str, expect: Expect) {
    let mut text = String::new();
    for fault in linted(sql, &ON, "15") {
        let site = fault.site.as_ref().expect("a place");
        let code = fault.code.as_deref().expect("a rule");
        let excerpt = fault.excerpt.as_deref().unwrap_or("-");
        let help = fault.help.as_deref().unwrap_or("-");
        let what = &fault.message;
        writeln!(text, "{site} {code}\n  {excerpt}\n  {what}\n  → {help}").expect("a string");
    }
    expect.assert_eq(&text);
}

#[test]
fn a_finding_has_its_place_its_rule_and_the_safer_way() {
    check(
        "set local lock_timeout = '1s';\n\n  alter table users\n    drop column name,\n    add column é int not null;\n",
        expect![[r#"
            m/V1__a.sql:4:5 ban-drop-column
                  drop column name,
              dropping a column may break existing clients
              → release an app that does not use the column first, and drop it in a later migration
            m/V1__a.sql:5:5 adding-required-field
                  add column é int not null;
              adding a new column that is `NOT NULL` and has no default value to an existing table effectively makes it required
              → make the field nullable or add a non-VOLATILE DEFAULT
            m/V1__a.sql:5:18 prefer-bigint-over-int
                  add column é int not null;
              using 32-bit integer fields can result in hitting the max `int` limit
              → use 64-bit integer values instead to prevent hitting this limit
        "#]],
    );
}

#[test]
fn an_index_is_built_in_a_migration_of_its_own() {
    check(
        "set local lock_timeout = '1s';\ncreate index users_name on users (name);\n",
        expect![[r#"
            m/V1__a.sql:2:1 require-concurrent-index-creation
              create index users_name on users (name);
              during normal index creation, table updates are blocked, but reads are still allowed
              → use `concurrently`, in a migration of its own that has `-- devenv: no-transaction` on its first line
        "#]],
    );
    check(
        "create index concurrently users_name on users (name);\n",
        expect![[r#"
            m/V1__a.sql:1:14 ban-concurrent-index-creation-in-transaction
              create index concurrently users_name on users (name);
              while regular index creation can happen inside a transaction, this is not allowed when the `CONCURRENTLY` option is used
              → build it in a migration of its own that has `-- devenv: no-transaction` on its first line
        "#]],
    );
    let outside = format!("{MARK}create index concurrently users_name on users (name);\n");
    assert_eq!(rules(&outside), Vec::<String>::new());
}

#[test]
fn what_is_run_again_from_its_beginning_can_be() {
    // In one transaction, nothing is left of a failed run.
    let two = "set lock_timeout = '1s';\nalter table a add column b text;\nalter table a add column c text;\n";
    assert_eq!(rules(two), Vec::<String>::new());
    let found = rules(&format!("{MARK}{two}"));
    assert_eq!(
        found,
        ["3:15 prefer-robust-stmts", "4:15 prefer-robust-stmts"]
    );
    let robust = two.replace("column", "column if not exists");
    assert_eq!(rules(&format!("{MARK}{robust}")), Vec::<String>::new());
}

#[test]
fn tables_of_the_same_file_are_nobodys_yet() {
    let sql = "create table a (id bigint generated always as identity primary key, b text not null);\n\
               create index a_b on a (b);\nalter table a add constraint a_b check (b <> '');\n";
    assert_eq!(rules(sql), Vec::<String>::new());
}

#[test]
fn a_comment_accepts_what_it_names_and_nothing_else() {
    let sql = |comment: &str| format!("{comment}\ndrop table a;\n\n\ndrop table b;\n");
    let timeout = "set lock_timeout = '1s';";
    assert_eq!(
        rules(&sql(timeout)),
        ["2:1 ban-drop-table", "5:1 ban-drop-table"]
    );
    let one = sql(&format!("{timeout}\n-- squawk-ignore ban-drop-table"));
    assert_eq!(rules(&one), ["6:1 ban-drop-table"]);
    let other = sql(&format!("{timeout}\n-- squawk-ignore ban-drop-column"));
    assert_eq!(rules(&other).len(), 2);
    let whole = sql("-- squawk-ignore-file ban-drop-table, require-lock-timeout\n");
    assert_eq!(rules(&whole), Vec::<String>::new());
}

#[test]
fn a_comment_that_names_no_rule_is_told() {
    check(
        "set lock_timeout = '1s';\n-- squawk-ignore ban-drop-tabel\nselect 1;\n",
        expect![[r#"
            m/V1__a.sql:2:18 unused-ignore
              -- squawk-ignore ban-drop-tabel
              unknown name ban-drop-tabel
              → did you mean `ban-drop-table`?
        "#]],
    );
}

#[test]
fn a_comment_without_a_name_accepts_a_whole_file_or_is_told() {
    check(
        "set lock_timeout = '1s';\n-- squawk-ignore\ndrop table a;\n",
        expect![[r#"
            m/V1__a.sql:2:1 unused-ignore
              -- squawk-ignore
              this comment names no rule, and so accepts nothing
              → name a rule as its findings do, with commas between several
            m/V1__a.sql:3:1 ban-drop-table
              drop table a;
              dropping a table may break existing clients
              → release an app that does not use it first, and drop it in a later migration
        "#]],
    );
    let file = "-- squawk-ignore-file\nselec 1;\nvacuum;\n-- squawk-ignore\ndrop table a;\n";
    assert_eq!(rules(file), Vec::<String>::new());
}

#[test]
fn what_squawk_cannot_read_is_an_error_and_hides_nothing_else() {
    check(
        "set lock_timeout = '1s';\nfrobnicate the drop table a;\ndrop table b;\nselect from where;\n",
        expect![[r#"
            m/V1__a.sql:2:1 syntax
              frobnicate the drop table a;
              the SQL lint cannot read this statement: expected command, found IDENT
              → correct it; or where Postgres takes it all the same, write `-- squawk-ignore syntax` on the line above it, and no rule looks at it
            m/V1__a.sql:3:1 ban-drop-table
              drop table b;
              dropping a table may break existing clients
              → release an app that does not use it first, and drop it in a later migration
            m/V1__a.sql:4:12 syntax
              select from where;
              the SQL lint cannot read this statement: expected from item, got WHERE_KW
              → correct it; or where Postgres takes it all the same, write `-- squawk-ignore syntax` on the line above it, and no rule looks at it
        "#]],
    );
}

#[test]
fn what_only_postgres_can_read_is_accepted_by_a_comment() {
    let sql = "set lock_timeout = '1s';\n\nselec 1;\nselect\n  from where;\n";
    assert_eq!(rules(sql), ["3:1 syntax", "5:7 syntax"]);
    let one = sql.replace("\n\n", "\n-- squawk-ignore syntax\n");
    assert_eq!(rules(&one), ["5:7 syntax"]);
    let other = sql.replace("select\n", "-- squawk-ignore syntax\nselect\n");
    assert_eq!(rules(&other), ["3:1 syntax"]);
    let file = format!("-- squawk-ignore-file syntax, ban-drop-table\n{sql}");
    assert_eq!(rules(&file), Vec::<String>::new());
    let exclude = vec!["syntax".to_owned()];
    assert_eq!(linted(sql, &Lint { exclude, ..ON }, "15").len(), 0);
}

#[test]
fn what_postgres_refuses_in_a_transaction_stands_outside() {
    check(
        "-- first\ndrop index  CONCURRENTLY a_b;\n",
        expect![[r#"
        m/V1__a.sql:2:1 not-in-transaction
          drop index  CONCURRENTLY a_b;
          `drop index concurrently` cannot run in a transaction
          → run it in a migration of its own that has `-- devenv: no-transaction` on its first line
    "#]],
    );
    check(
        &format!("{MARK}vacuum a;\nbegin;\nvacuum b;\nrollback;\nvacuum c;\n"),
        expect![[r#"
            m/V1__a.sql:2:1 require-lock-timeout
              vacuum a;
              missing `set lock_timeout` before potentially slow SHARE UPDATE EXCLUSIVE lock operations
              → put `set lock_timeout = '5s';` above it: who waits for the lock holds up everybody behind it
            m/V1__a.sql:4:1 not-in-transaction
              vacuum b;
              `vacuum` cannot run in a transaction
              → put it before `begin` or behind `commit`
        "#]],
    );
    let accepted = "set lock_timeout = '1s';\n-- squawk-ignore not-in-transaction\nvacuum a;\n";
    assert_eq!(rules(accepted), Vec::<String>::new());
}

#[test]
fn statements_are_known_by_what_they_are_and_not_by_their_words() {
    let refused = |sql: &str| {
        let found = rules(&format!("set lock_timeout = '1s';\n{sql};\n"));
        found.contains(&"2:1 not-in-transaction".to_owned())
    };
    for sql in super::transaction::REFUSED {
        assert!(refused(sql), "{sql}");
        let found = rules(&format!("{MARK}{sql};\n"));
        assert!(
            !found.iter().any(|one| one.contains("transaction")),
            "{sql}"
        );
    }
    for sql in [
        "select 'vacuum' as \"drop index concurrently\"",
        "analyze a",
        "drop index a_b",
        "reindex index a_b",
        "reindex (concurrently false) table a",
        "refresh materialized view concurrently v",
        "cluster a using a_b",
        "discard temp",
        "alter database a set work_mem = '8MB'",
        "alter table a detach partition b",
        "create subscription s connection 'dbname=a' publication p with (connect = false)",
        "alter subscription s set publication p with (refresh = false)",
    ] {
        assert!(!refused(sql), "{sql}");
    }
}

#[test]
fn rules_are_the_tables_own() {
    let drop = "set lock_timeout = '1s';\ndrop table a;\n";
    let with = |lint: Lint| linted(drop, &lint, "15").len();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(with(ON), 1);
    assert_eq!(
        with(Lint {
            exclude: names(&["ban-drop-table"]),
            ..ON
        }),
        0
    );
    assert_eq!(
        with(Lint {
            include: names(&["require-table-schema"]),
            ..ON
        }),
        2
    );
    assert_eq!(
        with(Lint {
            include: names(&["require-statement-timeout"]),
            ..ON
        }),
        2
    );
    assert_eq!(
        with(Lint {
            enabled: false,
            ..ON
        }),
        0
    );
}

#[test]
fn the_servers_version_counts() {
    // Since Postgres 11, a constant default is kept beside the table.
    let sql = "set lock_timeout = '1s';\nalter table a add column b text default 'x';\n";
    let found = |server| {
        linted(sql, &ON, server)
            .iter()
            .map(place_and_rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("10"), ["2:41 adding-field-with-default"]);
    assert_eq!(found("15"), Vec::<String>::new());
}

#[test]
fn squawks_own_switch_of_the_mode_does_not_count() {
    let sql = "-- squawk-disable-assume-in-transaction\ncreate index concurrently a_b on a (b);\n";
    assert_eq!(
        rules(sql),
        ["2:14 ban-concurrent-index-creation-in-transaction"]
    );
}

#[test]
fn lines_are_counted_in_files_with_crlf_as_in_others() {
    assert_eq!(
        rules("set lock_timeout = '1s';\r\n\r\ndrop table a;\r\n"),
        ["3:1 ban-drop-table"]
    );
}
