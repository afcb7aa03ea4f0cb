//! A secret that changes replaces what was started with the old value, and shows nowhere.

use std::{collections::BTreeMap, fs, path::Path, sync::mpsc};

use bollard::query_parameters::KillContainerOptions;

use super::{postgres::full_project, web_app};
use crate::support::{Project, Ran, Signal, engine, image};

const VARIABLE: &str = "DEVENV_TEST_TOKEN";

/// Runs it with the secret's variable set to this.
#[track_caller]
fn with(project: &Project, value: &str, args: &[&str]) -> Ran {
    let mut command = project.command(args);
    let output = command.env(VARIABLE, value).output().expect("devenv runs");
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(ran.code, 0, "{}", ran.all());
    ran
}

/// The value inside the app.
fn token(project: &Project) -> String {
    let echo = ["exec", "app.web", "--", "sh", "-c", "echo $TOKEN"];
    project.ok(&echo).stdout.trim().to_owned()
}

/// Every file under `.devenv` in one text, and the labels of the app's container.
fn kept(project: &Project) -> String {
    fn walk(dir: &Path, into: &mut String) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                let bytes = fs::read(&path).expect("a readable file");
                *into += &String::from_utf8_lossy(&bytes);
            }
        }
    }
    let mut text = String::new();
    walk(&project.join(".devenv"), &mut text);
    let id = project.instance("app.web");
    let (send, labels) = mpsc::channel();
    image::on_engine(move |engine| async move {
        let container = engine.inspect_container(&id, None).await;
        let config = container.expect("a container").config.expect("a config");
        let labels: BTreeMap<_, _> = config.labels.unwrap_or_default().into_iter().collect();
        send.send(format!("{labels:?}")).expect("a listener");
    });
    text + &labels.recv().expect("labels")
}

fn project_with(base: &image::BusyboxImage, secret: &str) -> Project {
    web_app(
        base,
        &format!("env = {{ TOKEN = \"${{secret.token}}\" }}\n\n[secret.token]\n{secret}\n"),
    )
}

