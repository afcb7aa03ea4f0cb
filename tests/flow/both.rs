//! The same project on containers and on plain processes: the same steps, the same plan, the same answers.

use std::fs;

use crate::support::{Project, http, image, wait_until};

const WEB: &str = r#"#!/bin/sh
echo "greeting is $GREETING"
case $LISTEN in 0.0.0.0:*) www=/www ;; *) www=. ;; esac
exec /bin/busybox httpd -f -p "$LISTEN" -h "$www"
"#;

/// A database with a migration, an app that needs it, and a service beside them.
pub struct Both {
    pub project: Project,
    _images: std::sync::Arc<image::PostgresImages>,
}

impl Both {
    pub fn new(runtime: &'static str) -> Self {
        Self::in_folder("", runtime)
    }

    /// In a folder of this name.
    pub fn in_folder(folder: &str, runtime: &'static str) -> Self {
        let images = image::postgres();
        let config = format!(
            r#"
[project]
name = "both"

[postgres.db]
version = "15"
image = "{postgres}"
port = 15434

[migrate.db]
postgres = "postgres.db"

[service.echo]
image = "{base}"
command = ["sh", "-c", "echo to $OTHER; exec httpd -f -p ${{service.echo.listen}} -h /tmp"]
process = {{ command = ["sh", "-c", "echo to $OTHER; exec busybox httpd -f -p ${{service.echo.listen}} -h ."] }}
ports = {{ http = 18086 }}
env = {{ OTHER = "${{postgres.db.host}}:${{postgres.db.port}}" }}
stop_grace = "1s"

[app.web]
build = {{ run = "mkdir -p out && cp web.sh out/web && chmod +x out/web", artifact = "out/web", base = "{base}", inputs = ["web.sh"], files = {{ "/www/index.html" = "index.html" }} }}
ports = {{ http = {{ container = 8080, host = 18085 }} }}
env = {{ LISTEN = "${{app.web.listen}}", GREETING = "${{postgres.db.url}}" }}
ready = {{ http = "/", timeout = "20s" }}
stop_grace = "1s"
needs = ["migrate.db"]
"#,
            postgres = images.postgres,
            base = images.base.reference,
        );
        let project = Project::in_folder(folder, &config);
        project.write("web.sh", WEB);
        project.write("index.html", "hello from the test\n");
        project.write(
            "migrations/V1__create_users.sql",
            "create table users (name text primary key);\n",
        );
        Self {
            project: project.on(runtime),
            _images: images,
        }
    }

    fn change(&self, from: &str, to: &str) {
        let config = self.project.read("devenv.toml");
        assert!(config.contains(from), "{config}");
        self.project.write("devenv.toml", &config.replace(from, to));
    }
}

