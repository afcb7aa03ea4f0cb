//! `devenv doctor`: healthy, and each finding with its fix.

use std::net::TcpListener;

use crate::support::{Home, Project, Ran, image};

fn project(more: &str) -> Project {
    let project = Project::new(&format!(
        "[project]\nname = \"doctor\"\nports = \"28100-28199\"\n{more}"
    ));
    project.git(&["init", "-q"]);
    project
}

/// State and message of every finding about this.
fn findings(ran: &Ran, about: &str) -> Vec<(String, String, String)> {
    let json = ran.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    json.as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["about"] == about)
        .map(|f| (text(&f["state"]), text(&f["message"]), text(&f["fix"])))
        .collect()
}

#[test]
fn a_healthy_project_is_all_ok() {
    let project = project("");
    let ran = project.ok(&["doctor"]);
    for about in ["engine", "lock", "disk", "git"] {
        assert!(ran.stdout.contains(about), "{about} in {}", ran.all());
    }
    assert!(!ran.stdout.contains("problem"), "{}", ran.all());
    let engine = findings(&project.ok(&["doctor", "--output", "json"]), "engine");
    assert!(
        matches!(engine.as_slice(), [(state, _, _)] if state == "ok"),
        "{engine:?}"
    );
}

#[test]
fn what_a_removed_folder_left_on_the_engine_is_told_with_the_way_to_remove_it() {
    let base = image::busybox();
    let gone = Project::new(&format!(
        "[project]\nname = \"gone\"\n[service.one]\nimage = \"{}\"\nvolumes = {{ \"/store\" = \"store\" }}\nstop_grace = \"0s\"\n",
        base.reference
    ));
    gone.ok(&["up"]);
    let folder = gone.path().display().to_string();
    let project = project("");
    let doctor = || project.run(&["doctor", "--output", "json"]);
    let about = |ran: &Ran| {
        let mut found = findings(ran, "folder").into_iter();
        found.find(|(_, message, _)| message.contains(&folder))
    };
    assert_eq!(about(&doctor()), None);
    let aside = gone.path().with_extension("aside");
    std::fs::rename(gone.path(), &aside).unwrap();
    let ran = doctor();
    std::fs::rename(&aside, gone.path()).unwrap();
    let found = about(&ran);
    let (state, message, fix) = found.expect("a finding");
    assert_eq!(state, "warning");
    assert!(
        message.contains("project `gone` still has 1 container and 1 volume"),
        "{message}"
    );
    assert!(
        fix.contains("docker rm -f") && fix.contains("docker volume rm"),
        "{fix}"
    );
}

