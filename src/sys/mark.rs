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
        if !self.is_from_here() {
            return false;
        }
        match Stat::read(self.pid) {
            Ok(stat) => stat.is_zombie || stat.started != self.started,
            // `/proc` may hide other users' processes; a signal to them is refused, not lost.
            Err(_) => !is_taken(self.pid),
        }
    }

    fn is_from_here(&self) -> bool {
        machine().as_ref() == Some(&self.machine)
    }
}

/// Who waits for something that no use is left for once the process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Mark(Mark),
    /// All there is where `/proc` is missing.
    Pid(u32),
}

impl Owner {
    pub fn this() -> Self {
        Mark::own().map_or_else(|| Self::Pid(std::process::id()), Self::Mark)
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let pid = || text.parse().ok().map(Self::Pid);
        Mark::parse(text).map(Self::Mark).or_else(pid)
    }

    /// Of a process of another boot or container, true while nothing has its pid here: what a machine was busy with when it went
    /// down is nobody's.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Mark(mark) if mark.is_from_here() => mark.has_ended(),
            Self::Mark(mark) => !is_taken(mark.pid),
            Self::Pid(pid) => !i32::try_from(*pid).is_ok_and(is_taken),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(mark) => mark.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
        }
    }
}

/// True while a process of this machine has the pid, whoever's it is.
fn is_taken(pid: i32) -> bool {
    let pid = Pid::from_raw(pid);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
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
    fn an_owner_is_one_process_and_none_that_has_its_pid_later() {
        let this = Owner::this();
        assert_eq!(Owner::parse(&this.to_string()), Some(this.clone()));
        assert!(!this.has_ended());
        let Owner::Mark(mark) = this else {
            panic!("{this:?}")
        };
        let later = Mark {
            started: mark.started + 1,
            ..mark.clone()
        };
        assert!(Owner::Mark(later).has_ended());
        let elsewhere = |pid| Mark {
            machine: "another".into(),
            pid,
            ..mark.clone()
        };
        assert!(!Owner::Mark(elsewhere(mark.pid)).has_ended());
        assert!(Owner::Mark(elsewhere(i32::MAX)).has_ended());
        let pid = std::process::id();
        assert_eq!(Owner::parse(&pid.to_string()), Some(Owner::Pid(pid)));
        assert!(!Owner::Pid(pid).has_ended() && Owner::Pid(u32::MAX).has_ended());
        assert_eq!(Owner::parse("nobody"), None);
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
