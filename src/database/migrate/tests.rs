//! Against a real Postgres: a folder of files in, the database's state and the error out.

use std::fs;

use expect_test::{Expect, expect};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::{
    database::{lint, scan, status, testing},
    event::{Event, Explain, FaultClass, Record},
};

const TABLE: &str = "public.refinery_schema_history";

/// A folder of migrations and a database of its own.
struct Case {
    dir: tempfile::TempDir,
    target: Target,
    options: Options,
}

impl Case {
    async fn new(files: &[(&str, &str)]) -> Self {
        let case = Self {
            dir: tempfile::tempdir().unwrap(),
            target: testing::database().await,
            options: Options {
                table: TABLE.into(),
                lock_timeout: Duration::from_secs(30),
            },
        };
        fs::create_dir(case.dir.path().join("m")).unwrap();
        for (name, text) in files {
            case.write(name, text);
        }
        case
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("m").join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join("m").join(name)).unwrap();
    }

    fn migrations(&self) -> Vec<Migration> {
        scan(self.dir.path(), "m").unwrap()
    }

    async fn apply(&self) -> Result<Vec<i64>, MigrateError> {
        self.apply_with(&CancellationToken::new()).await.0
    }

    async fn apply_with(
        &self,
        cancel: &CancellationToken,
    ) -> (Result<Vec<i64>, MigrateError>, UnboundedReceiver<Record>) {
        let (events, receiver) = testing::events();
        let migrations = self.migrations();
        let result = apply(&self.target, &migrations, &self.options, &events, cancel).await;
        (result.map(|applied| applied.versions), receiver)
    }

    /// The failure as the user sees it, with the times of application replaced.
    async fn fails(&self, expected: Expect) {
        let fault = self.apply().await.unwrap_err().explain();
        let mut text = format!("{}\n", fault.message);
        if let Some(crate::event::Site::File { path, line, column }) = fault.site {
            text += &format!("at {}:{line}:{column}\n", path.display());
        }
        text.extend(fault.excerpt.map(|line| format!("| {line}\n")));
        for note in fault.notes {
            text += &format!("= {note}\n");
        }
        if let Some(help) = fault.help {
            text += &format!("help: {help}\n");
        }
        let times = text
            .split_inclusive([' ', '\n'])
            .map(|word| {
                match word
                    .trim_end_matches([' ', '\n', ':'])
                    .parse::<jiff::Timestamp>()
                {
                    Ok(_) => format!(
                        "[TIME]{}",
                        &word[word.trim_end_matches([' ', '\n', ':']).len()..]
                    ),
                    Err(_) => word.to_owned(),
                }
            })
            .collect::<String>();
        expected.assert_eq(&times);
    }

    /// Names of the app's tables and indexes.
    async fn relations(&self) -> String {
        testing::value(
            &self.target,
            "select coalesce(string_agg(relname::text, ' ' order by relname::text), '') from pg_class \
             where relnamespace = 'public'::regnamespace and relname not like 'refinery%'",
        )
        .await
    }

    async fn states(&self) -> String {
        let status = status(&self.target, &self.migrations(), &self.options.table)
            .await
            .unwrap();
        let rows = status.migrations.iter();
        let words: Vec<_> = rows
            .map(|row| format!("{} {}", row.version, row.state))
            .collect();
        words.join(", ")
    }
}

fn messages(mut receiver: UnboundedReceiver<Record>) -> Vec<String> {
    let mut messages = Vec::new();
    while let Ok(record) = receiver.try_recv() {
        match record.event {
            Event::StepProgress { progress, .. } => {
                messages.push(match (progress.done, progress.total) {
                    (Some(done), Some(total)) => format!("{} {done}/{total}", progress.message),
                    _ => progress.message,
                })
            }
            Event::StepLog { line, .. } if !line.starts_with("applied") => messages.push(line),
            _ => {}
        }
    }
    messages
}

