//! The processes of this machine as `/proc` shows them, and signals to those of them that are meant.
//!
//! A process is only ever signalled through a pidfd that was opened before it was looked at: never a recycled pid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::OwnedFd,
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

/// A process that cannot be confused with another of the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    pub pid: i32,
    /// Clock ticks since boot, from `/proc/<pid>/stat`.
    pub started: u64,
    /// Of the boot it was started in.
    pub boot: String,
}

impl Leader {
    /// The process that has this pid now.
    pub fn of(pid: Pid) -> io::Result<Self> {
        Ok(Self {
            pid: pid.as_raw_nonzero().get(),
            started: Stat::read(pid.as_raw_nonzero().get())?.started,
            boot: boot_id(),
        })
    }

    pub fn is_alive(&self) -> bool {
        boot_id() == self.boot
            && Stat::read(self.pid)
                .is_ok_and(|stat| stat.started == self.started && !stat.is_zombie)
    }
}

/// Another one after each boot.
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// A process that was found, and stays the one that was: its pid may be another's by now.
#[derive(Debug)]
pub struct Held {
    pub pid: i32,
    fd: OwnedFd,
}

impl Held {
    /// The processes that `find` picks. Each was picked when its pidfd was open already.
    pub fn find(find: impl Fn(&Processes) -> BTreeSet<i32>) -> Vec<Self> {
        let open = |pid: i32| {
            let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some(Self { pid, fd })
        };
        let wanted = find(&Processes::read());
        let opened: Vec<_> = wanted.into_iter().filter_map(open).collect();
        if opened.is_empty() {
            return opened;
        }
        // Looked at again, now that the pids can no longer change hands.
        let still = find(&Processes::read());
        let opened = opened.into_iter();
        opened.filter(|held| still.contains(&held.pid)).collect()
    }

    /// What the kernel calls it: the first letters of its program's name, unless it changed that.
    pub fn name(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        name.chars().filter(|char| !char.is_control()).collect()
    }

    /// Also when nobody has asked yet how it ended.
    pub fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.fd, signal)?)
    }
}

/// The processes of this machine: pid → what `/proc/<pid>/stat` says. Without those that have ended.
pub struct Processes(BTreeMap<i32, Stat>);

impl Processes {
    /// None where `/proc` is missing, or shows pids that are not this process' own.
    pub fn read() -> Self {
        let own = std::process::id().to_string();
        if fs::read_link("/proc/self").ok().as_deref() != Some(Path::new(&own)) {
            return Self(BTreeMap::new());
        }
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        Self(
            pids.filter_map(|pid| Some((pid, Stat::read(pid).ok()?)))
                .filter(|(_, stat)| !stat.is_zombie)
                .collect(),
        )
    }

    pub fn get(&self, pid: i32) -> Option<&Stat> {
        self.0.get(&pid)
    }

    /// The process itself and all that it runs under.
    pub fn above(&self, pid: i32) -> BTreeSet<i32> {
        let mut found = BTreeSet::from([pid]);
        let mut next = pid;
        while let Some(stat) = self.get(next) {
            if !found.insert(stat.parent) {
                break;
            }
            next = stat.parent;
        }
        found
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, &Stat)> {
        self.0.iter().map(|(pid, stat)| (*pid, stat))
    }
}

/// Fields of `/proc/<pid>/stat`, proc(5).
pub struct Stat {
    pub parent: i32,
    pub session: i32,
    /// Clock ticks since boot.
    pub(super) started: u64,
    pub(super) is_zombie: bool,
}

impl Stat {
    pub(super) fn read(pid: i32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// What this variable was when the process was started; `None` also where this user may not look.
pub fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let value = variable.strip_prefix(name.as_bytes())?;
        Some(value.strip_prefix(b"=")?.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_over() {
        let stat = "12 (a) b (c) S 7 12 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let stat = Stat::parse(stat).expect("a stat line");
        assert_eq!((stat.parent, stat.session, stat.started), (7, 9, 4711));
        assert!(!stat.is_zombie);
    }

    #[test]
    fn a_process_of_another_time_or_boot_is_another() {
        let mut leader = Leader::of(rustix::process::getpid()).expect("this process");
        assert!(leader.is_alive());
        let other = Leader {
            started: leader.started + 1,
            ..leader.clone()
        };
        assert!(!other.is_alive());
        leader.boot = "another".into();
        assert!(!leader.is_alive());
    }
}
