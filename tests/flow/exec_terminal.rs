//! `devenv exec STEP -- cmd` with a real terminal.

use crate::support::{Project, terminal::Terminal};

/// Runs in the background; nothing of it matters but that it runs.
const CONFIG: &str = "[project]\nname = \"terminal\"\nruntime = \"process\"\n\n[service.web]\nprocess = { command = [\"sleep\", \"1000\"] }\nstop_grace = \"1s\"\n";

/// `devenv exec web -- sh -c SCRIPT` on a terminal of its own.
fn exec(project: &Project, script: &str) -> Terminal {
    project.write("script.sh", script);
    let devenv = env!("CARGO_BIN_EXE_devenv");
    let command = format!("stty cols 91 rows 17; exec {devenv} exec web -- sh ./script.sh");
    // As of a command of the project: the same folder and environment.
    let mut like = project.command(&[]);
    like.env("TERM", "vt220");
    Terminal::new(&like, &command)
}

#[test]
fn it_is_the_callers_terminal_and_the_exit_code_comes_through() {
    let project = Project::new(CONFIG);
    project.ok(&["up"]);
    let terminal = exec(&project, "tty; stty size; echo $TERM; exit 42");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(42), "{shown}");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{shown}");
    assert_eq!(lines[1..], ["17 91", "vt220"]);
    // Without a terminal there is none.
    let ran = project.run(&["exec", "web", "--", "tty"]);
    assert_eq!((ran.code, ran.stdout.trim()), (1, "not a tty"));
}

#[test]
fn keys_are_the_commands_own() {
    let project = Project::new(CONFIG);
    project.ok(&["up"]);
    let script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut terminal = exec(&project, script);
    terminal.wait_for("ready");
    terminal.press("\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(9), "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");

    let mut terminal = exec(&project, "echo ready; exec sleep 1000");
    terminal.wait_for("ready");
    terminal.press("\x03");
    assert_eq!(terminal.end().0, Some(130));

    let mut terminal = exec(&project, "echo ready; read line; echo \"got $line\"; cat");
    terminal.wait_for("ready");
    terminal.press("a line\n");
    terminal.wait_for("got a line");
    terminal.press("\x04");
    assert_eq!(terminal.end().0, Some(0));
    // What runs is not concerned.
    assert_eq!(project.state("service.web"), "running");
}

#[test]
fn what_is_not_there_is_told() {
    let project = Project::new(CONFIG);
    project.ok(&["up"]);
    let ran = project.run(&["exec", "web", "--", "no-such-command"]);
    assert_eq!(ran.code, 127, "{}", ran.all());
    let told = "there is no command `no-such-command` in `service.web`";
    assert!(ran.stderr.contains(told), "{}", ran.all());
}