#[tokio::test]
async fn applies_what_is_pending_and_then_nothing() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int);"),
        (
            "V2__b.sql",
            "create table b (id int); do $$ begin raise notice 'hello'; end $$",
        ),
    ])
    .await;
    assert_eq!(case.states().await, "1 pending, 2 pending");
    assert_eq!(
        testing::value(
            &case.target,
            "select coalesce(to_regclass('refinery_schema_history')::text, 'none')"
        )
        .await,
        "none",
        "status makes no table"
    );
    let (result, receiver) = case.apply_with(&CancellationToken::new()).await;
    assert_eq!(result.unwrap(), [1, 2]);
    assert_eq!(
        messages(receiver),
        ["Applying V1__a 1/2", "Applying V2__b 2/2", "NOTICE: hello"]
    );
    assert_eq!(case.relations().await, "a b");
    assert_eq!(case.states().await, "1 applied, 2 applied");
    assert_eq!(case.apply().await.unwrap(), [0; 0]);
    case.write("V3__c.sql", "create table c (id int)");
    assert_eq!(case.apply().await.unwrap(), [3]);
}

#[tokio::test]
async fn crlf_does_not_count_as_an_edit() {
    let case = Case::new(&[("V1__a.sql", "create table a (\n id int\n);\n")]).await;
    case.apply().await.unwrap();
    case.write("V1__a.sql", "create table a (\r\n id int\r\n);\r\n");
    assert_eq!(case.apply().await.unwrap(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_runs_at_once_apply_once() {
    let files: Vec<_> = (1..=9)
        .map(|n| {
            (
                format!("V{n}__t.sql"),
                format!("create table t{n} (id int); select pg_sleep(0.01)"),
            )
        })
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let case = Case::new(&files).await;
    let (a, b, c) = tokio::join!(case.apply(), case.apply(), case.apply());
    let mut all = [a.unwrap(), b.unwrap(), c.unwrap()].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn says_for_whom_it_waits_and_gives_up_in_time() {
    let mut case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    let other = case.target.connect("other run", |_| {}).await.unwrap();
    let key = lock::key(&Table::parse(TABLE).unwrap());
    let row = other
        .query_one(
            &format!("select pg_try_advisory_lock({key}), pg_backend_pid()"),
            &[],
        )
        .await
        .unwrap();
    let pid: i32 = row.get(1);

    case.options.lock_timeout = Duration::ZERO;
    let error = case.apply().await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("another migration run (pid {pid}, other run) still held the lock after 0s")
    );

    case.options.lock_timeout = Duration::from_secs(60);
    let (events, mut receiver) = testing::events();
    let migrations = case.migrations();
    let cancel = CancellationToken::new();
    let run = apply(&case.target, &migrations, &case.options, &events, &cancel);
    let release = async {
        let record = receiver.recv().await.unwrap();
        drop(other);
        format!("{:?}", record.event)
    };
    let (result, waiting) = tokio::join!(run, release);
    assert!(
        waiting.contains(&format!(
            "Waiting for another migration run (pid {pid}, other run)"
        )),
        "{waiting}"
    );
    assert_eq!(result.unwrap().versions, [1]);
}

/// A client that holds the lock, and calls itself so.
async fn lock_as(case: &Case, application: &str) -> Client {
    let client = case.target.connect(application, |_| {}).await.unwrap();
    let key = lock::key(&Table::parse(TABLE).unwrap());
    let take = format!("select pg_advisory_lock({key})");
    client.batch_execute(&take).await.unwrap();
    client
}

#[tokio::test]
async fn the_lock_of_a_killed_devenv_is_ended_and_no_other() {
    let mut case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    case.options.lock_timeout = Duration::ZERO;
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let pid = child.id();
    let mark = Mark::of(pid.cast_signed()).unwrap();
    let living = lock_as(&case, &lock::application(Some(&mark))).await;
    let error = case.apply().await.unwrap_err().to_string();
    assert!(
        error.contains(&format!(", devenv migrate (pid {pid}))")),
        "{error}"
    );
    living.batch_execute("select 1").await.unwrap();

    child.kill().unwrap();
    child.wait().unwrap();
    case.options.lock_timeout = Duration::from_secs(60);
    let (result, receiver) = case.apply_with(&CancellationToken::new()).await;
    assert_eq!(result.unwrap(), [1]);
    assert_eq!(
        messages(receiver),
        [
            format!("Ended the migration that a killed devenv (pid {pid}) left running"),
            "Applying V1__a 1/1".into()
        ]
    );
    living.batch_execute("select 1").await.unwrap_err();

    case.write("V2__b.sql", "create table b (id int)");
    case.options.lock_timeout = Duration::ZERO;
    // Its last part is the machine.
    let elsewhere = Mark::parse(&format!("{mark}x")).unwrap();
    let elsewhere = lock_as(&case, &lock::application(Some(&elsewhere))).await;
    case.apply().await.unwrap_err();
    elsewhere.batch_execute("select 1").await.unwrap();
}

#[test]
fn the_server_shows_the_whole_name_of_a_run() {
    let mark = Mark::own().unwrap().to_string();
    let (_, machine) = mark.rsplit_once('-').unwrap();
    // The largest pid, and ten years of clock ticks.
    let largest = Mark::parse(&format!("4194304-31536000000-{machine}")).unwrap();
    assert!(lock::application(Some(&largest)).len() <= 63);
}

/// The socket of a process that is killed is closed by the kernel, as that of a runtime that is dropped. This process lives, so that
/// only the server itself can end the migration.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_notices_that_the_run_is_gone() {
    for first_line in ["", "-- devenv: no-transaction\n"] {
        let mut case = Case::new(&[("V1__a.sql", "select 1")]).await;
        case.options.lock_timeout = Duration::from_secs(60);
        let slow = format!("{first_line}select pg_sleep(600)");
        case.write("V2__b.sql", &slow);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (target, migrations, options) =
            (case.target.clone(), case.migrations(), case.options.clone());
        runtime.spawn(async move {
            let (events, _receiver) = testing::events();
            let cancel = CancellationToken::new();
            apply(&target, &migrations, &options, &events, &cancel).await
        });
        sleeps(&case.target).await;
        runtime.shutdown_background();
        case.write("V2__b.sql", "create table b (id int)");
        assert_eq!(case.apply().await.unwrap(), [2]);
        assert_eq!(case.states().await, "1 applied, 2 applied");
    }
}

/// Returns when a statement of this database is in `pg_sleep`.
async fn sleeps(target: &Target) {
    let client = target.connect("test", |_| {}).await.unwrap();
    let running = "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    while client.query_opt(running, &[]).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_edited_file_is_refused() {
    let case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    case.apply().await.unwrap();
    case.write("V1__a.sql", "create table a (id bigint)");
    case.write("V2__b.sql", "create table b (id int)");
    case.fails(expect![[r#"
        `m/V1__a.sql` was edited after it was applied on [TIME]
        at m/V1__a.sql:1:1
        help: restore the file as it was and put the change into a new migration (`devenv migrate new NAME`); or start over with `devenv down --volumes` (removes the data)
    "#]]).await;
    assert_eq!(case.states().await, "1 edited, 2 pending");
    assert_eq!(case.relations().await, "a");
}

#[tokio::test]
async fn a_renamed_file_is_refused() {
    let case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    case.apply().await.unwrap();
    case.remove("V1__a.sql");
    case.write("V1__b.sql", "create table a (id int)");
    case.fails(expect![[r#"
        `m/V1__b.sql` was applied on [TIME] under the name `a`
        at m/V1__b.sql:1:1
        help: rename it back to `V1__a.sql`
    "#]])
        .await;
}

#[tokio::test]
async fn missing_and_late_files_are_refused_together() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int)"),
        ("V5__b.sql", "create table b (id int)"),
    ])
    .await;
    case.apply().await.unwrap();
    case.remove("V1__a.sql");
    case.fails(expect![[r#"
        `V1__a` was applied on [TIME] and its file is missing
        help: restore the file, or switch back to the branch that has it; or start over with `devenv down --volumes` (removes the data)
    "#]]).await;
    case.write("V3__c.sql", "create table c (id int)");
    case.fails(expect![[r#"
        2 migrations differ from what was applied
        = `m/V3__c.sql` is new, but version 5 was applied already, which is later than 3: rename it to `V6__c.sql`
        = `V1__a` was applied on [TIME] and its file is missing: restore the file, or switch back to the branch that has it; or start over with `devenv down --volumes` (removes the data)
    "#]]).await;
    assert_eq!(case.states().await, "1 missing, 3 out of order, 5 applied");
    assert_eq!(case.relations().await, "a b");
}

#[tokio::test]
async fn many_differences_are_told_in_short() {
    let case = Case::new(&[]).await;
    for n in 1..=12 {
        case.write(&format!("V{n}__t.sql"), "select 1");
    }
    case.apply().await.unwrap();
    for n in 1..=12 {
        case.remove(&format!("V{n}__t.sql"));
    }
    case.fails(expect![[r#"
        12 migrations differ from what was applied
        = `V1__t` was applied on [TIME] and its file is missing
        = `V2__t` was applied on [TIME] and its file is missing
        = `V3__t` was applied on [TIME] and its file is missing
        = `V4__t` was applied on [TIME] and its file is missing
        = `V5__t` was applied on [TIME] and its file is missing
        = `V6__t` was applied on [TIME] and its file is missing
        = `V7__t` was applied on [TIME] and its file is missing
        = `V8__t` was applied on [TIME] and its file is missing
        = `V9__t` was applied on [TIME] and its file is missing
        = `V10__t` was applied on [TIME] and its file is missing
        = and 2 more: see `devenv migrate status`
        help: restore the file, or switch back to the branch that has it; or start over with `devenv down --volumes` (removes the data)
    "#]]).await;
}

#[tokio::test]
async fn a_late_file_gets_its_new_name_told() {
    let case = Case::new(&[("V2__b.sql", "create table b (id int)")]).await;
    case.apply().await.unwrap();
    case.write("V1__a.sql", "create table a (id int)");
    case.fails(expect![[r#"
        `m/V1__a.sql` is new, but version 2 was applied already, which is later than 1
        at m/V1__a.sql:1:1
        help: rename it to `V3__a.sql`
    "#]])
        .await;
}

#[tokio::test]
async fn nothing_of_a_failing_migration_remains() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int)"),
        (
            "V2__b.sql",
            "create table b (id int);\n\n-- grüße\ncreate table c (x text default 'ü', y  nope);\n",
        ),
        ("V3__c.sql", "create table d (id int)"),
    ])
    .await;
    case.fails(expect![[r#"
        `m/V2__b.sql:4:40` failed: type "nope" does not exist (SQLSTATE 42704)
        at m/V2__b.sql:4:40
        | create table c (x text default 'ü', y  nope);
        = nothing of `V2__b` remains in the database
    "#]])
        .await;
    assert_eq!(case.relations().await, "a");
    assert_eq!(case.states().await, "1 applied, 2 pending, 3 pending");
    case.write("V2__b.sql", "create table b (id int)");
    assert_eq!(case.apply().await.unwrap(), [2, 3]);
}

#[tokio::test]
async fn an_error_without_position_points_at_its_statement() {
    let case = Case::new(&[(
        "V1__a.sql",
        "create table a (id int primary key);\n-- ;\ninsert into a values (1), (2);\n  insert into a\n  values (2);\nselect 1;",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:4:3` failed: duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)
        at m/V1__a.sql:4:3
        |   insert into a
        = detail: Key (id)=(2) already exists.
        = nothing of `V1__a` remains in the database
    "#]]).await;
    assert_eq!(case.relations().await, "");
}

#[tokio::test]
async fn errors_in_functions_and_at_commit() {
    let case = Case::new(&[(
        "V1__a.sql",
        "select 1;\ndo $$ begin\n  perform nope();\nend $$;",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:2:1` failed: function nope() does not exist (SQLSTATE 42883)
        at m/V1__a.sql:2:1
        | do $$ begin
        = hint: No function matches the given name and argument types. You might need to add explicit type casts.
        = where: PL/pgSQL function inline_code_block line 2 at PERFORM
        = query: SELECT nope()
        = nothing of `V1__a` remains in the database
    "#]]).await;
    case.write("V1__a.sql", "do $$ begin commit; end $$;");
    case.fails(expect![[r#"
        `m/V1__a.sql:1:1` failed: invalid transaction termination (SQLSTATE 2D000)
        at m/V1__a.sql:1:1
        | do $$ begin commit; end $$;
        = where: PL/pgSQL function inline_code_block line 1 at COMMIT
        = nothing of `V1__a` remains in the database
        help: a `do` block or procedure of a migration cannot commit: put `-- devenv: no-transaction` on the file's first line
    "#]]).await;
    case.write(
        "V1__a.sql",
        "create table a (id int primary key, b int references a deferrable initially deferred);\ninsert into a values (1, 2);",
    );
    case.fails(expect![[r#"
        `m/V1__a.sql:1:1` failed: insert or update on table "a" violates foreign key constraint "a_b_fkey" (SQLSTATE 23503)
        at m/V1__a.sql:1:1
        = detail: Key (b)=(2) is not present in table "a".
        = it failed when the file was to be committed
        = nothing of `V1__a` remains in the database
    "#]]).await;
    assert_eq!(case.relations().await, "");
}

#[tokio::test]
async fn without_a_transaction_statement_by_statement() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int)"),
        ("V2__b.sql", "create index concurrently a_id on a (id)"),
    ])
    .await;
    case.fails(expect![[r#"
        `m/V2__b.sql:1:1` failed: CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)
        at m/V2__b.sql:1:1
        | create index concurrently a_id on a (id)
        = nothing of `V2__b` remains in the database
        help: put `-- devenv: no-transaction` on the file's first line: this statement cannot run in a transaction
    "#]]).await;
    case.write(
        "V2__b.sql",
        "-- devenv: no-transaction\ncreate index concurrently a_id on a (id);\ncreate index concurrently a_id2 on a (id);\n",
    );
    assert_eq!(case.apply().await.unwrap(), [2]);
    assert_eq!(case.relations().await, "a a_id a_id2");
}

#[tokio::test]
async fn what_the_lint_says_of_transactions_is_what_postgres_does() {
    let case = Case::new(&[]).await;
    // Of these it says first that there is no such subscription.
    let known = |sql: &&&str| !sql.starts_with("alter subscription");
    for sql in lint::REFUSED.iter().filter(known) {
        case.write("V1__a.sql", sql);
        let error = case.apply().await.unwrap_err().explain();
        assert!(error.message.contains("25001"), "{sql}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_index_while_another_run_waits() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int)"),
        (
            "V2__b.sql",
            "-- devenv: no-transaction\ncreate index concurrently a_id on a (id);",
        ),
    ])
    .await;
    let (a, b) = tokio::join!(case.apply(), case.apply());
    assert_eq!(a.unwrap().len() + b.unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_transaction_a_failure_says_what_remains() {
    let case = Case::new(&[(
        "V1__a.sql",
        "-- devenv: no-transaction\ncreate table a (id int);\ncreate table b (id int);\n  create table c (é nope);\nselect 1",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:4:21` failed: type "nope" does not exist (SQLSTATE 42704)
        at m/V1__a.sql:4:21
        |   create table c (é nope);
        = `V1__a` runs without a transaction: its first 2 statements of 4 were applied and remain, the last at line 3
        help: make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again
    "#]])
        .await;
    assert_eq!(case.relations().await, "a b");
    assert_eq!(case.states().await, "1 pending");
}

/// What the server said while the migrations failed.
async fn said(case: &Case) -> String {
    let (result, receiver) = case.apply_with(&CancellationToken::new()).await;
    result.unwrap_err();
    messages(receiver).join("\n")
}

#[tokio::test]
async fn a_second_try_without_a_transaction_does_not_claim_that_nothing_was_applied() {
    let case = Case::new(&[(
        "V1__a.sql",
        "-- devenv: no-transaction\ncreate table a (id int);\nselect nope;",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:3:8` failed: column "nope" does not exist (SQLSTATE 42703)
        at m/V1__a.sql:3:8
        | select nope;
        = `V1__a` runs without a transaction: its first statement of 2 was applied and remains, at line 2
        help: make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again
    "#]]).await;
    case.fails(expect![[r#"
        `m/V1__a.sql:2:1` failed: relation "a" already exists (SQLSTATE 42P07)
        at m/V1__a.sql:2:1
        | create table a (id int);
        = `V1__a` runs without a transaction: this run applied none of its 2 statements; what an earlier, failed run applied remains
        help: make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again
    "#]]).await;
    case.write(
        "V1__a.sql",
        "-- devenv: no-transaction\ncreate table if not exists a (id int);\nselect 1;",
    );
    assert_eq!(case.apply().await.unwrap(), [1]);
}

#[tokio::test]
async fn an_index_that_failed_halfway_is_told() {
    let case = Case::new(&[(
        "V1__a.sql",
        "-- devenv: no-transaction\ncreate table a as select 1 as id from generate_series(1, 2);\ncreate unique index concurrently a_id on a (id);",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:3:1` failed: could not create unique index "a_id" (SQLSTATE 23505)
        at m/V1__a.sql:3:1
        | create unique index concurrently a_id on a (id);
        = detail: Key (id)=(1) is duplicated.
        = a `create index concurrently` that fails may leave an invalid index behind: drop it before the next try
        = `V1__a` runs without a transaction: its first statement of 2 was applied and remains, at line 2
        help: make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again
    "#]]).await;
    assert_eq!(case.relations().await, "a a_id");
}

#[tokio::test]
async fn a_failure_rolls_back_only_what_is_open() {
    for text in [
        "-- devenv: no-transaction\nselect nope;",
        "-- devenv: no-transaction\nbegin; create table b (id int); select nope; commit;",
        "-- devenv: no-transaction\ncreate table a (id int primary key, b int references a deferrable initially deferred);\n\
         begin; insert into a values (1, 2); commit;",
        "create table a (id int primary key, b int references a deferrable initially deferred); insert into a values (1, 2);",
        "create table a (id int); select nope;",
    ] {
        let case = Case::new(&[("V1__a.sql", text)]).await;
        let said = said(&case).await;
        assert!(!said.contains("WARNING"), "{text}: {said}");
        // Another run has the lock at once, so nothing is open any more.
        case.apply().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_transaction_of_its_own_is_rolled_back() {
    let case = Case::new(&[(
        "V1__a.sql",
        "-- devenv: no-transaction\ncreate table a (id int);\nbegin;\ncreate table b (id int);\nselect nope;\ncommit;",
    )])
    .await;
    case.fails(expect![[r#"
        `m/V1__a.sql:5:8` failed: column "nope" does not exist (SQLSTATE 42703)
        at m/V1__a.sql:5:8
        | select nope;
        = `V1__a` runs without a transaction: its first statement of 5 was applied and remains, at line 2
        help: make its statements fit to run again, such as with `if not exists`, or undo by hand what remains; then run it again
    "#]])
        .await;
    assert_eq!(case.relations().await, "a");
}

#[tokio::test]
async fn session_settings_do_not_leak() {
    let case = Case::new(&[
        ("V1__a.sql", "select pg_catalog.set_config('search_path', '', false); create table public.a (id int); create role leak; set role leak;"),
        ("V2__b.sql", "create table b (id int)"),
        ("V3__c.sql", "-- devenv: no-transaction\nset search_path to ''; set role leak;"),
        ("V4__d.sql", "create table c (id int); reset role; drop role leak"),
    ])
    .await;
    assert_eq!(case.apply().await.unwrap(), [1, 2, 3, 4]);
    assert_eq!(case.relations().await, "a b c");
}

#[tokio::test]
async fn a_history_table_in_a_schema_of_its_own() {
    let mut case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    case.options.table = "ops.Applied_Migrations".into();
    assert_eq!(case.apply().await.unwrap(), [1]);
    assert_eq!(case.apply().await.unwrap(), [0; 0]);
    let count = testing::value(
        &case.target,
        "select count(*)::text from ops.applied_migrations",
    )
    .await;
    assert_eq!(count, "1");
}

#[tokio::test]
async fn a_history_that_refinery_did_not_write() {
    let case = Case::new(&[("V1__a.sql", "create table a (id int)")]).await;
    testing::execute(
        &case.target,
        "create table refinery_schema_history (version int4, name text, applied_on text, checksum text); \
         insert into refinery_schema_history values (1, 'a', 'yesterday', 'x')",
    )
    .await;
    case.fails(expect![[r#"
        the migration history `public.refinery_schema_history` has a line that refinery did not write: `yesterday` in version 1 is no time
        help: correct or delete that line, or name another table as `table`
    "#]]).await;
}

#[tokio::test]
async fn a_history_with_short_versions_is_read() {
    let case = Case::new(&[
        ("V1__a.sql", "create table a (id int)"),
        ("V2__b.sql", "create table b (id int)"),
    ])
    .await;
    let checksum = case.migrations()[0].checksum;
    testing::execute(
        &case.target,
        &format!(
            "create table refinery_schema_history (version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255)); \
             insert into refinery_schema_history values (1, 'a', '2024-01-01T00:00:00.123456789Z', '{checksum}')"
        ),
    )
    .await;
    assert_eq!(case.apply().await.unwrap(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_the_statement_and_rolls_back() {
    for (first_line, remain, message) in [
        ("", "", "the migrations were cancelled"),
        (
            "-- devenv: no-transaction\n",
            "b",
            "the migrations were cancelled; `V2__b` runs without a transaction: its first statement of 2 was applied and remains, at line 2",
        ),
    ] {
        let case = Case::new(&[("V1__a.sql", "select 1")]).await;
        case.write(
            "V2__b.sql",
            &format!("{first_line}create table b (id int); select pg_sleep(600)"),
        );
        case.write("V3__c.sql", "create table c (id int)");
        let cancel = CancellationToken::new();
        let stop = async {
            sleeps(&case.target).await;
            cancel.cancel();
        };
        let ((result, _), ()) = tokio::join!(case.apply_with(&cancel), stop);
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.explain().class, FaultClass::Interrupted);
        assert_eq!(case.relations().await, remain);
        assert_eq!(case.states().await, "1 applied, 2 pending, 3 pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_told() {
    let case = Case::new(&[(
        "V1__a.sql",
        "create table a (id int); select pg_terminate_backend(pg_backend_pid()); select 1",
    )])
    .await;
    let error = case.apply().await.unwrap_err();
    assert!(error.to_string().contains("V1__a.sql"), "{error}");
    assert_eq!(case.relations().await, "");
}

#[tokio::test]
async fn no_server_is_told() {
    let mut case = Case::new(&[("V1__a.sql", "select 1")]).await;
    case.target = Target {
        port: testing::free_port(),
        ..case.target
    };
    let fault = case.apply().await.unwrap_err().explain();
    assert_eq!(
        fault.message,
        format!(
            "cannot connect to `admin@127.0.0.1:{}/{}`: nothing listens on the port",
            case.target.port, case.target.database
        )
    );
    assert_eq!(fault.class, FaultClass::Environment);
}
