//! A clone `work` of a bare remote `remote.git`, with one good commit pushed and the hook installed.

use std::{cell::Cell, process::Command};

use super::{Found, tool::Tool};
use crate::support::{git::Git, write_program};

pub struct World {
    pub git: Git,
    pub tool: Tool,
    /// Checks that were told of.
    told: Cell<usize>,
}

/// What every check does: it says what it sees, and fails at a forbidden word, or when a file that another one includes is missing.
const CHECK: &str = r#"#!/bin/sh
seen=$(dirname "$0")/seen
{ echo "head $(git rev-parse HEAD)"; grep -rH --exclude-dir=.git --exclude=.git . src; echo end; } >> "$seen"
for file in $(sed -n 's/^include //p' src/a); do
    [ -e "src/$file" ] || { echo "$file is missing"; exit 1; }
done
if grep -q wait src/a; then
    echo $$ > "$(dirname "$0")/waits"
    exec sleep 600
fi
if grep -r forbidden src; then exit 1; fi
"#;

pub const GOOD: &str = "good\n";
pub const BAD: &str = "forbidden\n";

impl World {
    pub fn new(tool: Tool) -> Self {
        Self::with(tool, &[])
    }

    /// With more arguments for `git init`.
    pub fn with(tool: Tool, init: &[&str]) -> Self {
        let world = Self {
            git: Git::new(),
            tool,
            told: Cell::new(0),
        };
        write_program(&world.git.join("check"), CHECK);
        world.repository(init);
        world
    }

    fn repository(&self, init: &[&str]) {
        let git = &self.git;
        git.git(
            "",
            &[&["init", "-q", "--bare"], init, &["remote.git"]].concat(),
        );
        git.git("", &[&["init", "-q"], init, &["work"]].concat());
        git.git("work", &["remote", "add", "origin", "../remote.git"]);
        self.configure("work");
        git.write("work/src/a", GOOD);
        self.commit("work", "first");
        git.git("work", &["push", "-q", "-u", "origin", "main"]);
        git.git("work", &["remote", "set-head", "origin", "main"]);
        self.tool.install(self, "work");
    }

    /// Writes the tool's configuration.
    pub fn configure(&self, folder: &str) {
        let check = self.git.join("check").display().to_string();
        self.tool.configure(self, folder, &check);
    }

    /// Commits all there is in the folder; gives the commit.
    pub fn commit(&self, folder: &str, message: &str) -> String {
        self.git.git(folder, &["add", "-A"]);
        self.git
            .git(folder, &["commit", "-q", "--no-verify", "-m", message]);
        self.git.git(folder, &["rev-parse", "HEAD"])
    }

    /// Commits this content of `src/a` in `work`.
    pub fn commit_a(&self, text: &str) -> String {
        self.git.write("work/src/a", text);
        self.commit("work", "change a")
    }

    pub fn write(&self, path: &str, text: &str) {
        self.git.write(&format!("work/{path}"), text);
    }

    pub fn git(&self, args: &[&str]) -> String {
        self.git.git("work", args)
    }

    /// The push must be let through.
    pub fn accepts(&self, args: &[&str]) -> Found {
        self.accepts_in("work", args)
    }

    /// The push must be refused by the hook, and change nothing.
    pub fn refuses(&self, args: &[&str]) -> Found {
        self.refuses_in("work", args)
    }

    pub fn accepts_in(&self, folder: &str, args: &[&str]) -> Found {
        let ran = self.git.try_git(folder, &[&["push"], args].concat());
        match ran.code {
            0 => Ok(()),
            _ => Err(format!(
                "`git push {}` was refused: {}",
                args.join(" "),
                ran.all()
            )),
        }
    }

    pub fn refuses_in(&self, folder: &str, args: &[&str]) -> Found {
        let refs = || self.git.git("remote.git", &["for-each-ref"]);
        let before = refs();
        let ran = self.git.try_git(folder, &[&["push"], args].concat());
        match ran.code != 0 && before == refs() {
            true => Ok(()),
            false => Err(format!("`git push {}` was let through", args.join(" "))),
        }
    }

    /// What the checks since the last call saw: a text for each.
    pub fn seen(&self) -> Vec<String> {
        let all = self.git.read("seen");
        let all: Vec<_> = all.split("end\n").map(str::to_owned).collect();
        let checks = &all[..all.len() - 1];
        let new = checks[self.told.get()..].to_vec();
        self.told.set(checks.len());
        new
    }

    /// A check since the last call saw this content.
    pub fn saw(&self, text: &str) -> Found {
        let seen = self.seen();
        match seen.iter().any(|seen| seen.contains(text)) {
            true => Ok(()),
            false => Err(format!("no check saw `{text}`, but {seen:?}")),
        }
    }

    /// A `git push` that can be killed.
    pub fn push_command(&self, args: &[&str]) -> Command {
        let mut command = self.git.command("work", "git");
        command.arg("push").args(args);
        command
    }
}
