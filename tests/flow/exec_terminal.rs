//! `devenv exec STEP -- cmd` with a real terminal: `script` gives one, and types what it reads.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Stdio},
};

use crate::support::Project;

/// Runs in the background; nothing of it matters but that it runs.
const CONFIG: &str = "[project]\nname = \"terminal\"\nruntime = \"process\"\n\n[service.web]\nprocess = { command = [\"sleep\", \"1000\"] }\nstop_grace = \"1s\"\n";

/// `devenv exec web -- sh -c SCRIPT` on a terminal of its own.
struct Terminal {
    child: Child,
    output: BufReader<ChildStdout>,
    seen: String,
}

impl Terminal {
    fn new(project: &Project, script: &str) -> Self {
        project.write("script.sh", script);
        let devenv = env!("CARGO_BIN_EXE_devenv");
        let command = format!("stty cols 91 rows 17; exec {devenv} exec web -- sh ./script.sh");
        // As of a command of the project: the same folder and environment.
        let mut like = project.command(&[]);
        like.env("TERM", "vt220");
        let mut script = std::process::Command::new("script");
        script.args([
            "--quiet",
            "--return",
            "--echo",
            "never",
            "--command",
            &command,
        ]);
        script.arg("/dev/null").current_dir(project.path());
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("`script` of util-linux");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            output,
            seen: String::new(),
        }
    }

    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let read = self.output.read_line(&mut self.seen).expect("UTF-8");
            assert!(read > 0, "no `{text}` in {}", self.seen);
        }
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(keys.as_bytes()).expect("typed");
    }

    /// Exit code, and all that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.seen).expect("UTF-8");
        let status = self.child.wait().expect("it ends");
        (status.code(), self.seen)
    }
}

#[test]
fn it_is_the_callers_terminal_and_the_exit_code_comes_through() {
    let project = Project::new(CONFIG);
    project.ok(&["up"]);
    let terminal = Terminal::new(&project, "tty; stty size; echo $TERM; exit 42");
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
    let mut terminal = Terminal::new(&project, script);
    terminal.wait_for("ready");
    terminal.press("\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(9), "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");

    let mut terminal = Terminal::new(&project, "echo ready; exec sleep 1000");
    terminal.wait_for("ready");
    terminal.press("\x03");
    assert_eq!(terminal.end().0, Some(130));

    let mut terminal = Terminal::new(&project, "echo ready; read line; echo \"got $line\"; cat");
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