#[test]
fn an_engine_that_does_not_answer() {
    let project = project("");
    let mut command = project.command(&["doctor"]);
    command.env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
    let output = command.output().expect("devenv runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in ["problem  engine", "/nonexistent/engine.sock", "fix: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_tool_that_is_missing_or_of_another_version() {
    let home = Home::with_programs(&[("oldtool", "echo oldtool 1.0.0")]);
    let project = project(
        "[toolchain.oldtool]\nfrom = \"system\"\nversion = \">=2\"\n\n[toolchain.nowhere-to-be-found]\nfrom = \"system\"\nversion = \">=1\"\n",
    );
    let ran = home.run(&project, &["doctor", "--output", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    let tools = findings(&ran, "tool");
    let about = |name: &str| {
        let found = tools.iter().find(|(_, message, _)| message.contains(name));
        found.unwrap_or_else(|| panic!("{name} in {tools:?}"))
    };
    let (state, message, fix) = about("oldtool");
    assert_eq!(state, "problem");
    assert!(
        message.contains("1.0.0") && message.contains(">=2"),
        "{message}"
    );
    assert!(!fix.is_empty());
    let (state, _, fix) = about("nowhere-to-be-found");
    assert_eq!(state, "problem");
    assert!(fix.contains("package manager"), "{fix}");
}

#[test]
fn a_lock_that_is_out_of_date() {
    let project = project(
        "[toolchain.thing]\nfrom = \"http\"\nversion = \"1.0\"\nurl = \"http://127.0.0.1:1/thing-{version}.tar.gz\"\nbin = [\"thing\"]\n",
    );
    let ran = project.run(&["doctor", "--output", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    let lock = findings(&ran, "lock");
    let [(state, message, fix)] = lock.as_slice() else {
        panic!("{lock:?}");
    };
    assert_eq!(state, "problem");
    assert!(message.contains("thing"), "{message}");
    assert!(fix.contains("devenv lock"), "{fix}");
}

#[test]
fn a_port_that_is_free_and_one_held_by_another_program() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let project = project(&format!(
        "[service.one]\nimage = \"one:1\"\nports = {{ http = {port} }}\n"
    ));
    let ports = |project: &Project| findings(&project.ok(&["doctor", "--output", "json"]), "port");
    let held = ports(&project);
    let [(state, message, fix)] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!(state, "warning");
    assert!(
        message.contains(&format!("(pid {})", std::process::id())),
        "{message}"
    );
    assert!(fix.contains("28100-28199"), "{fix}");
    drop(listener);
    assert_eq!(ports(&project)[0].0, "ok");
}

#[test]
fn a_state_folder_in_git_and_a_folder_that_is_no_repository() {
    let tracked = project("");
    tracked.write(".devenv/ports.json", "{}");
    tracked.git(&["add", "-f", ".devenv/ports.json"]);
    let ran = tracked.run(&["doctor"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(
        ran.stdout.contains("fix: run `git rm -r --cached .devenv`"),
        "{}",
        ran.all()
    );

    let bare = Project::new("[project]\nname = \"doctor\"\n");
    let ran = bare.ok(&["doctor"]);
    assert!(
        ran.stdout.contains("this folder is no repository"),
        "{}",
        ran.all()
    );
}

#[test]
fn broken_files_are_findings_and_the_rest_is_checked() {
    let home = Home::with_programs(&[("oldtool", "echo oldtool 1.0.0")]);
    let project = project(
        "[toolchain.oldtool]\nfrom = \"system\"\nversion = \">=2\"\n\n[toolchain.locked]\nfrom = \"cargo\"\nversion = \"1.0.0\"\n",
    );
    project.write("devenv.lock", "version = 1\n[tool.locked]\nfrom = 3\n");
    let ran = home.run(&project, &["doctor"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    let lines = |about: &str| {
        ran.stdout
            .lines()
            .filter(|line| line.contains(about))
            .count()
    };
    assert!(
        ran.stdout.contains("problem  lock    devenv.lock:3:8: "),
        "{}",
        ran.all()
    );
    assert!(ran.stdout.contains("oldtool is 1.0.0"), "{}", ran.all());
    assert_eq!(
        lines("  tool  "),
        1,
        "what the lock decides is not known: {}",
        ran.all()
    );

    project.write(
        "devenv.toml",
        "[project]\nname = \"x\"\n\n[app.x]\nbuidl = {}\nport = 1\n",
    );
    let ran = home.run(&project, &["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{}", ran.all());
    for part in [
        "problem  file    devenv.toml:5:1: unknown key `buidl` in `[app.x]`: did you mean `build`?",
        "problem  file    devenv.toml:6:1: ",
        "problem  lock    devenv.lock:3:8: ",
        "engine",
        "disk",
        "git version",
    ] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.all());
    }
    let ran = home.run(&project, &["doctor", "--output", "json"]);
    assert_eq!(ran.json()[0]["site"]["line"], 5, "{}", ran.all());
}

#[test]
fn a_port_held_by_a_container_of_another_project() {
    let base = image::busybox();
    let file = |name: &str, port: &str| {
        format!(
            "[project]\nname = \"{name}\"\nports = \"28100-28199\"\n[service.one]\nimage = \"{}\"\n\
             command = [\"httpd\", \"-f\", \"-p\", \"80\"]\nports = {{ http = {{ container = 80, host = {port} }} }}\n",
            base.reference
        )
    };
    let holder = Project::new(&file("holder", "28100"));
    holder.ok(&["up"]);
    let url = holder.url("service.one");
    let (_, port) = url.rsplit_once(':').expect("a port");
    let project = Project::new(&file("doctor", port));
    let found = findings(&project.ok(&["doctor", "--output", "json"]), "port");
    let [(state, message, fix)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(state, "warning");
    assert!(
        message.ends_with("-service-one` of project `holder`"),
        "{message}"
    );
    let down = format!("devenv -C {} down", holder.path().display());
    assert!(
        fix.contains(&down) || fix.contains("devenv -C [ROOT] down"),
        "{fix}"
    );

    // Without its engine nobody knows whose it is.
    let mut doctor = project.command(&["doctor", "--output", "json"]);
    doctor.env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
    let ran = Ran::from(doctor.output().expect("devenv runs"), project.path());
    let [(_, message, fix)] = &findings(&ran, "port")[..] else {
        panic!("{}", ran.all());
    };
    assert!(
        message.contains("a container (`docker-proxy`, pid "),
        "{message}"
    );
    let names = format!("`docker ps --filter publish={port}`");
    assert!(fix.contains(&names), "{fix}");
}

#[test]
fn a_secret_too_short_to_be_masked_is_told_without_its_value() {
    let project = project("[secret.token]\nenv = \"DEVENV_TEST_SHORT\"\n");
    let told = "secret `token` is not masked where it is shown";
    for (value, is_told) in [("q7z", true), ("q7zz", false)] {
        project.write(".env", &format!("DEVENV_TEST_SHORT={value}\n"));
        let doctor = project.ok(&["doctor", "--output", "json"]);
        let found = findings(&doctor, "secret");
        assert_eq!(found.len(), usize::from(is_told), "{}", doctor.all());
        for (state, message, fix) in found {
            assert_eq!(state, "warning");
            assert!(message.contains(told), "{message}");
            assert!(!fix.is_empty());
        }
        let up = project.ok(&["up"]);
        let times = up.stderr.matches(told).count();
        assert_eq!(times, usize::from(is_told), "{}", up.all());
        assert!(!(doctor.all() + &up.all()).contains(value));
    }
}

/// Whose processes may not be looked at by everybody.
#[test]
fn a_port_held_by_a_program_of_another_user() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let project = project(&format!(
        "[service.one]\nimage = \"one:1\"\nports = {{ http = {port} }}\n"
    ));
    project.give_to_nobody();
    let ran = project.as_nobody(&["doctor", "--output", "json"]);
    let [(_, message, fix)] = &findings(&ran, "port")[..] else {
        panic!("{}", ran.all());
    };
    assert!(
        message.ends_with("is held by a program of user `root`"),
        "{message}"
    );
    assert!(fix.starts_with("end it as `root`"), "{fix}");
}
