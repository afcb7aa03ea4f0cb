//! Every error has the exact place of what it is about. How they are shown is tested in `tests/errors`.

use expect_test::{Expect, expect};

use super::*;

/// One line per error: place, message, label, help.
fn errors(text: &str, expect: Expect) {
    let text = format!("[project]\nname = \"x\"\n{text}");
    let lines: String = match read(&text) {
        Ok(_) => "no errors\n".into(),
        Err(errors) => errors
            .errors
            .iter()
            .map(|error| show(&errors.source_file, error))
            .collect(),
    };
    expect.assert_eq(&lines);
}

fn show(source: &Source, error: &ConfigError) -> String {
    let place = match &error.site {
        ErrorSite::Span(span) => {
            let place = source.place(span.clone());
            let marked = source.text.get(span.clone()).unwrap_or("?");
            format!("{}:{} `{marked}`", place.line, place.column)
        }
        ErrorSite::File { path, line, .. } => format!("{}:{line}", path.display()),
        ErrorSite::Whole => "whole".into(),
    };
    let mut out = format!("{place}: {}\n", error.message);
    for (word, text) in [("label", &error.label), ("help", &error.help)] {
        if let Some(text) = text {
            out.push_str(&format!("    {word}: {text}\n"));
        }
    }
    out
}

