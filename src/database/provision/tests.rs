//! Against real servers on data directories that the container's own script made.

use super::*;
use crate::database::testing::{self, Private};

const BOOTSTRAP: &str = "bootstrap-of-the-cache";
const TIME: Duration = Duration::from_secs(60);

fn wanted(server: &Private, user: &str, password: &str, database: &str) -> Wanted {
    Wanted {
        app: server.target(user, password, database),
        extensions: Vec::new(),
    }
}

async fn run(wanted: &Wanted) -> Result<Provisioned, ProvisionError> {
    run_as(wanted, false).await
}

async fn run_as(wanted: &Wanted, is_new: bool) -> Result<Provisioned, ProvisionError> {
    let bootstrap = Bootstrap {
        password: BOOTSTRAP,
        is_new,
    };
    provision(wanted, Some(bootstrap), TIME, &CancellationToken::new()).await
}

const DATABASES: &str =
    "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";

async fn holds(wanted: &Wanted) -> bool {
    provisioned(wanted, TIME, &CancellationToken::new())
        .await
        .unwrap()
}

async fn logs_in(target: Target) -> bool {
    login(&target, TIME, &CancellationToken::new())
        .await
        .unwrap()
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_then_nothing_to_do_then_changed_settings() {
    let server = Private::start(BOOTSTRAP);
    let mut first = wanted(&server, "app \"x\"", "pä'ss\\", "my-db");
    // Three at once, as two runs of `up` might.
    let (a, b, c) = tokio::join!(run(&first), run(&first), run(&first));
    for result in [a, b, c] {
        result.unwrap();
    }
    assert_eq!(run(&first).await.unwrap(), Provisioned::Unchanged);
    assert!(holds(&first).await);
    let more = Wanted {
        extensions: vec!["plpgsql".into(), "not_there".into()],
        ..first.clone()
    };
    assert!(!holds(&more).await, "an extension is missing");
    assert!(!logs_in(server.target("postgres", BOOTSTRAP, "postgres")).await);
    assert!(logs_in(server.target("postgres", "pä'ss\\", "postgres")).await);
    testing::execute(
        &first.app,
        "create table kept (id int); insert into kept values (7)",
    )
    .await;

    // The superuser's password was set, and the run was killed before the role was made or finished.
    for lost in [
        "alter role \"app \"\"x\"\"\" password 'other'",
        "alter role \"app \"\"x\"\"\" nologin",
    ] {
        testing::execute(&server.target("postgres", "pä'ss\\", "postgres"), lost).await;
        assert_eq!(run(&first).await.unwrap(), Provisioned::Changed);
        assert_eq!(run(&first).await.unwrap(), Provisioned::Unchanged);
    }

    // Another user takes over, another database is made and the old one stays.
    let second = wanted(&server, "second", "pä'ss\\", "my-db");
    assert_eq!(run(&second).await.unwrap(), Provisioned::Changed);
    assert_eq!(
        testing::value(&second.app, "select id::text from kept").await,
        "7"
    );
    let third = wanted(&server, "second", "pä'ss\\", "new");
    assert_eq!(run(&third).await.unwrap(), Provisioned::Changed);
    assert_eq!(
        testing::value(&second.app, "select id::text from kept").await,
        "7"
    );

    // A changed password cannot be carried over from outside.
    let changed = wanted(&server, "second", "changed", "new");
    let error = run(&changed).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Locked { .. }), "{error:?}");
    assert!(!format!("{error:?} {:?}", error.explain()).contains("changed\""));

    first = third;
    first.extensions = vec!["plpgsql".into()];
    assert_eq!(run(&first).await.unwrap(), Provisioned::Unchanged);
    first.extensions.push("no-such".into());
    let fault = run(&first).await.unwrap_err().explain();
    assert_eq!(
        fault.message.split(" in ").next().unwrap(),
        "cannot create extension `no-such`"
    );
    assert!(fault.notes[0].contains("SQLSTATE"), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_after_the_password_is_finished() {
    let server = Private::start(BOOTSTRAP);
    let admin = server.target("postgres", BOOTSTRAP, "postgres");
    testing::execute(&admin, "alter role postgres password 'new'").await;
    let wanted = wanted(&server, "postgres", "new", "app");
    assert_eq!(run(&wanted).await.unwrap(), Provisioned::Changed);
    assert_eq!(run(&wanted).await.unwrap(), Provisioned::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_provisioned_without_a_login_that_fails() {
    let server = Private::start(BOOTSTRAP);
    let wanted = wanted(&server, "app", "secret", "app");
    assert_eq!(run_as(&wanted, true).await.unwrap(), Provisioned::Changed);
    assert_eq!(run(&wanted).await.unwrap(), Provisioned::Unchanged);
    // The spare one became the app's, with nothing that tells them apart.
    assert_eq!(testing::value(&wanted.app, DATABASES).await, "app postgres");
    let owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'app'";
    assert_eq!(testing::value(&wanted.app, owner).await, "app");
    let log = server.log();
    assert!(!log.contains("authentication failed"), "{log}");
    // Two runs may both believe it.
    assert_eq!(run_as(&wanted, true).await.unwrap(), Provisioned::Changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_database_that_nobody_needs_is_dropped() {
    let server = Private::start(BOOTSTRAP);
    let wanted = wanted(&server, "postgres", "secret", "postgres");
    run_as(&wanted, true).await.unwrap();
    assert_eq!(testing::value(&wanted.app, DATABASES).await, "postgres");
}

#[tokio::test]
async fn cancel_ends_the_wait() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let app = Target {
        host: "127.0.0.1".into(),
        port: testing::free_port(),
        user: "u".into(),
        password: "p".into(),
        database: "d".into(),
    };
    let wanted = Wanted {
        app,
        extensions: Vec::new(),
    };
    let error = provision(&wanted, None, Duration::MAX, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        ProvisionError::NotReady(NotReady::Cancelled { .. })
    ));
}

#[test]
fn the_rescue_command_holds_no_password() {
    let rescue = rescue("15", "sec'ret");
    assert!(!rescue.argv.join(" ").contains("sec"));
    let sql = "; alter role postgres password 'sec''ret'";
    assert!(rescue.env.1.ends_with(sql), "{}", rescue.env.1);
}

/// The engine runs steps on several threads.
#[test]
fn every_wait_can_move_between_threads() {
    fn sendable<T: Send>(_: T) {}
    let server = Target {
        host: "127.0.0.1".into(),
        port: 1,
        user: "u".into(),
        password: "p".into(),
        database: "d".into(),
    };
    let cancel = CancellationToken::new();
    let wanted = Wanted {
        app: server.clone(),
        extensions: Vec::new(),
    };
    sendable(provision(&wanted, None, TIME, &cancel));
    sendable(crate::database::ready(&server, TIME, &cancel));
    sendable(crate::database::status(&server, &[], "t"));
    let (events, _receiver) = testing::events();
    let options = crate::database::Options {
        table: "t".into(),
        lock_timeout: TIME,
    };
    sendable(crate::database::apply(
        &server,
        &[],
        &options,
        &events,
        &cancel,
    ));
}
