//! `devenv up` and what follows it, end to end: the real binary, the real engine, a real Postgres.

mod app;
mod archived_postgres;
mod at_once;
mod both;
mod broken_files;
mod ci;
mod ci_faults;
mod commands;
mod database;
mod db_copy;
mod dockerfile;
mod engine;
mod engine_killed;
mod exec_signals;
mod exec_terminal;
mod exit_codes;
mod hooks;
mod images;
mod kill;
mod killed_children;
mod killed_tools;
mod killed_transfers;
mod left_behind;
mod migrations;
mod outside;
mod plan;
mod ports;
mod postgres;
mod process_faults;
mod processes;
mod readiness;
mod restarts;
mod secrets;
mod services;
mod shared_images;
mod side_by_side;
mod smoke;
mod task_images;
mod task_results;
mod tasks;

use crate::support::{Project, image};

/// A small web server laid on a busybox base: an app with everything but a compiler.
pub fn web_app(image: &image::BusyboxImage, more: &str) -> Project {
    let project = Project::new(&format!(
        r#"
[project]
name = "web"

[app.web]
build = {{ run = "mkdir -p out && cp web.sh out/web && chmod +x out/web", artifact = "out/web", base = "{base}", inputs = ["web.sh"], files = {{ "/www/index.html" = "index.html" }} }}
ports = {{ http = {{ container = 8080, host = 18080 }} }}
ready = {{ http = "/", timeout = "20s" }}
stop_grace = "1s"
{more}"#,
        base = image.reference,
    ));
    project.write("web.sh", WEB);
    project.write("index.html", "hello from the test\n");
    project
}

/// Prints its environment's GREETING, then serves `/www`.
pub const WEB: &str = "#!/bin/sh\necho \"greeting is $GREETING\"\nexec httpd -f -p 8080 -h /www\n";
