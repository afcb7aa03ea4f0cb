//! Start before the database, loss of the database, and the end.

use std::time::Duration;

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    app::{App, request},
    cluster::Cluster,
};

const NOT_READY: &str = "the database is not ready";
const READY: &str = r#"{"status":"ready"}"#;

#[tokio::test]
async fn ready_only_with_a_migrated_database() {
    let cluster = Cluster::empty().await;
    let mut app = App::start(&cluster.url()).await;

    app.get("/healthz").await.is(200, r#"{"status":"ok"}"#);
    app.get("/readyz").await.is_error(503, NOT_READY);
    let line = app.logged("not ready").await;
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains(r#"database "hello" does not exist"#),
        "{error}"
    );

    cluster.create_database().await;
    app.get("/readyz").await.is_error(503, NOT_READY);
    let line = app.logged("not ready").await;
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains(r#"relation "users" does not exist"#),
        "{error}"
    );

    cluster.migrate().await;
    app.get("/readyz").await.is(200, READY);
}

#[tokio::test]
async fn survives_a_restart_of_the_database() {
    let mut cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;
    let birthday = r#"{"dateOfBirth":"2000-01-31"}"#;
    app.put("/hello/ada", birthday).await.is(204, "");

    cluster.stop();
    app.get("/readyz").await.is_error(503, NOT_READY);
    app.get("/hello/ada")
        .await
        .is_error(503, "the database does not answer");
    app.put("/hello/ada", birthday)
        .await
        .is_error(503, "the database does not answer");
    app.get("/healthz").await.is(200, r#"{"status":"ok"}"#);

    cluster.start_again().await;
    app.put("/hello/ada", birthday).await.is(204, "");
    app.get("/readyz").await.is(200, READY);
}

#[tokio::test]
async fn a_database_that_never_answers_is_not_waited_for() {
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://postgres@{}/hello", silent.local_addr().unwrap());
    let app = App::start(&url).await;
    app.get("/readyz").await.is_error(503, NOT_READY);
}

#[tokio::test]
async fn a_signal_lets_requests_in_flight_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let cluster = Cluster::migrated().await;
        let mut app = App::start(&cluster.url()).await;
        app.put("/hello/ada", r#"{"dateOfBirth":"2000-01-31"}"#)
            .await
            .is(204, "");

        let mut holder = cluster.client().await;
        let lock = holder.transaction().await.unwrap();
        lock.batch_execute("lock table users in access exclusive mode")
            .await
            .unwrap();
        let address = app.http.clone();
        let waiting =
            tokio::spawn(async move { request(&address, "GET", "/hello/ada", None, "").await });
        wait_until_blocked(&cluster).await;

        app.signal(signal);
        app.logged("stopping").await;
        assert!(!waiting.is_finished());
        lock.commit().await.unwrap();
        assert_eq!(waiting.await.unwrap().status, 200);
        app.logged("stopped").await;
        assert_eq!(app.exited().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_request_that_never_ends_holds_the_end_up_for_a_bounded_time() {
    let cluster = Cluster::migrated().await;
    let mut app = App::start_with(&cluster.url(), &[("DRAIN_SECONDS", "1")]).await;

    let mut client = TcpStream::connect(&app.http).await.unwrap();
    let head = "PUT /hello/ada HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    // Sent once the app waits for the body.
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    app.signal(Signal::TERM);
    let line = app.logged("stopped with requests in flight").await;
    assert_eq!(line["waited_s"], 1);
    assert_eq!(app.exited().await.code(), Some(0));
}

/// Until a query of the app waits for a lock.
async fn wait_until_blocked(cluster: &Cluster) {
    let client = cluster.client().await;
    let waiting = "select count(*) from pg_stat_activity where application_name = 'hello' and wait_event_type = 'Lock'";
    for _ in 0..1000 {
        let row = client.query_one(waiting, &[]).await.unwrap();
        if row.get::<_, i64>(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no request waits for the lock");
}
