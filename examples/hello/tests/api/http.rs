use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::{app::App, cluster::Cluster};

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

#[tokio::test]
async fn stores_a_birthday_and_greets() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    app.get("/hello/ada").await.is_error(404, "no user `ada`");
    app.put("/hello/ada", r#"{"dateOfBirth":"2000-01-31"}"#)
        .await
        .is(204, "");
    let answer = app.get("/hello/ada").await;
    assert_eq!(answer.status, 200);
    let happy = r#"{"message":"Hello, ada! Happy birthday!"}"#;
    let counted = answer
        .body
        .starts_with(r#"{"message":"Hello, ada! Your birthday is in "#)
        && answer.body.ends_with(r#" day(s)"}"#);
    assert!(answer.body == happy || counted, "{}", answer.body);
    app.get("/hello/Ada").await.is_error(404, "no user `Ada`");
}

#[tokio::test]
async fn a_body_without_a_content_type_is_json() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    let body = r#"{"dateOfBirth":"2000-01-31"}"#;
    let answer = app.request("PUT", "/hello/ada", None, body).await;
    answer.is(204, "");
}

#[tokio::test]
async fn a_second_put_replaces_the_first() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    for date in ["1999-12-31", "1815-12-10"] {
        let body = format!(r#"{{"dateOfBirth":"{date}"}}"#);
        app.put("/hello/ada", &body).await.is(204, "");
    }
    let rows = cluster
        .client()
        .await
        .query(
            "select username, date_of_birth::text, updated_at > created_at from users",
            &[],
        )
        .await
        .unwrap();
    let rows: Vec<(&str, &str, bool)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(rows, [("ada", "1815-12-10", true)]);
}

#[tokio::test]
async fn only_days_before_today_are_dates_of_birth() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    let tomorrow = today().saturating_add(1.day());
    let answer = app
        .put("/hello/ada", &format!(r#"{{"dateOfBirth":"{tomorrow}"}}"#))
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .starts_with(r#"{"error":"dateOfBirth must be before today, "#),
        "{}",
        answer.body
    );
    let no_date = "dateOfBirth must be a date that exists, written YYYY-MM-DD";
    for bad in ["2001-02-29", "31.01.2000", "2000-01-31T00:00:00", ""] {
        let body = format!(r#"{{"dateOfBirth":"{bad}"}}"#);
        app.put("/hello/ada", &body).await.is_error(400, no_date);
    }
    app.get("/hello/ada").await.is_error(404, "no user `ada`");
}

#[tokio::test]
async fn usernames_are_letters_only() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    let message = "username must be 1 to 64 letters, a to z or A to Z";
    let long = "x".repeat(65);
    for bad in [
        "ada1", "a-b", "a%20b", "%C3%A4da", "a%2Fb", "ada%00", "a'b", &long,
    ] {
        let path = format!("/hello/{bad}");
        app.get(&path).await.is_error(400, message);
        app.put(&path, r#"{"dateOfBirth":"2000-01-31"}"#)
            .await
            .is_error(400, message);
    }
    let answer = app.get("/hello/%FF").await;
    answer.is_error(400, "Invalid URL: Invalid UTF-8 in `username`");
}

#[tokio::test]
async fn bodies_that_are_no_birthday_are_json_errors() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    let json = Some("application/json");
    let good = r#"{"dateOfBirth":"2000-01-31"}"#;
    let huge = format!(r#"{{"dateOfBirth":"{}"}}"#, "x".repeat(5000));
    let cases = [
        (json, "", 400, "Failed to parse the request body as JSON"),
        (json, "{", 400, "Failed to parse the request body as JSON"),
        (
            json,
            "{}",
            400,
            "Failed to deserialize the JSON body into the target type: missing field `dateOfBirth`",
        ),
        (
            json,
            "[]",
            400,
            "Failed to deserialize the JSON body into the target type",
        ),
        (
            json,
            r#"{"dateOfBirth":20000131}"#,
            400,
            "Failed to deserialize the JSON body into the target type: dateOfBirth",
        ),
        (
            Some("text/plain"),
            good,
            415,
            "Expected request with `Content-Type: application/json`",
        ),
        (None, "{", 400, "Failed to parse the request body as JSON"),
        (
            json,
            &huge,
            413,
            "Failed to buffer the request body: length limit exceeded",
        ),
    ];
    for (content_type, body, status, message) in cases {
        let answer = app.request("PUT", "/hello/ada", content_type, body).await;
        let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let text = error["error"].as_str().unwrap();
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(text.starts_with(message), "{body}: {text}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json_errors() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;

    for path in ["/", "/hello", "/hello/", "/hello/ada/x", "/HELLO/ada"] {
        app.get(path).await.is_error(404, "no such path");
    }
    for method in ["POST", "DELETE", "PATCH"] {
        let answer = app.request(method, "/hello/ada", None, "").await;
        answer.is_error(405, "this path does not support the method");
        assert_eq!(answer.headers["allow"], "GET,HEAD,PUT");
    }
    app.request("PUT", "/healthz", None, "")
        .await
        .is_error(405, "this path does not support the method");
}
