//! What a killed devenv left running: each of its children has a mark in its environment that names the process that started it.
//!
//! A program that took a session of its own, such as a compiler's cache server, means to stay and is not touched. Nothing is
//! looked for unless asked.

use std::{collections::BTreeSet, fs, time::Duration};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{
    marked::{Marked, Remaining},
    processes::{Stat, boot_id},
};

/// Variable of every child: [`Starter::mark`] of the devenv that started it.
pub const MARK: &str = "DEVENV_STARTED_BY";

/// A process that starts others, as they are known by when it has gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starter {
    /// Boot, pid namespace, pid and time of its start: no other process has the same, not even one in a container.
    pub mark: String,
    /// What it starts is in its session.
    session: i32,
}

impl Starter {
    /// This process; `None` where there is no `/proc` to find children by.
    pub fn own() -> Option<Self> {
        let pid = std::process::id();
        let stat = Stat::read(pid.try_into().ok()?).ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let inode: String = namespace.to_str()?.matches(char::is_numeric).collect();
        Some(Self {
            mark: format!("{}-{inode}-{pid}-{}", boot_id(), stat.started),
            session: stat.session,
        })
    }

    /// Ends all it left: SIGTERM, and SIGKILL for what is there after the grace. The names of what was ended.
    pub async fn end_left(&self, grace: Duration) -> Result<BTreeSet<String>, Remaining> {
        let left = Marked {
            variable: MARK,
            mark: &self.mark,
            session: self.session,
        };
        left.end(Signal::TERM, grace).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use rustix::process::{Pid, kill_process};

    use super::*;
    use crate::sys::processes::Processes;

    const GRACE: Duration = Duration::from_secs(60);

    /// A starter that was never there, so that no other test's children are its own.
    fn starter(name: &str) -> Starter {
        let own = Starter::own().expect("/proc");
        Starter {
            mark: format!("{}-{name}", own.mark),
            ..own
        }
    }

    /// Runs a script as its child; pids of what the script says it started.
    fn start(starter: &Starter, script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env(MARK, &starter.mark)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let said = said.next().expect("a line").expect("UTF-8");
        let pids = said
            .split_whitespace()
            .map(|pid| pid.parse().expect("a pid"));
        Child {
            pids: pids.collect(),
            child,
        }
    }

    struct Child {
        pids: Vec<i32>,
        child: std::process::Child,
    }

    impl Drop for Child {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn runs(pid: i32) -> bool {
        Processes::read().get(pid).is_some()
    }

    #[tokio::test]
    async fn children_and_all_they_started_are_ended() {
        let starter = starter("tree");
        let script =
            "sleep 1000 & a=$!; env -i sleep 1001 & b=$!; (sleep 1002 & echo $a $b $!); wait";
        let child = start(&starter, script);
        assert_eq!(child.pids.len(), 3);
        let ended = starter.end_left(GRACE).await.expect("all of them");
        // The others may not yet have become what they are.
        assert!(ended.contains("sh"), "{ended:?}");
        assert!(!child.pids.iter().any(|pid| runs(*pid)));
        assert_eq!(starter.end_left(GRACE).await, Ok(BTreeSet::new()));
    }

    #[tokio::test]
    async fn one_that_does_not_obey_is_killed() {
        let starter = starter("deaf");
        let child = start(
            &starter,
            "trap '' TERM; echo $$; while :; do sleep 0.01; done",
        );
        starter.end_left(Duration::ZERO).await.expect("all of them");
        assert!(!runs(child.pids[0]));
    }

    #[tokio::test]
    async fn a_session_of_its_own_and_the_children_of_another_are_left_alone() {
        let (one, other) = (starter("one"), starter("other"));
        let daemon = start(&one, "setsid sh -c 'echo $$; exec sleep 1000' & wait");
        let others = start(&other, "echo $$; exec sleep 1000");
        // Started by what the other one started, as a devenv in a task would be.
        let script = format!("{MARK}={} sh -c 'echo $$; exec sleep 1000'; :", other.mark);
        let below = start(&one, &script);
        one.end_left(GRACE).await.expect("all of them");
        let survivors = [&daemon, &others, &below].map(|child| child.pids[0]);
        assert!(survivors.iter().all(|pid| runs(*pid)));
        other.end_left(GRACE).await.expect("all of them");
        assert!(!runs(others.pids[0]) && !runs(below.pids[0]));
        kill_process(Pid::from_raw(daemon.pids[0]).expect("a pid"), Signal::KILL).expect("ended");
    }

    #[test]
    fn a_process_has_one_mark_and_no_other_has_it() {
        let own = Starter::own().expect("/proc");
        assert_eq!(Starter::own(), Some(own.clone()));
        let pid = format!("-{}-", std::process::id());
        assert!(
            own.mark.starts_with(&boot_id()) && own.mark.contains(&pid),
            "{}",
            own.mark
        );
    }
}
