//! The file as a whole: text in, config or errors out.

use std::path::Path;

use expect_test::expect;

use super::*;

mod errors;

fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse(Path::new(FILE), text, &env)
}

#[track_caller]
fn good(text: &str) -> Config {
    match read(&format!("[project]\nname = \"x\"\n{text}")) {
        Ok(config) => config,
        Err(errors) => panic!("{:#?}", errors.errors),
    }
}

const SAMPLE: &str = r#"
[project]
name = "hello"

[toolchain.rust]
from = "system"
command = "cargo"
version = ">=1.90"
[toolchain.buf]
from = "pip"
package = "buf-bin"
version = "1.75.0"

[image.postgres]
ref = "postgres:15"
debian = { suite = "bookworm", packages = ["postgresql-15"] }

[proto.hello]
files = ["proto/**/*.proto"]
include = ["proto"]
rust = { out = "examples/hello/src/gen" }
plugin.go = { command = "protoc-gen-go", out = "gen/go", options = ["paths=source_relative"] }

[postgres.db]
version = "15"
database = "hello"
settings = { log_statement = "all", max_connections = 50, fsync = false }

[service.cache]
image = "redis:7"
ports = { redis = { container = 6379, host = 16379 } }
volumes = { "/data" = "data", "/etc/redis.conf" = "./redis.conf", "/x" = { path = "x", read_only = true } }
ready = { tcp = "redis", timeout = "5s" }

[secret.token]
env = "TOKEN"
[secret.key]
command = ["pass", "show", "key"]

[migrate.db]
dir = "migrations"
postgres = "postgres.db"

[app.hello]
build = { run = "cargo build --release -p hello", artifact = "target/release/hello", base = "debian:bookworm-slim" }
ports = { http = 8080, grpc = 50051 }
env = { DATABASE_URL = "${postgres.db.url}", TOKEN = "${secret.token}", PRICE = "$$5", WORKERS = 4 }
ready = { http = "/readyz" }
needs = ["migrate.db"]
[app.web]
build = { dockerfile = "web/Dockerfile", context = "web", args = { API = "${app.hello.url}" } }
[app.worker]
build.dockerfile = { target = "worker" }

[task.lint]
run = "cargo clippy --all-targets -- -D warnings ${X}"
inputs = ["**/*.rs", "**/Cargo.toml", "Cargo.lock"]
timeout = "5m"
"#;

#[test]
fn the_sample_is_read() {
    let config = read(SAMPLE).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let db = &config.postgres["db"];
    assert_eq!(
        (db.image.as_str(), db.user.as_str()),
        ("postgres:15", "hello")
    );
    assert_eq!(db.settings["max_connections"], "50");
    assert_eq!(db.ready.timeout, std::time::Duration::from_secs(60));
    let hello = &config.app["hello"].service;
    let probe = Probe::Http {
        path: "/readyz".into(),
        port: "http".into(),
    };
    assert_eq!(
        hello.ready.as_ref().and_then(|ready| ready.probe.clone()),
        Some(probe)
    );
    assert_eq!(hello.env["PRICE"], Template::text("$5"));
    assert_eq!(hello.env["WORKERS"], Template::text("4"));
    let Build::Dockerfile(web) = &config.app["web"].build else {
        panic!("a Dockerfile");
    };
    assert_eq!(
        (web.path.as_str(), web.context.as_str()),
        ("web/Dockerfile", "web")
    );
}

