//! `devenv` while it runs: its JSON events as they come, signals, its end.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::Value;

use super::{Project, Ran};

pub enum Signal {
    Interrupt,
    Terminate,
    Hangup,
    Kill,
}

/// A started `devenv … --output json`.
pub struct Running {
    child: Option<Child>,
    /// Its standard output, while somebody reads it.
    events: Option<BufReader<ChildStdout>>,
    /// Read on a thread of its own, so that a full pipe never holds the run.
    errors: Option<std::thread::JoinHandle<String>>,
    seen: String,
    root: std::path::PathBuf,
}

impl Project {
    /// Starts it, with more variables in its environment.
    pub fn start(&self, args: &[&str], env: &[(&str, &str)]) -> Running {
        let mut child = self
            .command(args)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("devenv starts");
        let mut stderr = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("UTF-8");
            text
        });
        Running {
            events: child.stdout.take().map(BufReader::new),
            child: Some(child),
            errors: Some(errors),
            seen: String::new(),
            root: self.path().to_owned(),
        }
    }
}

impl Ran {
    /// What `--output json` wrote during a run: nothing but JSON, one event in each line.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let record =
            |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(record).collect()
    }

    /// What it answered with `--output json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON: {}", self.all()))
    }

    /// The position of an event of a step among all events.
    #[track_caller]
    pub fn position(&self, event: &str, step: &str) -> usize {
        let events = self.events();
        let found = events
            .iter()
            .position(|record| record["event"] == event && record["step"] == step);
        found.unwrap_or_else(|| panic!("no `{event}` of `{step}`: {}", self.all()))
    }
}

impl Running {
    /// Reads events until this one of this step comes.
    #[track_caller]
    pub fn wait_for(&mut self, event: &str, step: &str) {
        loop {
            let mut line = String::new();
            let events = self.events.as_mut().expect("piped");
            let read = events.read_line(&mut line).expect("UTF-8");
            self.seen += &line;
            assert!(read > 0, "no `{event}` of `{step}`: {}", self.end().all());
            let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if record["event"] == event && record["step"] == step {
                return;
            }
        }
    }

    /// Reads lines until one contains this text.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let events = self.events.as_mut().expect("piped");
            let read = events.read_line(&mut line).expect("UTF-8");
            self.seen += &line;
            assert!(read > 0, "no line with `{text}`: {}", self.end().all());
            if line.contains(text) {
                return;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_child(child);
        let signal = match signal {
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Hangup => rustix::process::Signal::HUP,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        self.end()
    }

    /// Reads no more of what it writes, as `| head` does, and waits for its end.
    pub fn leave(mut self) -> Ran {
        self.events = None;
        self.end()
    }

    fn end(&mut self) -> Ran {
        let mut rest = String::new();
        if let Some(events) = &mut self.events {
            events.read_to_string(&mut rest).expect("UTF-8");
        }
        self.seen += &rest;
        let mut child = self.child.take().expect("ended once");
        let status = child.wait().expect("it ends");
        let errors = self.errors.take().expect("joined once");
        Ran::from(
            std::process::Output {
                status,
                stdout: std::mem::take(&mut self.seen).into_bytes(),
                stderr: errors.join().expect("read").into_bytes(),
            },
            &self.root,
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
