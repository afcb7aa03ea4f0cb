use super::*;
use crate::event::{Explain, Fault, FaultClass};
use expect_test::{Expect, expect};

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("m")).unwrap();
    for (name, bytes) in files {
        let path = dir.path().join("m").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn check(files: &[(&str, &[u8])], expected: Expect) {
    let dir = folder(files);
    let text: String = match scan(dir.path(), "m") {
        Ok(migrations) => migrations
            .iter()
            .map(|m| format!("{} {} {}\n", m.version, m.file.display(), m.transactional))
            .collect(),
        Err(error) => {
            let help = |fault: &Fault| fault.help.clone().unwrap_or_default();
            let faults = error.faults();
            let lines = faults.iter().map(|f| format!("{f}\n    {}\n", help(f)));
            lines.collect()
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn valid_files_by_version() {
    check(
        &[
            ("V10__c.sql", b"select 1"),
            ("V2__b.sql", b"-- why\n\n-- devenv: no-transaction\nvacuum;"),
            ("V20260102030405__d.sql", b"select 1"),
            ("V01__a.sql", b"select 1;\r\nselect 2;\r\n"),
            ("README.md", b""),
            ("README", b""),
            (".gitkeep", b""),
            (".V1__x.sql.swp", b""),
        ],
        expect![[r#"
            1 m/V01__a.sql true
            2 m/V2__b.sql false
            10 m/V10__c.sql true
            20260102030405 m/V20260102030405__d.sql true
        "#]],
    );
    check(&[], expect![""]);
}

#[test]
fn every_bad_name_at_once() {
    let sql = b"select 1".as_slice();
    check(
        &[
            ("V2__has-dash.sql", sql),
            ("V3_single.sql", sql),
            ("v4__lower.sql", sql),
            ("V6.1__dotted.sql", sql),
            ("V__none.sql", sql),
            ("7__no_letter.sql", sql),
            ("V99999999999999999999__big.sql", sql),
            ("U8__undo.sql", sql),
            ("V9__upper.SQL", sql),
            ("V10__.sql", sql),
            ("V11__backup.sql.bak", sql),
            ("V12__code.rs", sql),
            ("notes.sql", sql),
            ("data.csv", sql),
            ("sub/V13__deep.sql", sql),
        ],
        expect![[r#"
            `m/7__no_letter.sql` has no version: its name has to start with `V` and a number
                name it `V<number>__<name>.sql`, such as `V1__users.sql`
            `m/U8__undo.sql` starts with `U`, which does not undo anything: it means "may run out of order"
                rename it to `V8__undo.sql`; to undo a migration, write a new one that does the opposite
            `m/V10__.sql` has no name behind `__`
                say what it does, such as `V1__users.sql`
            `m/V11__backup.sql.bak` is neither a migration nor documentation
                move it out of the folder, or name it `V<number>__<name>.sql`
            `m/V12__code.rs` is neither a migration nor documentation
                move it out of the folder, or name it `V<number>__<name>.sql`
            `m/V2__has-dash.sql` has `-` in its name and would be skipped in silence
                rename it to `V2__has_dash.sql`
            `m/V3_single.sql` has no `__` between version and name and would be skipped in silence
                rename it to `V3__single.sql`
            `m/V6.1__dotted.sql` has a fraction in its version, and versions are whole numbers
                use the next whole number
            `m/V99999999999999999999__big.sql` has a version beyond 9223372036854775807
                use the next number, or a timestamp of 14 digits
            `m/V9__upper.SQL` does not end in `.sql`
                rename it to `V9__upper.sql`
            `m/V__none.sql` has no version: its name has to start with `V` and a number
                name it `V<number>__<name>.sql`, such as `V1__users.sql`
            `m/data.csv` is neither a migration nor documentation
                move it out of the folder, or name it `V<number>__<name>.sql`
            `m/notes.sql` has no version: its name has to start with `V` and a number
                name it `V<number>__<name>.sql`, such as `V1__users.sql`
            `m/sub` is a folder, and migrations are read from one folder only
                move its files up into `m`, or the folder elsewhere
            `m/v4__lower.sql` starts with a lower-case `v` and would be skipped in silence
                rename it to `V4__lower.sql`
        "#]],
    );
}

#[test]
fn every_bad_text_at_once() {
    check(
        &[
            ("V1__empty.sql", b""),
            ("V2__comments.sql", b"-- later\n/* really */\n;"),
            ("V3__latin.sql", b"select 1;\nselect '\xe9'"),
            ("V4__bom.sql", b"\xef\xbb\xbfselect 1"),
            ("V5__open.sql", "select 'é';\nselect 'x".as_bytes()),
            ("V6__commit.sql", b"BEGIN;\nselect 1;\n  COMMIT;"),
            ("V7__copy.sql", b"copy t from stdin;\n1\n\\."),
            ("V8__late.sql", b"select 1;\n-- devenv: no-transaction\n"),
            ("V9__typo.sql", b"-- devenv: no-transactions\nselect 1;"),
            ("V10__psql.sql", b"\\connect x\n"),
            (
                "V11__open.sql",
                b"-- devenv: no-transaction\nbegin; select 1",
            ),
            ("V12__copy.sql", b"copy t from stdin"),
            ("V13__zero.sql", b"select 1\0"),
        ],
        expect![[r#"
            `m/V10__psql.sql` has a psql command, which is no SQL
                migrations are plain SQL as the server reads it: correct it here
            `m/V11__open.sql:2:1` opens a transaction that is never committed
                add `commit;`
            `m/V12__copy.sql` copies from stdin, and a migration has none
                write the rows as `insert` statements (`pg_dump --inserts`)
            `m/V13__zero.sql` holds a zero byte
                save it as plain UTF-8 text
            `m/V1__empty.sql` is empty: it holds no statement yet
                write its SQL into it, or remove the file
            `m/V2__comments.sql` is empty: it holds no statement yet
                write its SQL into it, or remove the file
            `m/V3__latin.sql:2:9` is not UTF-8 from here on
                save it as UTF-8
            `m/V4__bom.sql` begins with a byte order mark, which Postgres takes for a syntax error
                save it as UTF-8 without a byte order mark
            `m/V5__open.sql:2:8` has a string that is never closed
                migrations are plain SQL as the server reads it: correct it here
            `m/V6__commit.sql` controls the transaction with `BEGIN`, which would leave half of it on failure
                delete it: the file already runs in one transaction; or put `-- devenv: no-transaction` on the first line
            `m/V6__commit.sql:3:3` controls the transaction with `COMMIT`, which would leave half of it on failure
                delete it: the file already runs in one transaction; or put `-- devenv: no-transaction` on the first line
            `m/V7__copy.sql` copies from stdin, and a migration has none
                write the rows as `insert` statements (`pg_dump --inserts`)
            `m/V8__late.sql:2:1` has its directive below the first statement, where it has no effect
                move it to the first line
            `m/V9__typo.sql` has an unknown directive `no-transactions`
                the only one is `-- devenv: no-transaction`
        "#]],
    );
}

#[test]
fn duplicates_name_both_files() {
    check(
        &[
            ("V1__a.sql", b"select 1"),
            ("V01__b.sql", b"select 1"),
            ("V5__c.sql", b"select 1"),
        ],
        expect![[r#"
            `m/V1__a.sql` has version 1, and so has `m/V01__b.sql`
                give the one that is not applied anywhere yet the next number, such as `V6__a.sql`
        "#]],
    );
}

#[test]
fn a_missing_folder_and_a_file_in_its_place() {
    let dir = folder(&[("V1__a.sql", b"select 1")]);
    let error = scan(dir.path(), "migrations").unwrap_err();
    assert_eq!(
        error.to_string(),
        "migrations folder `migrations` does not exist"
    );
    let error = scan(dir.path(), "m/V1__a.sql").unwrap_err();
    assert_eq!(
        error.to_string(),
        "migrations folder `m/V1__a.sql` is no folder"
    );
}

#[test]
fn line_ends_do_not_change_the_checksum() {
    let unix = folder(&[("V1__a.sql", b"select 1;\nselect 2;\n")]);
    let dos = folder(&[("V1__a.sql", b"select 1;\r\nselect 2;\r\n")]);
    let unix = scan(unix.path(), "m").unwrap();
    assert_eq!(unix, scan(dos.path(), "m").unwrap());
    // Refinery's own for the same name, version and text: an existing history stays valid.
    let own = refinery_core::Migration::unapplied("V1__a", "select 1;\nselect 2;\n").unwrap();
    assert_eq!(unix[0].checksum, own.checksum());
}

#[test]
fn a_fault_points_into_the_file() {
    let dir = folder(&[("V1__a.sql", b"select 1;\n commit;")]);
    let fault = scan(dir.path(), "m").unwrap_err().explain();
    assert_eq!(
        fault.site,
        Some(crate::event::Site::File {
            path: "m/V1__a.sql".into(),
            line: 2,
            column: 2
        })
    );
    assert_eq!(fault.excerpt.as_deref(), Some(" commit;"));
    assert_eq!(fault.class, FaultClass::Usage);
}

#[test]
fn hidden_migrations_are_refused_and_what_editors_leave_is_not() {
    let sql = b"select 1".as_slice();
    check(
        &[
            ("V1__a.sql", sql),
            (".V5__x.sql.swp", b"\0"),
            (".V5__x.sql.kate-swp", b"\0"),
            (".#V5__x.sql", b"\0"),
            ("#V5__x.sql#", sql),
            ("V5__x.sql~", sql),
            ("._V1__a.sql", b"\0"),
            (".DS_Store", b"\0"),
            (".idea/V5__x.sql", sql),
        ],
        expect![[r#"
            1 m/V1__a.sql true
        "#]],
    );
    check(
        &[(".V5__x.sql", sql), (".V6__y.SQL", sql), (".old.sql", sql)],
        expect![[r#"
            `m/.V5__x.sql` is hidden and would be skipped in silence
                rename it to `V5__x.sql`, or move it out of the folder
            `m/.V6__y.SQL` is hidden and would be skipped in silence
                rename it to `V6__y.sql`, or move it out of the folder
            `m/.old.sql` is hidden and would be skipped in silence
                move it out of the folder, or name it `V<number>__<name>.sql`
        "#]],
    );
}

#[test]
fn links_are_followed_to_files_alone() {
    let dir = folder(&[("V1__a.sql", b"select 1")]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, dir.path().join("m").join(name)).unwrap();
    };
    fs::write(dir.path().join("elsewhere.sql"), "select 2").unwrap();
    link("../elsewhere.sql", "V2__b.sql");
    let versions: Vec<_> = scan(dir.path(), "m")
        .unwrap()
        .iter()
        .map(|m| m.version)
        .collect();
    assert_eq!(versions, [1, 2]);
    link("nowhere", "V3__c.sql");
    link("..", "V4__d.sql");
    let error = scan(dir.path(), "m").unwrap_err();
    let told: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`m/V3__c.sql` is a link to nothing",
            "`m/V4__d.sql` is a folder, and migrations are read from one folder only"
        ]
    );
}
