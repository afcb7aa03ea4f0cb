//! A real terminal: `script` of util-linux gives one, and types what it reads.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A shell's command on a terminal of its own.
pub struct Terminal {
    child: Child,
    output: BufReader<ChildStdout>,
    seen: String,
}

impl Terminal {
    /// In the folder and the environment of this command, which is not run itself.
    pub fn new(like: &Command, command: &str) -> Self {
        let mut script = Command::new("script");
        script.args([
            "--quiet",
            "--return",
            "--echo",
            "never",
            "--command",
            command,
            "/dev/null",
        ]);
        script.current_dir(like.get_current_dir().expect("a folder"));
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

    pub fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let read = self.output.read_line(&mut self.seen).expect("UTF-8");
            assert!(read > 0, "no `{text}` in {}", self.seen);
        }
    }

    pub fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(keys.as_bytes()).expect("typed");
    }

    /// Exit code, and all that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.seen).expect("UTF-8");
        let status = self.child.wait().expect("it ends");
        (status.code(), self.seen)
    }
}
