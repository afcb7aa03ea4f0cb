//! Plain processes when things go wrong: kills, full disks, what is stale, other users.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::{Project, http, wait_until};

const CONFIG: &str = r#"
[project]
name = "faults"
runtime = "process"

[postgres.db]
version = "15"
port = 15634

[migrate.db]
postgres = "postgres.db"

[service.web]
process = { command = ["busybox", "httpd", "-f", "-p", "${service.web.listen}", "-h", "."] }
ports = { http = 18286 }
ready = { http = "/" }
stop_grace = "1s"
needs = ["migrate.db"]

[service.alone]
process = { command = ["sleep", "1000"] }
"#;

fn faults() -> Project {
    let project = Project::new(CONFIG);
    project.write("migrations/V1__t.sql", "create table t (name text);\n");
    project.write("index.html", "hello\n");
    project
}

/// A child that is ended with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a script with `$1` for devenv, where mounts are its own.
fn with_own_mounts(project: &Project, script: &str) -> String {
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-ec", script, "sh"])
        .arg(env!("CARGO_BIN_EXE_devenv"))
        .current_dir(project.path())
        .env("NO_COLOR", "1")
        .env_remove("DEVENV_RUNTIME")
        .stdin(Stdio::null())
        .output();
    let output = output.expect("unshare");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{all}");
    all
}

#[test]
fn a_worker_that_outlives_its_killed_server_is_in_nobodys_way() {
    let project = faults();
    project.give_to_nobody();
    project.ok_as_nobody(&["up"]);
    // It does nothing but compute, and so does not notice.
    let query = "select count(*) from generate_series(1, 1e11::bigint)";
    let mut client = project.command_of_nobody(&["psql", "--", "-c", query]);
    let client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _client = Ends(client.expect("psql"));
    let works =
        "select pid from pg_stat_activity where query like '%1e11%' and pid <> pg_backend_pid()";
    let mut worker = String::new();
    wait_until(|| {
        let ran = project.ok_as_nobody(&["psql", "--", "-tAqc", works]);
        worker = ran.stdout.trim().to_owned();
        !worker.is_empty()
    });
    let worker = Path::new("/proc").join(worker);
    assert!(worker.exists());
    project.kill("postgres.db");
    project.ok_as_nobody(&["up"]);
    assert!(!worker.exists());
    project.ok_as_nobody(&["down", "--volumes"]);
}