#[test]
fn one_of_the_environment_that_changes_replaces_the_app_and_shows_nowhere() {
    let base = image::busybox();
    let project = project_with(&base, &format!("env = \"{VARIABLE}\""));
    let mut shown = with(&project, "first-token", &["up", "--verbose"]).all();
    let again = with(&project, "first-token", &["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    // A shell that does not have it is no reason to replace anything.
    let without = project.ok(&["plan"]);
    assert!(without.stdout.contains("No changes"), "{}", without.all());

    let before = project.files();
    let plan = with(&project, "second-token", &["plan"]);
    assert!(plan.stdout.contains("recreate"), "{}", plan.all());
    assert!(
        plan.stdout.contains("secret `token` changed"),
        "{}",
        plan.all()
    );
    assert_eq!(project.files(), before, "a plan changes nothing");
    assert_eq!(token(&project), "first-token");

    let up = with(&project, "second-token", &["up", "--output", "json"]);
    assert_eq!(token(&project), "second-token");
    let again = with(&project, "second-token", &["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    shown += &(plan.all() + &up.all() + &kept(&project));
    for value in ["first-token", "second-token"] {
        assert!(!shown.contains(value), "{shown}");
        let plain = devenv::plan::Digest::of(value);
        assert!(!shown.contains(&plain.short()), "{shown}");
    }
}

#[test]
fn one_of_a_file_or_of_dot_env_is_seen_also_while_the_app_is_stopped() {
    let base = image::busybox();
    for (secret, file, before) in [
        ("file = \"token.txt\"", "token.txt", ""),
        (
            "env = \"DEVENV_TEST_OF_FILE\"",
            ".env",
            "DEVENV_TEST_OF_FILE=",
        ),
    ] {
        let project = project_with(&base, secret);
        project.write(file, &format!("{before}first-token\n"));
        project.ok(&["up"]);
        let killed = project.instance("app.web");
        let id = killed.clone();
        image::on_engine(move |engine| async move {
            let killed = engine.kill_container(&id, None::<KillContainerOptions>);
            killed.await.expect("a killed container");
        });
        engine::wait_for_end(&killed);
        project.write(file, &format!("{before}second-token\n"));
        let up = project.ok(&["up"]);
        assert!(
            up.stderr.contains("recreate: secret `token` changed"),
            "{}",
            up.all()
        );
        assert_eq!(token(&project), "second-token");

        // Without what is kept, the container's own variables tell.
        fs::remove_dir_all(project.join(".devenv")).unwrap();
        let plan = project.ok(&["plan"]);
        assert!(!plan.stdout.contains("secret"), "{}", plan.all());
        project.write(file, &format!("{before}third-token\n"));
        let up = project.ok(&["up"]);
        assert!(
            up.stderr.contains("recreate: secret `token` changed"),
            "{}",
            up.all()
        );
        assert!(!up.all().contains("third-token"), "{}", up.all());
        assert_eq!(token(&project), "third-token");
        let again = project.ok(&["up"]);
        assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    }
}

#[test]
fn another_source_of_one_replaces_the_app() {
    let base = image::busybox();
    let project = project_with(&base, "command = \"echo first-token\"");
    project.write("token.txt", "third-token\n");
    project.ok(&["up"]);
    let sources = [
        (
            "command = \"echo first-token\"",
            "env = \"DEVENV_TEST_TOKEN\"",
            "second-token",
        ),
        (
            "env = \"DEVENV_TEST_TOKEN\"",
            "file = \"token.txt\"",
            "third-token",
        ),
        (
            "file = \"token.txt\"",
            "command = \"echo fourth-token\"",
            "fourth-token",
        ),
    ];
    for (before, after, value) in sources {
        let config = project.read("devenv.toml").replace(before, after);
        project.write("devenv.toml", &config);
        let up = with(&project, "second-token", &["up"]);
        assert!(up.stderr.contains("secret.token changed"), "{}", up.all());
        assert_eq!(token(&project), value);
        let again = with(&project, "second-token", &["up"]);
        assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    }
}

#[test]
fn the_command_of_one_is_run_by_no_plan_and_by_no_up_with_nothing_to_do() {
    let base = image::busybox();
    let project = project_with(&base, "command = \"echo ran >> ran.txt; echo a-token\"");
    let runs = || project.read("ran.txt").lines().count();
    project.ok(&["up"]);
    assert_eq!((runs(), token(&project).as_str()), (1, "a-token"));
    project.ok(&["plan"]);
    project.ok(&["up"]);
    assert_eq!(runs(), 1);
    project.ok(&["restart", "app.web"]);
    assert_eq!(runs(), 2);
}

#[test]
fn a_password_that_a_command_gives_reaches_who_has_the_address_in_the_same_up() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project
        .read("devenv.toml")
        .replace("port = 15432", "port = 15432\npassword = \"${secret.db}\"")
        + "\n[secret.db]\ncommand = \"echo ran >> ran.txt; cat password.txt\"\n";
    project.write("devenv.toml", &config);
    let url = || {
        let echo = ["exec", "app.web", "--", "sh", "-c", "echo $GREETING"];
        let ran = project.ok(&echo);
        ran.stdout
    };
    for (number, password) in ["first", "second", "third"].into_iter().enumerate() {
        if number == 2 {
            // Then the container's own variables tell.
            fs::remove_dir_all(project.join(".devenv")).unwrap();
        }
        project.write("password.txt", &format!("{password}-password\n"));
        project.write("ran.txt", "");
        let up = project.ok(&["up"]);
        assert_eq!(project.read("ran.txt").lines().count(), 1, "once in a run");
        if number > 0 {
            let told = "app.web";
            let line = up
                .stderr
                .lines()
                .find(|line| line.contains(told) && line.contains("recreate: secret `db` changed"));
            assert!(line.is_some(), "{}", up.all());
        }
        assert!(url().contains(&format!(":{password}-password@")));
        let again = project.ok(&["up"]);
        assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    }
}

#[test]
fn one_that_is_the_password_of_a_database_replaces_who_has_its_address() {
    let images = image::postgres();
    let project = full_project(&images);
    let config = project
        .read("devenv.toml")
        .replace("port = 15432", "port = 15432\npassword = \"${secret.db}\"")
        + "\n[secret.db]\nfile = \"password.txt\"\n\n[service.side]\nimage = \"IMAGE\"\ncommand = [\"sleep\", \"600\"]\nenv = { HOST = \"${postgres.db.host}\" }\nstop_grace = \"0s\"\n";
    let config = config.replace("IMAGE", &images.base.reference);
    project.write("devenv.toml", &config);
    project.write("password.txt", "first-password\n");
    project.ok(&["up"]);
    let side = project.instance("service.side");
    project.write("password.txt", "second-password\n");
    let up = project.ok(&["up"]);
    assert!(
        up.stderr.contains("recreate: secret `db` changed"),
        "{}",
        up.all()
    );
    for value in ["first-password", "second-password"] {
        assert!(!up.all().contains(value), "{}", up.all());
    }
    assert_eq!(project.sql("select 1"), "1");
    assert_eq!(project.instance("service.side"), side, "it has no password");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn what_a_program_prints_of_one_is_masked() {
    let base = image::busybox();
    for secret in [
        "command = \"echo a-token-of-a-command\"",
        "file = \"token.txt\"",
    ] {
        let project = web_app(
            &base,
            &format!(
                "env = {{ TOKEN = \"${{secret.token}}\", URL = \"https://me:${{secret.token}}@there/x\" }}\n\n[secret.token]\n{secret}\n"
            ),
        );
        project.write("token.txt", "a-token-of-a-file\n");
        project.write(
            "web.sh",
            "#!/bin/sh\necho \"token $TOKEN url $URL\"\nexec httpd -f -p 8080 -h /www\n",
        );
        project.ok(&["up"]);
        // Also the one that it was started with.
        std::fs::remove_file(project.join("token.txt")).unwrap();
        for args in [&["logs"][..], &["logs", "web", "--output", "json"]] {
            let logs = project.ok(args).stdout;
            assert!(
                logs.contains("token *** url https://me:***@there/x"),
                "{logs}"
            );
            assert!(!logs.contains("a-token"), "{logs}");
        }
    }
}

/// Says again and again where it runs, and its token.
const TELLER: &str = "#!/bin/sh\nwhile :; do echo \"in $(hostname) $TOKEN\"; sleep 0.2; done &\nexec httpd -f -p 8080 -h /www\n";

#[test]
fn one_that_changes_is_masked_for_who_follows_already() {
    let base = image::busybox();
    for follow in [&["logs", "-f", "web"][..], &["up", "--attach"]] {
        let project = project_with(&base, "env = \"DEVENV_TEST_OF_FILE\"");
        project.write("web.sh", TELLER);
        project.write(".env", "DEVENV_TEST_OF_FILE=first-token\n");
        project.ok(&["up"]);
        let line = || format!("in {} ***", &project.instance("app.web")[..12]);
        let first = line();
        let mut logs = project.start(follow, &[]);
        logs.wait_for_line(&first);
        project.write(".env", "DEVENV_TEST_OF_FILE=second-token\n");
        project.ok(&["up"]);
        assert_ne!(line(), first);
        logs.wait_for_line(&line());
        logs.signal(Signal::Interrupt);
        let ran = logs.wait();
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(!ran.all().contains("-token"), "{}", ran.all());
    }
}

#[test]
fn one_that_is_no_longer_in_the_file_is_masked_while_what_was_given_it_runs() {
    let base = image::busybox();
    let project = project_with(&base, "file = \"token.txt\"");
    project.write("token.txt", "first-token\n");
    project.write(
        "web.sh",
        "#!/bin/sh\necho \"token $TOKEN\"\nexec httpd -f -p 8080 -h /www\n",
    );
    project.ok(&["up"]);
    let config = project.read("devenv.toml");
    let (before, _) = config.split_once("env = {").expect("its variables");
    project.write("devenv.toml", before);
    fs::remove_file(project.join("token.txt")).unwrap();
    let masked = || {
        let logs = project.ok(&["logs", "web"]).stdout;
        assert!(logs.contains("token ***"), "{logs}");
    };
    masked();
    fs::remove_dir_all(project.join(".devenv")).unwrap();
    masked();
}

#[test]
fn each_of_two_in_one_variable_is_masked_alone() {
    let base = image::busybox();
    let project = web_app(
        &base,
        "env = { URL = \"http://u:${secret.one}@h/${secret.two}\" }\n\n[secret.one]\ncommand = \"echo first-token\"\n[secret.two]\ncommand = \"echo second-token\"\n",
    );
    project.write(
        "web.sh",
        "#!/bin/sh\nlogin=${URL%@*}\necho \"$URL one ${login##*:} two ${URL##*/}\"\nexec httpd -f -p 8080 -h /www\n",
    );
    project.ok(&["up"]);
    let logs = project.ok(&["logs", "web"]).stdout;
    assert!(
        logs.contains("http://u:***@h/*** one *** two ***"),
        "{logs}"
    );
}

#[test]
fn one_that_cannot_be_read_any_more_is_told_while_what_runs_stays() {
    let base = image::busybox();
    let project = project_with(&base, &format!("env = \"{VARIABLE}\""));
    with(&project, "a-token", &["up"]);
    let container = project.instance("app.web");
    let config = project.read("devenv.toml");
    let line = config.lines().position(|line| line == "[secret.token]");
    let line = line.expect("the table") + 1;
    let told = format!(
        "devenv.toml:{line}:1: cannot read secret `token`: environment variable `{VARIABLE}` is not set"
    );
    for (command, code) in [
        ("plan", "stays as it is, and needs it for the next start"),
        ("up", "`app.web` stays as it is"),
    ] {
        let ran = project.ok(&[command]);
        assert!(ran.stderr.contains(&told), "{}", ran.all());
        assert!(ran.stderr.contains(code), "{}", ran.all());
    }
    let doctor = project.run(&["doctor"]).stdout;
    let row = doctor.lines().find(|line| line.contains(&told));
    let row = row.unwrap_or_else(|| panic!("{doctor}"));
    assert!(row.starts_with("warning  secret"), "{row}");
    assert!(row.ends_with("(for the next start of `app.web`)"), "{row}");
    let json = project.ok(&["plan", "--output", "json"]).json();
    let notices = json["notices"].as_array().expect("notices");
    assert_eq!(notices.len(), 1, "{json}");
    assert_eq!(project.instance("app.web"), container);
    // Who has it is told nothing.
    let quiet = with(&project, "a-token", &["plan"]);
    assert!(!quiet.stderr.contains("cannot read"), "{}", quiet.all());

    // What has to start fails for want of it.
    project.write("web.sh", &format!("{}# changed\n", super::WEB));
    let up = project.run(&["up"]);
    assert_eq!(up.code, 3, "{}", up.all());
    assert!(
        up.stderr.contains("cannot read secret `token`"),
        "{}",
        up.all()
    );
    assert_eq!(project.instance("app.web"), container);
}