/// Each of these functions is a test in either runtime.
macro_rules! in_both {
    ($($name:ident),* $(,)?) => {
        mod docker {
            $(#[test] fn $name() { super::$name(super::Both::new("docker")); })*
        }
        mod process {
            $(#[test] fn $name() { super::$name(super::Both::new("process")); })*
        }
    };
}

pub(super) use in_both;

in_both!(
    comes_up_answers_and_has_nothing_to_do_the_second_time,
    data_outlive_down_and_go_with_down_volumes,
    what_changed_is_replaced_with_its_reason,
    a_new_migration_reaches_the_running_database_and_leaves_the_app_alone,
    an_app_that_exits_at_once_is_reported_with_its_output,
    a_taken_port_moves_and_who_is_told_of_it_follows,
    a_password_changed_in_the_file_is_taken_over,
    psql_beside_the_server_needs_no_password,
    followed_logs_go_on_with_a_restart_and_end_when_all_is_down,
);

fn comes_up_answers_and_has_nothing_to_do_the_second_time(both: Both) {
    let project = &both.project;
    let hash = project.ok(&["plan", "--hash"]).stdout;
    for runtime in ["docker", "process"] {
        let other = project.ok(&["plan", "--hash", "--runtime", runtime]);
        assert_eq!(other.stdout, hash);
    }
    let first = project.ok(&["up"]);
    let url = project.url("app.web");
    assert!(first.stdout.contains(&url), "{}", first.all());
    assert_eq!(http::get(&url), "hello from the test\n");
    let second = project.ok(&["up"]);
    assert!(second.stderr.contains("Nothing to do"), "{}", second.all());
    let plan = project.ok(&["plan", "--detailed-exit-code"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    for step in ["app.web", "postgres.db", "service.echo"] {
        assert_eq!(project.state(step), "running");
    }
    assert_eq!(project.sql("select count(*) from users"), "0");
    let inside = project.ok(&["exec", "echo", "--", "sh", "-c", "echo inside to $OTHER"]);
    assert!(inside.stdout.starts_with("inside to "), "{}", inside.all());
    let logs = project.ok(&["logs", "web", "echo"]).stdout;
    assert!(logs.contains("greeting is postgres://db:"), "{logs}");

    let before = project.instance("app.web");
    project.ok(&["restart", "web"]);
    assert_eq!(http::get(&url), "hello from the test\n");
    assert_ne!(before, "");
    project.ok(&["down"]);
    assert_eq!(project.state("app.web"), "absent");
}

fn psql_beside_the_server_needs_no_password(both: Both) {
    let project = &both.project;
    project.ok(&["up", "postgres.db"]);
    let psql = ["exec", "db", "--", "psql", "-U", "postgres", "-tAc"];
    let answer = project.ok(&[&psql[..], &["select inet_client_addr() is null"]].concat());
    assert_eq!(answer.stdout.trim(), "t", "{}", answer.all());
}

fn followed_logs_go_on_with_a_restart_and_end_when_all_is_down(both: Both) {
    let project = &both.project;
    project.ok(&["up"]);
    let mut logs = project.start(&["logs", "--follow", "web"], &[]);
    logs.wait_for_line("greeting is ");
    project.ok(&["restart", "web"]);
    logs.wait_for_line("greeting is ");
    project.ok(&["down"]);
    let ran = logs.wait();
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(
        ran.stdout.matches("greeting is ").count(),
        2,
        "{}",
        ran.all()
    );
    assert!(
        ran.stderr.contains("All that was followed is down"),
        "{}",
        ran.all()
    );
}

fn data_outlive_down_and_go_with_down_volumes(both: Both) {
    let project = &both.project;
    project.ok(&["up", "migrate.db"]);
    project.sql("insert into users values ('ada')");
    project.ok(&["down"]);
    project.ok(&["up", "migrate.db"]);
    assert_eq!(project.sql("select name from users"), "ada");
    project.ok(&["down", "--volumes"]);
    project.ok(&["up", "migrate.db"]);
    assert_eq!(project.sql("select count(*) from users"), "0");
}

fn what_changed_is_replaced_with_its_reason(both: Both) {
    let project = &both.project;
    project.ok(&["up"]);
    let database = project.instance("postgres.db");
    project.write("web.sh", &WEB.replace("greeting", "another greeting"));
    both.change("OTHER = \"", "OTHER = \"at ");
    let plan = project.ok(&["plan"]);
    for part in ["`web.sh` changed", "env.OTHER changed", "recreate"] {
        assert!(plan.stdout.contains(part), "{part} in {}", plan.all());
    }
    project.ok(&["up"]);
    let logs = project.ok(&["logs", "web", "echo"]).stdout;
    assert!(logs.contains("another greeting"), "{logs}");
    assert!(logs.contains("to at "), "{logs}");
    assert_eq!(project.instance("postgres.db"), database);
}

fn a_new_migration_reaches_the_running_database_and_leaves_the_app_alone(both: Both) {
    let project = &both.project;
    project.ok(&["up"]);
    let app = project.instance("app.web");
    project.write(
        "migrations/V2__add_age.sql",
        "alter table users add column age int;\n",
    );
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Applied 1 migration"), "{}", up.all());
    project.sql("insert into users values ('ada', 36)");
    assert_eq!(project.instance("app.web"), app);
}

fn an_app_that_exits_at_once_is_reported_with_its_output(both: Both) {
    let project = &both.project;
    both.change("ready = {", "restart = \"no\"\nready = {");
    project.write("web.sh", "#!/bin/sh\necho no configuration found\nexit 7\n");
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["`app.web`", "code 7", "no configuration found"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

fn a_taken_port_moves_and_who_is_told_of_it_follows(both: Both) {
    let project = &both.project;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    both.change("port = 15434", &format!("port = {port}"));
    let up = project.ok(&["up"]);
    assert!(
        up.stderr.contains(&format!("port {port} is held by")),
        "{}",
        up.all()
    );
    assert_eq!(project.sql("select count(*) from users"), "0");
    drop(taken);
    // It stays where it went.
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

fn a_password_changed_in_the_file_is_taken_over(both: Both) {
    let project = &both.project;
    project.ok(&["up", "migrate.db"]);
    project.sql("insert into users values ('ada')");
    both.change("port = 15434", "port = 15434\npassword = \"another\"");
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("password"), "{}", up.all());
    assert_eq!(project.sql("select name from users"), "ada");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn a_killed_database_comes_back_with_its_data() {
    let both = Both::new("process");
    let project = &both.project;
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    project.kill("postgres.db");
    project.ok(&["up"]);
    assert_eq!(project.sql("select name from users"), "ada");
    assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
}

#[test]
fn a_killed_supervisor_takes_all_along_and_up_brings_it_back() {
    let both = Both::new("process");
    let project = &both.project;
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let server = project.pid("postgres.db");
    project.kill_supervisor();
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("start"), "{}", plan.all());
    project.ok(&["up"]);
    assert_ne!(project.pid("postgres.db"), server);
    assert_eq!(project.sql("select name from users"), "ada");
    project.ok(&["down"]);
    wait_until(|| !project.join(".devenv/run/supervisor.sock").exists());
}

#[test]
fn another_runtime_takes_over_and_its_data_can_be_carried_over() {
    let both = Both::new("docker");
    let project = &both.project;
    project.ok(&["up"]);
    project.sql("insert into users values ('ada')");
    let plan = project.ok(&["plan", "--runtime", "process"]);
    assert!(
        plan.stdout
            .contains("it is a container, and services are plain processes now"),
        "{}",
        plan.all()
    );
    let up = project.ok(&["up", "--runtime", "process"]);
    for part in [
        "Removed its container",
        "db-data`",
        "devenv db copy --from docker postgres.db",
    ] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
    let project = both.project.on("process");
    assert_eq!(project.sql("select count(*) from users"), "0");
    let full = project.run(&["db", "copy"]);
    assert_eq!(full.code, 2, "{}", full.all());
    assert!(full.stderr.contains("`--force`"), "{}", full.all());
    let copied = project.ok(&["db", "copy", "--force"]);
    assert!(
        copied
            .stdout
            .contains("Copied postgres.db from docker to process"),
        "{}",
        copied.all()
    );
    assert_eq!(project.sql("select name from users"), "ada");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    let down = project.ok(&["down", "--volumes"]);
    assert_eq!(
        down.stdout.matches("Removed 1 volume: db-data").count(),
        2,
        "{}",
        down.all()
    );
}

#[test]
fn what_cannot_run_here_is_told_with_its_line_and_the_choices() {
    let project = Project::new(
        "[project]\nname = \"only\"\nruntime = \"process\"\n\n[service.cache]\nimage = \"redis:7\"\n\n\
         [service.tool]\nprocess = { command = [\"no-such-program-here\"] }\n\n\
         [app.web]\nbuild = { dockerfile = \"Dockerfile\" }\n",
    );
    project.write("Dockerfile", "FROM scratch\n");
    let plan = project.run(&["plan"]);
    assert_eq!(plan.code, 2, "{}", plan.all());
    for part in [
        "`service.cache` has only an `image`",
        "devenv.toml:6:",
        "process = { command",
        "`--runtime docker`",
        "`app.web` is built by a Dockerfile",
    ] {
        assert!(plan.stderr.contains(part), "{part} in {}", plan.all());
    }
    let up = project.run(&["up", "tool"]);
    assert_eq!(up.code, 3, "{}", up.all());
    assert!(
        up.stderr
            .contains("there is no program `no-such-program-here`"),
        "{}",
        up.all()
    );
    let docker = project.run(&["plan", "tool", "--runtime", "docker"]);
    assert!(
        docker.stderr.contains("`service.tool` has no `image`"),
        "{}",
        docker.all()
    );
}

/// One who may not use the engine's socket.
#[test]
fn without_an_engine_auto_takes_processes_and_says_why() {
    let both = Both::new("auto");
    let project = &both.project;
    project.give_to_nobody();
    let up = project.ok_as_nobody(&["up"]);
    assert!(
        up.stderr.contains(
            "plain processes: no container engine, `/var/run/docker.sock`: permission denied"
        ),
        "{}",
        up.all()
    );
    let again = project.ok_as_nobody(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    let doctor = project.as_nobody(&["doctor"]);
    assert!(
        doctor.stdout.contains("plain processes"),
        "{}",
        doctor.all()
    );
    project.ok_as_nobody(&["down", "--volumes"]);
}

#[test]
fn without_its_folder_nothing_runs_on_and_up_begins_again() {
    let both = Both::new("process");
    let project = &both.project;
    project.ok(&["up"]);
    let holder = project.read(".devenv/run/supervisor.lock");
    let supervisor = holder.trim().strip_prefix("pid ").expect("its word");
    let supervisor = rustix::process::Pid::from_raw(supervisor.parse().expect("a number"));
    let has_ended = |pid| rustix::process::test_kill_process(pid).is_err();
    let server = project.pid("postgres.db");
    fs::remove_dir_all(project.join(".devenv")).expect("removed");
    wait_until(|| has_ended(server) && has_ended(supervisor.expect("a process")));
    assert!(!project.join(".devenv").exists());
    project.ok(&["up"]);
    assert_eq!(http::get(&project.url("app.web")), "hello from the test\n");
}

#[test]
fn a_program_that_runs_can_be_built_over() {
    let project = Project::new(
        r#"
[project]
name = "over"

[app.tool]
build = { run = "mkdir -p out && cp program out/tool", artifact = "out/tool", base = "none:1", inputs = ["program", "other"] }
command = ["1000"]
stop_grace = "0s"
"#,
    )
    .on("process");
    fs::copy("/bin/sleep", project.join("program")).expect("a program");
    project.ok(&["up"]);
    let before = project.pid("app.tool");
    project.write("other", "changed\n");
    project.ok(&["up"]);
    assert_eq!(project.pid("app.tool"), before);
    let program = fs::OpenOptions::new()
        .append(true)
        .open(project.join("program"));
    std::io::Write::write_all(&mut program.expect("a file"), b"more").expect("written");
    project.ok(&["up"]);
    assert_ne!(project.pid("app.tool"), before);
}
