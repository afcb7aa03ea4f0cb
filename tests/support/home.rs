//! A user of their own: data and caches of one test, shared by no other.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Project, Ran, write_program};

pub struct Home {
    dir: tempfile::TempDir,
    /// What PATH is, when it is not the tests' own.
    path: Option<String>,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-home-")
            .tempdir()
            .expect("a temporary folder");
        Self { dir, path: None }
    }

    /// With nothing on PATH but these programs, each a script of `sh`, and what they need.
    pub fn with_programs(programs: &[(&str, &str)]) -> Self {
        let mut home = Self::new();
        for (name, script) in programs {
            home.program("programs", name, script);
        }
        home.path = Some(format!("{}:/usr/bin:/bin", home.join("programs").display()));
        home
    }

    /// Puts a script into a folder of the home.
    pub fn program(&self, folder: &str, name: &str, script: &str) -> PathBuf {
        let path = self.join(folder).join(name);
        write_program(&path, format!("#!/bin/sh\n{script}\n"));
        path
    }

    pub fn set_path(&mut self, path: String) {
        self.path = Some(path);
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The store of tools.
    pub fn tools(&self) -> PathBuf {
        self.join("data/devenv/tools")
    }

    /// What is in the store but for locks: entries and what a killed install left.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.tools())
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").file_name())
            .filter_map(|name| name.into_string().ok())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        names.sort();
        names
    }

    pub fn command(&self, project: &Project, args: &[&str]) -> Command {
        let mut command = project.command(args);
        command
            .env("XDG_DATA_HOME", self.join("data"))
            .env("XDG_CACHE_HOME", self.join("cache"))
            .env_remove("CI")
            .env_remove("SHELL");
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    pub fn run(&self, project: &Project, args: &[&str]) -> Ran {
        let output = self.command(project, args).output().expect("devenv runs");
        self.ran(project.path(), output)
    }

    pub fn ran(&self, root: &Path, output: std::process::Output) -> Ran {
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .replace(&root.display().to_string(), "[ROOT]")
                .replace(&self.dir.path().display().to_string(), "[HOME]")
        };
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs it and insists on success.
    #[track_caller]
    pub fn ok(&self, project: &Project, args: &[&str]) -> Ran {
        let ran = self.run(project, args);
        assert_eq!(ran.code, 0, "devenv {}:\n{}", args.join(" "), ran.all());
        ran
    }

    /// Runs it, insists on this exit code, and gives what it wrote to stderr.
    #[track_caller]
    pub fn fails(&self, project: &Project, code: i32, args: &[&str]) -> String {
        let ran = self.run(project, args);
        assert_eq!(ran.code, code, "devenv {}:\n{}", args.join(" "), ran.all());
        ran.stderr
    }
}
