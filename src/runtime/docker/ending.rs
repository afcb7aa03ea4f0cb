//! Ends a command inside a running container. Engines have no call for that: what has the command's mark in its environment is ended
//! from this machine where its processes are seen from here, else by a shell of the image.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Docker, engine::status};
use crate::{
    config::StepId,
    runtime::{EXEC_MARK, Exec, RuntimeError},
    sys::{marked::Marked, terminal::Stdio},
};

/// Between two looks of the shell.
const POLL: Duration = Duration::from_millis(50);
/// How long what was killed may take to go.
const KILL: Duration = Duration::from_secs(5);

/// Nothing but what is built into shells. A session, and the names of those that are there.
const SCRIPT: &str = include_str!("ending.sh");

impl Docker {
    pub(super) async fn end_inside(
        &self,
        step: &StepId,
        exec: &Exec,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError> {
        let Some(mark) = &exec.mark else {
            return Ok(BTreeSet::new());
        };
        // Of an engine on another machine, or in one, nothing is seen here. What is seen may be another user's.
        let seen = Marked::end_found(EXEC_MARK, mark, signal, grace).await;
        if let Ok(names) = &seen
            && !names.is_empty()
        {
            return Ok(names.clone());
        }
        match self.end_by_shell(step, exec, mark, signal, grace).await {
            // It has ended with its container.
            Err(RuntimeError::NotRunning { .. }) => Ok(BTreeSet::new()),
            Err(RuntimeError::NoCommand { .. }) if !self.runs_a_command(step).await? => {
                Ok(BTreeSet::new())
            }
            Err(RuntimeError::NoCommand { .. }) => Err(RuntimeError::end_exec(
                step,
                exec,
                "its processes are not to be seen, or not this user's, and its image has no `sh`",
            )),
            ended => ended,
        }
    }

    /// The signal, and SIGKILL when it is there after the grace.
    async fn end_by_shell(
        &self,
        step: &StepId,
        exec: &Exec,
        mark: &str,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError> {
        let begun = Instant::now();
        let mut names = BTreeSet::new();
        let (mut send, mut session) = (Some(signal), String::new());
        loop {
            let said = self.ask_shell(step, exec, [mark, &session, word(send)]);
            let said = said.await?;
            let mut lines = said.lines();
            let Some(first) = lines.next() else {
                return Ok(names);
            };
            session = first.to_owned();
            names.extend(lines.map(str::to_owned));
            if begun.elapsed() > grace + KILL {
                return Err(RuntimeError::end_exec(
                    step,
                    exec,
                    "it is there after SIGKILL",
                ));
            }
            send = (begun.elapsed() > grace).then_some(Signal::KILL);
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the script says: nothing when nothing is left.
    async fn ask_shell(
        &self,
        step: &StepId,
        exec: &Exec,
        arguments: [&str; 3],
    ) -> Result<String, RuntimeError> {
        let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh", EXEC_MARK]
            .map(str::to_owned)
            .into();
        argv.extend(arguments.map(str::to_owned));
        let shell = Exec {
            argv,
            // Root without more rights does not see what another user's process was started with.
            user: exec.user.clone(),
            ..Exec::default()
        };
        let (stdio, output) = Stdio::capture();
        match self.run_inside(step, shell, stdio).await? {
            0 => Ok(output.text()),
            code => {
                let text = output.text();
                let last = text.lines().last().unwrap_or_default();
                let cause = format!("the shell that looks for it ended with {code}: {last}");
                Err(RuntimeError::end_exec(step, exec, cause))
            }
        }
    }

    /// Whether anything but the container's own program runs in it.
    async fn runs_a_command(&self, step: &StepId) -> Result<bool, RuntimeError> {
        let container = self.engine().inspect(&self.container_name(step)).await;
        let ids = match container {
            Ok(container) => container.exec_ids.unwrap_or_default(),
            Err(error) if status(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(self.exec_error(step, error)),
        };
        for id in ids {
            let exec = self.engine().client().inspect_exec(&id).await;
            if exec.is_ok_and(|exec| exec.running == Some(true)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// As `kill -s` takes it; nothing for a look alone.
fn word(signal: Option<Signal>) -> &'static str {
    match signal {
        None => "",
        Some(Signal::HUP) => "HUP",
        Some(Signal::INT) => "INT",
        Some(Signal::KILL) => "KILL",
        Some(_) => "TERM",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    /// Session and names, as this shell tells them.
    fn ask(shell: &[&str], mark: &str, session: &str, signal: &str) -> Vec<String> {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]);
        command.args(["-c", SCRIPT, "sh", EXEC_MARK, mark, session, signal]);
        let output = command.output().expect("a shell");
        assert!(output.status.success() && output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_shell_finds_what_has_the_mark_and_what_that_started_in_its_session() {
        for (index, shell) in [
            &["sh"][..],
            &["busybox", "sh"],
            &["bash"],
            &["bash", "--posix"],
        ]
        .into_iter()
        .enumerate()
        {
            let mark = format!("{:016x}{index:016x}", std::process::id());
            let script = "env -i sleep 1000 & setsid sh -c 'echo $$; exec sleep 1001' & wait";
            let mut child = Command::new("setsid")
                .args(["sh", "-c", script])
                .env(EXEC_MARK, &mark)
                .env("BEFORE", "two\nlines")
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell");
            let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let daemon = lines.next().expect("a line").expect("UTF-8");
            let mut found = ask(shell, &mark, "", "");
            // The shell forks before it becomes what it starts.
            while found.iter().filter(|name| *name == "sleep").count() < 1 {
                found = ask(shell, &mark, "", "");
            }
            let session = child.id().to_string();
            assert_eq!(found, [&session, "sh", "sleep"], "{shell:?}");
            ask(shell, &mark, &session, "KILL");
            assert!(!child.wait().expect("it ends").success());
            while !ask(shell, &mark, &session, "").is_empty() {}
            // A session of its own is the only one left.
            assert_eq!(ask(shell, &mark, "", "KILL"), [&daemon, "sleep"]);
        }
    }
}