#[test]
fn a_server_that_came_back_by_itself_is_watched_and_not_taken_for_one_that_exits() {
    let project = faults();
    project.ok(&["up"]);
    project.kill("postgres.db");
    wait_until(|| project.state("postgres.db").contains("restart"));
    wait_until(|| project.run(&["psql", "--", "-c", "select 1"]).code == 0);
    project.ok(&["up"]);
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn what_a_killed_supervisor_left_gives_its_port_back() {
    let project = faults();
    // One that no other test takes meanwhile.
    project.write("devenv.toml", &CONFIG.replace("15634", "15639"));
    project.ok(&["up"]);
    let port = "select current_setting('port')";
    let before = project.sql(port);
    // It shuts down for as long as somebody is in the middle of something.
    project.sql("insert into t select i::text from generate_series(1, 200000) i");
    project.kill_supervisor();
    project.ok(&["up"]);
    assert_eq!(project.sql(port), before);
}

#[test]
fn a_killed_service_comes_back() {
    let project = faults();
    project.ok(&["up"]);
    let url = project.url("service.web");
    let before = project.pid("service.web");
    project.kill("service.web");
    wait_until(|| project.state("service.web").contains("restart"));
    project.ok(&["up", "web"]);
    assert_eq!(http::get(&url), "hello\n");
    assert_ne!(project.pid("service.web"), before);
}

#[test]
fn on_a_full_disk_the_data_directory_says_so_and_is_made_once_there_is_room() {
    let project = faults();
    let all = with_own_mounts(
        &project,
        r#"
        mkdir -p .devenv/data
        mount -t tmpfs -o size=8m none .devenv/data
        code=0; "$1" up || code=$?
        echo "exit code $code"
        mount -o remount,size=400m .devenv/data
        "$1" up
        "$1" psql -- -c "insert into t values ('ada')"
        "$1" down --volumes
        "#,
    );
    for part in [
        "cannot make the data directory",
        "No space left on device",
        "help: free some disk space and run the command again",
        "exit code 3",
        "Applied 1 migration",
        "INSERT 0 1",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[test]
fn where_the_supervisor_can_write_nothing_it_says_so_at_once() {
    let project = faults();
    let all = with_own_mounts(
        &project,
        r#"
        mkdir -p .devenv/run
        # Three folders; then there is no room for the lock, the supervisor's log, its socket, a program's log.
        for inodes in 3 4 5 6; do
            mount -t tmpfs -o nr_inodes=$inodes none .devenv/run
            mkdir .devenv/run/instances .devenv/run/logs
            code=0; "$1" up alone || code=$?
            echo "exit code $code with $inodes"
            umount -l .devenv/run
        done
        "$1" up
        "$1" down --volumes
        "#,
    );
    for part in [
        "No space left on device",
        "help: free some disk space and run the command again",
        "exit code 3 with 3",
        "exit code 3 with 4",
        "exit code 3 with 5",
        "exit code 3 with 6",
        "Applied 1 migration",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[test]
fn a_server_that_left_its_pid_to_another_program_starts_again() {
    let project = faults();
    project.give_to_nobody();
    project.ok_as_nobody(&["up"]);
    project.ok_as_nobody(&["down"]);
    let mut other = Command::new("sleep");
    let other = other.arg("1000").uid(65534).gid(65534).spawn();
    let other = Ends(other.expect("sleep"));
    // As it is after a reboot.
    let data = ".devenv/data/db-data/data";
    let stale = format!("{}\n{}\n", other.0.id(), project.join(data).display());
    project.write(&format!("{data}/postmaster.pid"), &stale);
    project.give_to_nobody();
    project.ok_as_nobody(&["up"]);
    project.ok_as_nobody(&["down", "--volumes"]);
}

#[test]
fn a_project_of_another_user_is_told_in_both_directions() {
    let project = faults();
    let theirs = "the processes of this project are those of user";
    fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).expect("open");
    project.ok(&["up"]);
    for args in [
        &["ps"][..],
        &["logs", "web"],
        &["exec", "web", "--", "true"],
    ] {
        let ran = project.as_nobody(args);
        assert_eq!(ran.code, 3, "{}", ran.all());
        for part in [&format!("{theirs} `root`"), "`sudo -u root devenv …`"] {
            assert!(ran.stderr.contains(part), "{part} in {}", ran.all());
        }
    }
    for args in [["up"], ["down"], ["restart"]] {
        let ran = project.as_nobody(&args);
        assert_eq!(ran.code, 3, "{}", ran.all());
        let help = "belongs to user `root`: run devenv as that user";
        assert!(ran.stderr.contains(help), "{}", ran.all());
    }
    project.ok(&["down", "--volumes"]);

    let project = faults();
    project.give_to_nobody();
    project.ok_as_nobody(&["up", "web"]);
    let ran = project.run(&["exec", "web", "--", "true"]);
    assert!(
        ran.stderr.contains(&format!("{theirs} `nobody`")),
        "{}",
        ran.all()
    );
    project.ok_as_nobody(&["down", "--volumes"]);
    let ran = project.run(&["up"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(
        ran.stderr.contains(&format!("{theirs} `nobody`")),
        "{}",
        ran.all()
    );
    // Nothing of root's is in the way.
    assert!(!project.join(".devenv/data/db-data").exists());
    project.ok_as_nobody(&["up"]);
    // Root may end it all the same.
    project.ok(&["down", "--volumes"]);
}

#[test]
fn two_folders_of_one_name_are_side_by_side() {
    let (one, two) = (faults(), faults());
    one.ok(&["up"]);
    two.ok(&["up"]);
    one.sql("insert into t values ('one')");
    assert_eq!(two.sql("select count(*) from t"), "0");
    assert_ne!(one.url("service.web"), two.url("service.web"));
    one.ok(&["down", "--volumes"]);
    assert_eq!(two.sql("select count(*) from t"), "0");
}

#[test]
fn a_port_that_is_taken_between_choice_and_start_is_given_up() {
    let project = Project::new(
        r#"
[project]
name = "faster"
runtime = "process"

[service.web]
process = { command = ["sh", "web.sh", "${service.web.listen}", "${service.web.port}"] }
ports = { http = 18299 }
ready = { http = "/" }
restart = "no"
stop_grace = "0s"
"#,
    );
    project.write("index.html", "hello\n");
    project.write(
        "web.sh",
        "if [ ! -e go ]; then\n  echo \"$2\" >port.new && mv port.new port\n  until [ -e go ]; do sleep 0.01; done\nfi\n\
         exec busybox httpd -f -p \"$1\" -h .\n",
    );
    let up = project
        .command(&["up"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let up = up.expect("devenv runs");
    wait_until(|| project.join("port").exists());
    let port: u16 = project.read("port").trim().parse().expect("a port");
    let faster = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    project.write("go", "");
    let output = up.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told = format!("port {port} was taken by another program meanwhile");
    assert!(said.contains(&told), "{said}");
    assert_eq!(http::get(&project.url("service.web")), "hello\n");
    drop(faster);
}
