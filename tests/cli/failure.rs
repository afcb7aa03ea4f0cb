//! With `--output json`, whatever fails ends stdout with one object that says what stderr says.

use serde_json::{Value, json};

use crate::support::{Project, Ran};

/// The last line, which is the failure.
#[track_caller]
fn failure(ran: &Ran) -> Value {
    let line = ran.stdout.lines().last().unwrap_or_default();
    let failure: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", ran.all()));
    assert_eq!(failure["error"]["exit_code"], ran.code, "{failure}");
    assert!(!ran.stderr.is_empty(), "people are told, too: {failure}");
    failure
}

const COMMANDS: &[&[&str]] = &[
    &["up"],
    &["down"],
    &["ps"],
    &["logs"],
    &["exec", "web", "--", "true"],
    &["run", "lint"],
    &["restart"],
    &["plan"],
    &["config"],
    &["install"],
    &["lock"],
    &["env"],
    &["proto"],
    &["migrate", "status"],
    &["psql"],
];

#[test]
fn errors_of_the_file_come_with_their_places() {
    let project = Project::new("[project]\nname = \"x\"\n\n[app.x]\nbuidl = {}\nport = 1\n");
    for args in COMMANDS {
        let ran = project.run(&[&["--output", "json"], *args].concat());
        let error = failure(&ran)["error"].clone();
        assert_eq!(error["message"], "`devenv.toml` has 2 errors", "{args:?}");
        let first = &error["errors"][0];
        assert_eq!(first["message"], "unknown key `buidl` in `[app.x]`");
        assert_eq!(first["label"], "did you mean `build`?");
        let site = json!({ "file": "devenv.toml", "line": 5, "column": 1 });
        assert_eq!(first["site"], site, "{args:?}");
        assert_eq!((ran.code, ran.stdout.lines().count()), (2, 1), "{args:?}");
    }
}

#[test]
fn wrong_arguments_and_names_and_folders() {
    let project = Project::new("[project]\nname = \"x\"\n\n[service.web]\nimage = \"web\"\n");
    let error = |args: &[&str]| failure(&project.run(args))["error"].clone();
    let unknown = error(&["up", "wbe", "--output", "json"]);
    assert_eq!(unknown["message"], "devenv.toml has no step `wbe`");
    assert_eq!(unknown["help"], "did you mean `service.web`?");
    let flag = error(&["up", "--atach", "--output=json"]);
    assert_eq!(flag["message"], "unexpected argument '--atach' found");
    assert_eq!(flag["help"], "a similar argument exists: '--attach'");
    let folder = error(&["plan", "-C", "nowhere", "--output", "json"]);
    assert_eq!(folder["message"], "cannot open folder `nowhere`");
    assert_eq!(folder["class"], "usage");
    let help = folder["help"].as_str().expect("help");
    assert!(help.contains("`-C DIR`"), "{help}");
}

#[test]
fn a_file_where_devenv_keeps_its_folder() {
    let project = Project::new("[project]\nname = \"x\"\n\n[task.t]\nrun = \"true\"\n");
    project.write(".devenv", "a file");
    for args in [
        &["run", "t"][..],
        &["down"],
        &["down", "--runtime", "process"],
    ] {
        let ran = project.run(&[args, &["--output", "json"]].concat());
        let error = failure(&ran)["error"].clone();
        assert_eq!(error["notes"][0], "`[ROOT]/.devenv` is a file", "{args:?}");
        let help = error["help"].as_str().expect("help");
        assert!(help.starts_with("move it away"), "{args:?}: {help}");
        assert_eq!(ran.code, 3, "{args:?}");
    }
    project.ok(&["ps", "--runtime", "process"]);
    let doctor = project.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("problem  disk    `[ROOT]/.devenv` is a file"),
        "{}",
        doctor.all()
    );
}

#[test]
fn an_absent_engine() {
    let project = Project::new("[project]\nname = \"x\"\n\n[service.web]\nimage = \"web\"\n");
    for args in [
        &["ps"][..],
        &["logs"],
        &["down"],
        &["up"],
        &["restart", "web"],
    ] {
        let mut command = project.command(&[args, &["--output", "json"]].concat());
        command.env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
        let ran = Ran::from(command.output().expect("devenv runs"), project.path());
        let failure = failure(&ran);
        assert_eq!(failure["error"]["class"], "environment", "{args:?}");
        assert_eq!(ran.code, 3, "{args:?}");
    }
}

#[test]
fn a_step_that_fails_ends_the_events() {
    let project =
        Project::new("[project]\nname = \"x\"\n\n[task.t]\nrun = \"echo said; exit 9\"\n");
    let ran = project.run(&["run", "t", "--output", "json"]);
    let error = failure(&ran)["error"].clone();
    let site =
        json!({ "file": "devenv.toml", "line": 5, "column": 1, "key": ["task", "t", "run"] });
    assert_eq!(error["message"], "`echo said; exit 9` failed with code 9");
    assert_eq!(error["site"], site);
    assert_eq!(error["notes"], json!(["its last output:\nsaid"]));
    let events = ran.events();
    let finished = events.iter().find(|event| event["event"] == "run-finished");
    let fault = &finished.expect("it ended")["outcome"]["fault"];
    assert_eq!(fault["site"], site, "events have the place, too");
}
