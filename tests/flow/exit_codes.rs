//! The exit codes: 0 ok, 1 a step failed, 2 usage or config, 3 environment, 4 changes when asked for, 130 interrupted.

use super::web_app;
use crate::support::{Project, Signal, image};

#[test]
fn each_kind_of_end_has_its_own() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let more = "\n[task.fails]\nrun = \"exit 9\"\n\n[task.waits]\nrun = \"sleep 600\"\n\n[task.secret]\nrun = \"true\"\nenv = { S = \"${secret.s}\" }\n\n[secret.s]\nenv = \"DEVENV_TEST_NOT_SET\"\n";
    project.write("devenv.toml", &(project.read("devenv.toml") + more));
    let code = |args: &[&str]| project.run(args).code;
    assert_eq!(code(&["plan"]), 0);
    assert_eq!(code(&["plan", "--detailed-exit-code"]), 4);
    assert_eq!(code(&["up"]), 0);
    assert_eq!(code(&["plan", "--detailed-exit-code"]), 0);
    assert_eq!(code(&["run", "fails"]), 1);
    assert_eq!(code(&["run", "absent"]), 2);
    assert_eq!(code(&["nonsense"]), 2);
    assert_eq!(code(&["psql"]), 2, "there is no database");
    assert_eq!(code(&["migrate"]), 2, "there are no migrations");
    assert_eq!(code(&["run", "secret"]), 3);
    assert_eq!(code(&["exec", "app.web", "--", "sh", "-c", "exit 42"]), 42);
    assert_eq!(code(&["exec", "--", "sh", "-c", "exit 43"]), 43);
    let mut waits = project.start(&["run", "waits", "--output", "json"], &[]);
    waits.wait_for("step-started", "task.waits");
    waits.signal(Signal::Interrupt);
    assert_eq!(waits.wait().code, 130);
    let absent = project
        .command(&["up"])
        .env("DOCKER_HOST", "tcp://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(absent.status.code(), Some(3), "{absent:?}");

    let broken = Project::new("[project]\nname = \"x\"\n\n[app.x]\nbuidl = {}\n");
    assert_eq!(broken.run(&["doctor"]).code, 2);
    for command in ["up", "down", "plan", "config", "ps", "lock"] {
        let ran = broken.run(&[command]);
        assert_eq!(ran.code, 2, "{command}: {}", ran.all());
        assert!(ran.stderr.contains("devenv.toml:5:1"), "{}", ran.all());
    }
}
