//! A process in a few letters, left where others find it: whether it has ended can be asked by any process of the same machine.
//!
//! Says that a process has ended only when it is sure of it.

use std::{fmt, fs, path::Path};

use rustix::{io::Errno, process::Pid};

use super::processes::{Stat, boot_id};

/// `<pid>-<start>-<machine>`; a later process of the same pid has another start. At most 43 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub pid: i32,
    /// Clock ticks since boot, from `/proc/<pid>/stat`.
    started: u64,
    machine: String,
}

impl Mark {
    /// `None` where `/proc` is missing, or shows pids that are not this process' own.
    pub fn own() -> Option<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Of the process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            machine: machine()?,
            started: Stat::read(pid).ok()?.started,
        })
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        Some(Self {
            pid: parts.next()?.parse().ok().filter(|pid| *pid > 0)?,
            started: parts.next()?.parse().ok()?,
            machine: parts.next()?.to_owned(),
        })
    }

    /// False for a process of another machine, boot or container: nothing is known of it here.
    pub fn has_ended(&self) -> bool {
        if machine().as_ref() != Some(&self.machine) {
            return false;
        }
        match Stat::read(self.pid) {
            Ok(stat) => stat.is_zombie || stat.started != self.started,
            // `/proc` may hide other users' processes; a signal to them is refused, not lost.
            Err(_) => Pid::from_raw(self.pid)
                .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH)),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.pid, self.started, self.machine)
    }
}

/// Within it pids and start times mean the same: one boot, and one container's view of it.
fn machine() -> Option<String> {
    let own = std::process::id().to_string();
    if fs::read_link("/proc/self").ok()? != Path::new(&own) {
        return None;
    }
    let pids = fs::read_link("/proc/self/ns/pid").ok()?;
    // Kernels before 5.6 have one clock for all.
    let clock = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    let boot = Some(boot_id()).filter(|id| !id.is_empty())?;
    let whole = format!("{boot} {} {}", pids.display(), clock.display());
    Some(blake3::hash(whole.as_bytes()).to_hex()[..16].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_being_written() {
        let mark = Mark::own().expect("this process");
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        for text in ["", "7", "7-8", "x-8-m", "0-8-m", "-7-8-m"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ended_is_what_has_no_process_or_another_one() {
        let mark = Mark::own().expect("this process");
        assert!(!mark.has_ended());
        let later = Mark {
            started: mark.started + 1,
            ..mark.clone()
        };
        assert!(later.has_ended());
        let elsewhere = Mark {
            machine: "another".into(),
            ..later
        };
        assert!(!elsewhere.has_ended());
    }

    #[test]
    fn a_process_ends_also_when_nobody_asks_how() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("sleep starts");
        let mark = Mark::of(child.id().cast_signed()).expect("the child");
        assert!(!mark.has_ended());
        child.kill().expect("killed");
        while !mark.has_ended() {
            std::thread::yield_now();
        }
        child.wait().expect("waited for");
        assert!(mark.has_ended());
    }
}
