//! `[smoke.X]`: requests to what runs.

use super::both::{Both, in_both};
use crate::support::Project;

in_both!(asks_what_runs_and_says_what_is_not_as_expected);

fn asks_what_runs_and_says_what_is_not_as_expected(both: Both) {
    let project = &both.project;
    let config = project.read("devenv.toml");
    project.write(
        "devenv.toml",
        &format!(
            r#"{config}
[smoke.site]
url = "${{app.web.url}}"
requests = [{{ contains = "hello" }}, {{ path = "/none", status = 404 }}]

[smoke.wrong]
url = "${{app.web.url}}/"
requests = [{{ path = "/none" }}]
"#
        ),
    );
    // It needs the app, and asks again every time.
    let first = project.ok(&["run", "smoke.site"]).stderr;
    assert!(first.contains("2 requests answered in "), "{first}");
    let again = project.ok(&["run", "smoke.site"]).stderr;
    assert!(again.contains("GET /none: 404 in "), "{again}");
    // `up` brings up and asks nothing.
    let up = project.ok(&["up"]).stderr;
    assert!(!up.contains("smoke"), "{up}");

    let failed = project.run(&["run", "smoke.wrong"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    for part in [
        &format!(
            "error: `GET {}/none` was not answered",
            project.url("app.web")
        ),
        "devenv.toml:35:13",
        "expected status 2xx, got 404",
        "last output of `app.web`:",
        "greeting is postgres://",
        "help: see `devenv logs app.web`",
    ] {
        assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
    }
}

/// A program that shows what it is sent.
const ECHO: &str = r#"#!/bin/sh
printf 'Status: 201 Created\r\nContent-Type: text/plain\r\n\r\n'
echo "$REQUEST_METHOD $QUERY_STRING $HTTP_X_TOKEN"
head -c "$CONTENT_LENGTH"
"#;

#[test]
fn sends_method_headers_and_body_and_shows_no_secret() {
    let project = Project::new(
        r#"
[project]
name = "echo"

[secret.token]
env = "TOKEN"

[service.echo]
process = { command = ["busybox", "httpd", "-f", "-p", "${service.echo.listen}", "-h", "www"] }
ports = { http = 18087 }
ready = { tcp = "http" }

[smoke.post]
url = "${service.echo.url}"
requests = [
  { method = "POST", path = "/cgi-bin/echo?a=1", headers = { X-Token = "${secret.token}" }, body = "{\"name\": 1}", status = 201, contains = "POST a=1 hunter22\n{\"name\": 1}" },
]

[smoke.wrong]
url = "${service.echo.url}"
requests = [
  { method = "POST", path = "/cgi-bin/echo", headers = { X-Token = "${secret.token}" }, body = "x", contains = "nothing of the kind" },
]
"#,
    );
    let project = project.on("process");
    crate::support::write_program(&project.join("www/cgi-bin/echo"), ECHO);
    let run = |step: &str| {
        let mut command = project.command(&["run", step]);
        let output = command.env("TOKEN", "hunter22").output().expect("devenv");
        String::from_utf8(output.stderr).expect("text")
    };
    let sent = run("smoke.post");
    assert!(sent.contains("1 request answered"), "{sent}");
    let wrong = run("smoke.wrong");
    assert!(
        wrong.contains("its body does not hold `nothing of the kind`; its body:"),
        "{wrong}"
    );
    assert!(wrong.contains("POST  ***"), "{wrong}");
    assert!(!wrong.contains("hunter22"), "{wrong}");
}

#[test]
fn an_answer_that_does_not_come_is_told() {
    let project = Project::new(
        r#"
[project]
name = "silent"

[service.silent]
process = { command = ["sh", "-c", "sleep 60"] }
ports = { http = 18088 }

[smoke.x]
url = "${service.silent.url}"
requests = [{ timeout = "5s" }]
"#,
    );
    let failed = project.on("process").run(&["run", "smoke.x"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(
        failed
            .stderr
            .contains("`GET http://127.0.0.1:18088/` was not answered as expected"),
        "{}",
        failed.stderr
    );
    assert!(failed.stderr.contains("refused"), "{}", failed.stderr);
}
