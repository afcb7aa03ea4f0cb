//! Wrong settings end the app at once with a line that names the variable.

use crate::app::command;

const URL: &str = "postgres://ada:geheim@127.0.0.1:1/hello";

async fn refused(env: &[(&str, &str)]) -> String {
    let output = command()
        .envs(env.iter().copied())
        .output()
        .await
        .expect("the app runs");
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let line: serde_json::Value = serde_json::from_str(&stdout).expect("one line of JSON");
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"error".into(), &"cannot run".into())
    );
    line["error"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn every_setting_is_checked() {
    let missing = "DATABASE_URL is not set; give it a value such as `postgres://user:password@host:5432/database`";
    assert_eq!(refused(&[]).await, missing);
    assert_eq!(refused(&[("DATABASE_URL", "")]).await, missing);
    assert_eq!(
        refused(&[("DATABASE_URL", URL), ("HTTP_ADDR", "8080")]).await,
        "HTTP_ADDR is `8080`, which is no address; write it as `0.0.0.0:8080`"
    );
    assert_eq!(
        refused(&[("DATABASE_URL", URL), ("DRAIN_SECONDS", "8s")]).await,
        "DRAIN_SECONDS is `8s`, which is no whole number of seconds"
    );
}

#[tokio::test]
async fn a_wrong_url_does_not_show_its_password() {
    for url in [
        "postgres://ada:geheim@127.0.0.1:port/hello",
        "mysql://ada:geheim@127.0.0.1/hello",
    ] {
        let error = refused(&[("DATABASE_URL", url)]).await;
        assert!(
            error.starts_with("DATABASE_URL is not a Postgres URL: "),
            "{error}"
        );
        assert!(!error.contains("geheim"), "{error}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = refused(&[("DATABASE_URL", URL), ("HTTP_ADDR", &address)]).await;
    let expected = format!("cannot listen on {address}, see HTTP_ADDR: Address already in use");
    assert!(error.starts_with(&expected), "{error}");
}