#[test]
fn reference_errors_have_the_span_of_the_reference() {
    errors(
        r#"
        [service.a]
        image = "a:${env.NOPE}-${env.NOPE}"
        env = { A = "\u00e9 ${service.b.hots} ${service.c.host}", B = '''
${service.a.port} ${secret.x''', C = "${x} ${a.b.c} ${postgres.db} ${env.1} ${env.SET:x}" }
        ports = { x = 1, y = 2 }
        [service.bb]
        image = "${service.a.host}"
        [secret.y]
        file = "y"
        [task.t]
        run = "x"
        env = { T = "${secret.z} ${secret.nothing} ${task.t.x} ${app.x.host}" }
        "#,
        expect![[r#"
            5:20 `${env.NOPE}`: environment variable `NOPE` is not set
                help: set it, add it to `.env`, or give a default: `${env.NOPE:-default}`
            5:32 `${env.NOPE}`: environment variable `NOPE` is not set
                help: set it, add it to `.env`, or give a default: `${env.NOPE:-default}`
            6:29 `${service.b.hots}`: `service.b` is not in the file
                label: did you mean `${service.a.hots}`?
            6:47 `${service.c.host}`: `service.c` is not in the file
                label: did you mean `${service.a.host}`?
            7:1 `${service.a.port}`: `service.a` has no field `port`
                help: its fields are `host`, `port.x`, `listen.x`, `port.y` and `listen.y`
            7:19 `${secret.x`: `${` has no closing `}`
            7:39 `${x}`: `${x}` is not a reference
                help: for the environment variable write `${env.x}`, for the text itself `$${x}`
            7:44 `${a.b.c}`: `${a.b.c}` is not a reference
                help: references start with `env`, `secret`, `postgres`, `service` or `app`
            7:53 `${postgres.db}`: `${postgres.db}` names no field
                help: write `${postgres.db.FIELD}`, such as `${postgres.db.url}`
            7:68 `${env.1}`: `1` is not a name of an environment variable
            10:18 `${service.a.host}`: `${service.a.host}` cannot be used in `service.bb.image`
                help: this is needed before anything runs: only `${env.NAME}` can stand here
            15:22 `${secret.z}`: there is no secret `z`
                label: did you mean `${secret.y}`?
            15:34 `${secret.nothing}`: there is no secret `nothing`
                help: add a table `[secret.nothing]` with `env`, `file` or `command`
            15:52 `${task.t.x}`: `task.t` has no field `x`
                help: only postgres, service and app have fields to refer to
            15:64 `${app.x.host}`: `app.x` is not in the file
                help: add a table `[app.x]`
        "#]],
    );
}

#[test]
fn values_are_checked_where_they_stand() {
    errors(
        r#"
        [service.A]
        image = "Redis 7"
        ports = { "a b" = 0, x = "80", y = { container = 1, hots = 2 }, z = 99999999999999999999 }
        volumes = { "data" = "x y", "/x" = "a/b", "/y" = {} }
        env = { "A=B" = "x", N = [1] }
        restart = "allways"
        stop_grace = "10 s"
        command = "x"
        workdir = "x"
        ready = { http = "ready", tcp = "y" }
        needs = ["db", "servic.a", 5]
        [task.t]
        run = []
        inputs = ["/abs", "../x/**"]
        outputs = ["../out", ""]
        [secret.s]
        [secret.t]
        env = "A"
        file = "b"
        [postgres.db]
        version = 15
        ready = { http = "/" }
        "#,
        expect![[r#"
            4:18 `A`: `A` is not a name
                label: must start with a lower-case letter
            5:17 `"Redis 7"`: `Redis 7` is not an image reference
                label: expected such as `redis:7`
            6:19 `"a b"`: `a b` is not a name
                label: only lower-case letters, digits, `-` and `_`
            6:27 `0`: `0` is not a port number
                label: expected 1 to 65535
            6:34 `"80"`: `service.A.ports.x` must be a port number
                label: this is a string
                help: write it without quotes: 80
            6:61 `hots`: unknown key `hots` in `service.A.ports.y`
                label: did you mean `host`?
            6:77 `99999999999999999999`: `99999999999999999999` is not a port number
                label: expected 1 to 65535
            7:21 `"data"`: `data` is not an absolute path
                label: must start with `/`
            7:30 `"x y"`: `x y` is neither a volume nor a path
                label: only letters, digits, `_`, `.` and `-`
                help: for a path of the project write "./x y"
            7:44 `"a/b"`: `a/b` is neither a volume nor a path
                label: only letters, digits, `_`, `.` and `-`
                help: for a path of the project write "./a/b"
            7:58 `{}`: missing key `path` in `service.A.volumes./y`
                label: `path` is required
                help: `path`: relative to the project, or absolute
            8:17 `"A=B"`: `A=B` is not a name of an environment variable
                label: only letters, digits and `_`, no digit first
            8:34 `[1]`: `service.A.env.N` must be a string, a number or a boolean
                label: this is an array
            9:19 `"allways"`: `allways` is not a value of `service.A.restart`
                label: expected `no`, `on-failure` or `unless-stopped`
            10:22 `"10 s"`: `10 s` is not a duration
                label: expected a duration such as "30s"
                help: write a whole number and a unit: ms, s, m or h
            11:19 `"x"`: `service.A.command` must be an array
                label: this is a string
                help: write its words in brackets: ["x"]
            12:19 `"x"`: `x` is not an absolute path
                label: must start with `/`
            13:26 `"ready"`: `ready` is not a path of a URL
                label: must start with `/` and hold no spaces
            13:35 `tcp`: `service.A.ready` has more than one of `http`, `tcp`, `exec` or `log`
                label: keep only one
            14:18 `"db"`: `db` is not a step id, expected `kind.name` such as `postgres.db`
                label: did you mean `postgres.db`?
            14:24 `"servic.a"`: `servic.a` is not a step id, expected `kind.name` such as `postgres.db`
                label: did you mean `service.a`?
            14:36 `5`: `service.A.needs.2` must be a string
                label: this is an integer
                help: write it in quotes: "5"
            16:15 `[]`: `task.t.run` is empty
                label: expected a command
            17:19 `"/abs"`: `/abs` is not a valid glob
                label: must be relative to the project
            17:27 `"../x/**"`: `../x/**` is not a valid glob
                label: leaves the project
            18:20 `"../out"`: `../out` is not a file or folder of the project
                label: leaves the project
                help: outputs are no globs: name each file, or the folder that they are in
            18:30 `""`: `task.t.outputs.1` is empty
                label: expected a path
                help: outputs are no globs: name each file, or the folder that they are in
            19:9 `[secret.s]`: `[secret.s]` has none of `env`, `file` or `command`
                label: one of them is required
            22:9 `file`: `[secret.t]` has more than one of `env`, `file` or `command`
                label: keep only one
            24:19 `15`: `postgres.db.version` must be a string
                label: this is an integer
                help: write it in quotes: "15"
            25:19 `http`: unknown key `http` in `postgres.db.ready`
                help: known here: `timeout`
        "#]],
    );
}

#[test]
fn postgres_has_a_major_version() {
    errors(
        r#"
        [postgres.a]
        version = "abc"
        [postgres.b]
        version = "15.4"
        [postgres.c]
        version = ""
        [postgres.d]
        version = "017"
        [postgres.e]
        version = "18"
        "#,
        expect![[r#"
            5:19 `"abc"`: `abc` is not a major version
                label: expected a number such as `15`
                help: a minor version or variant goes into the image: `image = "postgres:15.4-alpine"`
            7:19 `"15.4"`: `15.4` is not a major version
                label: expected a number such as `15`
                help: a minor version or variant goes into the image: `image = "postgres:15.4-alpine"`
            9:19 `""`: `postgres.c.version` is empty
                label: expected a number such as `15`
                help: a minor version or variant goes into the image: `image = "postgres:15.4-alpine"`
            11:19 `"017"`: `017` is not a major version
                label: expected a number such as `15`
                help: a minor version or variant goes into the image: `image = "postgres:15.4-alpine"`
        "#]],
    );
}

#[test]
fn tables_are_checked_together() {
    errors(
        r#"
        [service.a]
        image = "a"
        ports = { x = 80, y = { container = 80, host = 81 }, z = { container = 82, host = 81 } }
        ready = { http = "/" }
        [service.b]
        image = "b"
        ready = { tcp = "x" }
        [service.c]
        image = "c"
        ready = { http = "/", port = "wab" }
        ports = { web = 1 }
        [app.a]
        image = "x"
        build = { dockerfile = "Dockerfile", artifact = "x" }
        ready = { http = "/" }
        [image.one]
        ref = "b"
        debian = { suite = "x" }
        dockerfile = "D"
        [image.two]
        ref = "b"
        [proto.p]
        [migrate.m]
        postgres = "service.a"
        needs = ["build.a", "build.b"]
        "#,
        expect![[r#"
            6:31 `{ container = 80, host = 81 }`: ports `x` and `y` are both 80
            6:66 `{ container = 82, host = 81 }`: ports `y` and `z` are both 81 on the host
            7:17 `{ http = "/" }`: which port does the HTTP probe ask?
                help: add `port = …`, one of `x`, `y` or `z`
            10:25 `"x"`: there is no port `x`
                help: declare it: ports = { x = 8080 }
            13:38 `"wab"`: there is no port `wab`
                label: did you mean `web`?
            15:9 `[app.a]`: `app.a` and `service.a` have the same name
                label: both would be host `a` on the network
                help: give one of them another name
            16:9 `image`: unknown key `image` in `[app.a]`
                help: an app's image is what its `build` gives; to run an image as it is, use `[service.X]`
            17:46 `artifact`: unknown key `artifact` in `app.a.build`
                help: known here: `args`, `context`, `dockerfile` and `target`
            18:17 `{ http = "/" }`: an HTTP probe needs a port, and none is declared
                help: declare it: ports = { http = 8080 }
            22:9 `dockerfile`: `[image.one]` has both `debian` and `dockerfile`
                label: keep only one
            24:15 `"b"`: `image.one` and `image.two` are both `b`
            25:9 `[proto.p]`: `[proto.p]` generates nothing
                help: add `rust = { out = "…" }` or `plugin.NAME = { out = "…" }`
            27:20 `"service.a"`: `service.a` is not a Postgres
                label: expected such as `postgres.db`
            28:29 `"build.b"`: `build.b` is not in the file
                label: did you mean `build.a`?
        "#]],
    );
}

#[test]
fn tools_fit_their_source() {
    errors(
        r#"
        [toolchain.a]
        from = "sytem"
        [toolchain.b]
        from = "system"
        version = "new"
        url = "x"
        [toolchain.c]
        from = "http"
        sha256 = { linux = "abc" }
        features = ["x"]
        [toolchain.d]
        from = "http"
        url = "ftp://x/{version}/{platform}"
        platforms = ["linux"]
        [toolchain.e]
        from = "cargo"
        version = "1"
        [toolchain.f]
        from = "pip"
        [toolchain.g]
        from = "apt"
        version = "1"
        "#,
        expect![[r#"
            5:16 `"sytem"`: `sytem` is not a value of `toolchain.a.from`
                label: did you mean `system`?
            8:19 `"new"`: `new` is not a range of versions
                label: unexpected character 'n' while parsing major version number
                help: write such as ">=1.90" or ">=1.90, <2"
            9:9 `url`: `url` means nothing with `from = "system"`
                help: it belongs to `http`
            12:28 `"abc"`: `abc` is not a SHA-256 digest
                label: expected 64 lower-case hexadecimal digits, found 3 characters
            14:9 `[toolchain.d]`: missing key `version` in `[toolchain.d]`
                label: `version` is required
            16:15 `"ftp://x/{version}/{platform}"`: `ftp://x/{version}/{platform}` is not an address
                label: must start with `https://`
            16:15 `"ftp://x/{version}/{platform}"`: `{platform}` is not known in `url`
                help: known are `{version}`, `{os}` and `{arch}`
            17:22 `"linux"`: `linux` is not a platform
                label: expected such as `linux-x86_64`
            20:19 `"1"`: `1` is not an exact version
                label: unexpected end of input while parsing major version number
                help: write all three numbers, such as "1.75.0"
            21:9 `[toolchain.f]`: missing key `version` in `[toolchain.f]`
                label: `version` is required
            25:9 `version`: `version` means nothing with `from = "apt"`
                help: the machine's own package has the version of its release
        "#]],
    );
}

#[test]
fn circles_are_found_once() {
    errors(
        r#"
        [app.a]
        build = { run = "x", artifact = "x", base = "x", env = { U = "${service.b.host}" } }
        [service.b]
        image = "b"
        env = { U = "${service.c.host}" }
        [service.c]
        image = "c"
        needs = ["app.a", "service.c"]
        [image.i]
        ref = "c"
        dockerfile = { args = { X = "${service.c.host}" } }
        "#,
        expect![[r#"
            8:22 `${service.c.host}`: steps need each other in a circle: `service.c` → `app.a` → `build.a` → `service.b` → `service.c`
                label: this closes the circle
                help: remove one of these needs or references
            10:17 `"c"`: steps need each other in a circle: `image.i` → `service.c` → `image.i`
                label: this closes the circle
                help: remove one of these needs or references
            11:27 `"service.c"`: `service.c` needs itself
                label: this closes the circle
                help: remove one of these needs or references
        "#]],
    );
}

#[test]
fn two_protos_that_write_the_same_files() {
    errors(
        r#"
        [proto.b]
        files = ["x.proto", "y.proto"]
        rust = { out = "gen" }
        plugin.go = { out = "go" }
        [proto.a]
        files = ["y.proto", "x.proto"]
        rust = { out = "./gen/" }
        plugin.go = { out = "go" }
        [proto.other_files]
        files = ["z.proto"]
        rust = { out = "gen" }
        [proto.other_options]
        files = ["y.proto", "x.proto"]
        plugin.go = { out = "go", options = ["module=x"] }
        [proto.other_folder]
        files = ["y.proto", "x.proto"]
        rust = { out = "gen/sub" }
        "#,
        expect![[r#"
            10:24 `"./gen/"`: `proto.a` and `proto.b` write the same files into `gen`
                label: `proto.b.rust.out` is at devenv.toml:6:24
                help: give one of them another `out`, or make them one table
            11:29 `"go"`: `proto.a` and `proto.b` write the same files into `go`
                label: `proto.b.plugin.go.out` is at devenv.toml:7:29
                help: give one of them another `out`, or make them one table
        "#]],
    );
}

#[test]
fn two_migration_folders_with_one_history() {
    errors(
        r#"
        [postgres.a]
        version = "15"
        [postgres.b]
        version = "15"
        [migrate.one]
        postgres = "postgres.a"
        [migrate.two]
        postgres = "postgres.a"
        table = "Refinery_Schema_History"
        [migrate.three]
        postgres = "postgres.b"
        [migrate.four]
        postgres = "postgres.a"
        table = "public.four"
        "#,
        expect![[r#"
            12:9 `table`: `migrate.one` and `migrate.two` keep the same history, `Refinery_Schema_History` of `postgres.a`
                help: give one of them a `table` of its own, such as "public.two_history"
        "#]],
    );
}