#[test]
fn keys_and_headers_have_places() {
    let config = read(SAMPLE).expect("the sample is valid");
    let marked = |path: &[&str]| {
        let place = config.source.key(&KeyPath::of(path)).expect("a place");
        format!(
            "{}:{} {}",
            place.line, place.column, &config.source.text[place.span]
        )
    };
    let places = [
        marked(&["postgres", "db"]),
        marked(&["postgres", "db", "version"]),
        marked(&["postgres", "db", "user"]),
        marked(&["proto", "hello", "plugin", "go"]),
        marked(&["app", "worker", "build"]),
        marked(&["app", "hello", "env", "PRICE"]),
        marked(&["service"]),
    ];
    expect![[r#"
        24:1 [postgres.db]
        25:1 version
        24:1 [postgres.db]
        22:8 go
        53:1 build
        47:73 PRICE
        29:2 service"#]]
    .assert_eq(&places.join("\n"));
}

#[test]
fn what_is_shown_reads_as_the_same() {
    let config = read(SAMPLE).expect("the sample is valid");
    let text = toml::to_string_pretty(&config.resolved()).expect("it is TOML");
    let again = read(&text).unwrap_or_else(|errors| panic!("{:#?}\n{text}", errors.errors));
    // But for the password, which is masked.
    assert_eq!(again.resolved(), config.resolved());
    assert_eq!(again.app, config.app);
    assert_eq!(again.service, config.service);
    assert_eq!(again.toolchain, config.toolchain);
}

#[test]
fn the_schema_knows_every_key_that_is_shown() {
    let shown = read(SAMPLE).expect("the sample is valid").resolved();
    assert!(knows(&schema(), &shown));
    let wrong = serde_json::json!({ "task": { "lint": { "run": "x", "rnu": "x" } } });
    assert!(!knows(&schema(), &wrong));
}

/// Whether each key of the value is declared.
fn knows(schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().any(|schema| knows(schema, value));
    }
    let Some(object) = value.as_object() else {
        return true;
    };
    object.iter().all(|(key, value)| {
        let declared = schema["properties"].get(key);
        let schema = declared.unwrap_or(&schema["additionalProperties"]);
        schema.is_object() && knows(schema, value)
    })
}

#[test]
fn environment_variables_are_replaced() {
    let config = good(
        r#"
        [service.a]
        image = "redis:${env.NOPE:-7}"
        user = "${env.SET}"
        env = { A = "${env.EMPTY}", B = "${env.EMPTY:-x}", C = "${env.NOPE:-${service.b.host}}", D = "$${env.SET} $5 $", E = "${env.SET:?no}" }
        [service.b]
        image = "x"
        [task.t]
        run = "echo ${HOME} $$ ${env.SET}"
        "#,
    );
    let service = &config.service["a"];
    assert_eq!(service.image.as_deref(), Some("redis:7"));
    assert_eq!(service.user.as_deref(), Some("value"));
    let shown: Vec<_> = service.env.values().map(Template::to_string).collect();
    assert_eq!(
        shown,
        ["", "x", "${service.b.host}", "$${env.SET} $$5 $$", "value"]
    );
    assert_eq!(config.task["t"].run.to_string(), "echo ${HOME} $$ value");
}

#[test]
fn a_long_chain_is_no_problem() {
    let mut text = String::from("[task.t0]\nrun = \"x\"\n");
    for n in 1..5000 {
        text.push_str(&format!(
            "[task.t{n}]\nrun = \"x\"\nneeds = [\"task.t{}\"]\n",
            n - 1
        ));
    }
    assert_eq!(good(&text).task.len(), 5000);
}

#[test]
fn defaults_can_be_read() {
    // Each default is TOML that its own shape accepts: reading tables with required keys only proves it.
    let config = good(
        r#"
        [toolchain.t]
        from = "system"
        [image.i]
        ref = "i"
        debian = { suite = "bookworm" }
        [image.j]
        ref = "j"
        dockerfile = {}
        [proto.p]
        plugin.x = { out = "x" }
        rust = { out = "y" }
        [postgres.p]
        version = "15"
        [service.s]
        image = "s"
        ready = { log = "ready" }
        [migrate.m]
        postgres = "postgres.p"
        [app.a]
        build = { run = "x", artifact = "x", base = "x" }
        [app.b]
        build.dockerfile = {}
        [task.t]
        run = "x"
        "#,
    );
    assert_eq!(config.postgres["p"].user, "p");
    assert_eq!(config.toolchain["t"].version_args, ["--version"]);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in the file, it is read or refused, and each error points into it.
        #[test]
        fn never_panics(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,8}|[\\[\\]{}\"'$.=#\n:?-]{0,4}"), 0..6)) {
            let mut text: Vec<char> = SAMPLE.chars().collect();
            for (from, to, insert) in cuts {
                let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
                let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 12));
                text.splice(from..to, insert.chars());
            }
            check(&text.into_iter().collect::<String>());
        }

        #[test]
        fn any_text_is_no_panic(text in "\\PC*") {
            check(&text);
            check(&format!("[project]\nname = \"x\"\n[service.a]\nimage = \"{}\"\nenv = {{ A = '{}' }}", text, text));
        }
    }

    fn check(text: &str) {
        if let Err(errors) = read(text) {
            assert!(!errors.errors.is_empty());
            for error in &errors.errors {
                let ErrorSite::Span(span) = &error.site else {
                    panic!("{error:?}");
                };
                assert!(
                    errors.source_file.text.get(span.clone()).is_some(),
                    "{error:?}"
                );
            }
            crate::report::fault(
                &crate::event::Explain::explain(&errors),
                Some(&errors.source_file),
            );
        }
    }
}
