//! All processes of one thing that was started, whatever they do to get away: a cgroup where one can be had, and the mark that
//! each of them inherits in its environment.
//!
//! A process is only ever signalled through a pidfd that was opened before its membership was checked: never a recycled pid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Variable that every process of an instance inherits: `<identity>/<step>/<instance>`.
pub const MARK: &str = "DEVENV_INSTANCE";

/// Between two looks at what is left of a killed group.
const POLL: Duration = Duration::from_millis(3);
const REMOVALS: u32 = 100;

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

/// All processes of one instance.
#[derive(Debug, Clone)]
pub struct Group {
    /// Value of [`MARK`].
    pub mark: String,
    /// Its control group, when one could be made.
    pub cgroup: Option<PathBuf>,
}

impl Group {
    /// With a control group of its own where this user may make one.
    pub fn new(mark: String) -> Self {
        let cgroup = cgroup_home().map(|home| home.join(cgroup_name(&mark)));
        Self { mark, cgroup }
    }

    /// Makes its control group. Without one it does with the mark.
    pub fn prepare(&mut self) {
        self.cgroup = self.cgroup.take().filter(|dir| match fs::create_dir(dir) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// Sends the signal to every process of the group there is now; how many there were.
    pub fn signal(&self, signal: Signal) -> usize {
        let members = self.members();
        let sent = members
            .iter()
            .filter(|member| pidfd_send_signal(member, signal).is_ok());
        sent.count()
    }

    /// Kills every process of the group, until none is left or the time is over. True when none is left.
    pub async fn kill(&self, time: Duration) -> bool {
        let until = tokio::time::Instant::now() + time;
        loop {
            if let Some(dir) = &self.cgroup {
                // Linux 5.14: all at once, also those that fork meanwhile.
                let _ = fs::write(dir.join("cgroup.kill"), "1");
            }
            if self.signal(Signal::KILL) == 0 {
                break;
            }
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        self.forget_cgroup().await;
        true
    }

    async fn forget_cgroup(&self) {
        let Some(dir) = &self.cgroup else { return };
        for _ in 0..REMOVALS {
            match fs::remove_dir(dir) {
                // The last of its processes is still on its way out.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    tokio::time::sleep(POLL).await;
                }
                _ => return,
            }
        }
    }

    /// Those that run now. Each was a member when its pidfd was open already, so none is another process by now.
    fn members(&self) -> Vec<OwnedFd> {
        let open = |pid: i32| {
            let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some((pid, fd))
        };
        let all = Processes::read();
        let of_cgroup = self.cgroup.as_deref().map(pids_of).unwrap_or_default();
        let wanted = all.tree(|pid| of_cgroup.contains(&pid) || marked(pid, &self.mark));
        let opened: Vec<_> = wanted.into_iter().filter_map(open).collect();
        // Looked at again, now that the pids can no longer change hands.
        let all = Processes::read();
        let of_cgroup = self.cgroup.as_deref().map(pids_of).unwrap_or_default();
        let still = all.tree(|pid| of_cgroup.contains(&pid) || marked(pid, &self.mark));
        let opened = opened.into_iter();
        opened
            .filter(|(pid, _)| still.contains(pid))
            .map(|(_, fd)| fd)
            .collect()
    }
}

/// The processes of this machine: pid → what `/proc/<pid>/stat` says.
struct Processes(BTreeMap<i32, Stat>);

impl Processes {
    fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        Self(
            pids.filter_map(|pid| Some((pid, Stat::read(pid).ok()?)))
                .filter(|(_, stat)| !stat.is_zombie)
                .collect(),
        )
    }

    /// Those that are members themselves, all that they started, and all of their sessions. Never this process.
    fn tree(&self, is_member: impl Fn(i32) -> bool) -> BTreeSet<i32> {
        let own = std::process::id() as i32;
        let roots = self.0.keys().copied();
        let mut found: BTreeSet<i32> = roots.filter(|pid| *pid != own && is_member(*pid)).collect();
        let own_session = self.0.get(&own).map(|stat| stat.session);
        loop {
            // The leader of a session may be gone, its id is still the session's.
            let sessions: BTreeSet<i32> = found
                .iter()
                .filter_map(|pid| self.0.get(pid))
                .map(|stat| stat.session)
                .filter(|session| found.contains(session) && Some(*session) != own_session)
                .collect();
            let more: Vec<i32> = self
                .0
                .iter()
                .filter(|(pid, stat)| {
                    **pid != own
                        && !found.contains(pid)
                        && (found.contains(&stat.parent) || sessions.contains(&stat.session))
                })
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }
}

/// Fields of `/proc/<pid>/stat`, proc(5).
struct Stat {
    parent: i32,
    session: i32,
    started: u64,
    is_zombie: bool,
}

impl Stat {
    fn read(pid: i32) -> io::Result<Self> {
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

/// Whether the process was started with the mark.
fn marked(pid: i32, mark: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let wanted = format!("{MARK}={mark}");
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| variable == wanted.as_bytes())
}

fn pids_of(cgroup: &Path) -> BTreeSet<i32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Names of control groups hold no `/`.
fn cgroup_name(mark: &str) -> String {
    format!("devenv-{}", mark.replace(['/', '\n'], "-"))
}

/// The control group this process is in, where it may make others: version 2 before version 1's `pids`.
fn cgroup_home() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let lines = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    let mut homes = Vec::new();
    for (_, controllers, path) in lines {
        let path = path.trim_start_matches('/');
        match controllers {
            "" => {
                homes.insert(0, Path::new("/sys/fs/cgroup/unified").join(path));
                homes.insert(0, Path::new("/sys/fs/cgroup").join(path));
            }
            "pids" => homes.push(Path::new("/sys/fs/cgroup/pids").join(path)),
            _ => {}
        }
    }
    homes.into_iter().find(|home| may_make_groups(home))
}

fn may_make_groups(home: &Path) -> bool {
    home.join("cgroup.procs").exists()
        && rustix::fs::access(home, rustix::fs::Access::WRITE_OK).is_ok()
        && rustix::fs::access(home.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok()
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

    #[tokio::test]
    async fn what_forks_twice_and_leaves_its_session_is_killed_too() {
        let mark = format!("test/{}/group", std::process::id());
        let script =
            "setsid sh -c 'setsid sleep 1000 & trap \"\" TERM; sleep 1000' & echo up; wait";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .env(MARK, &mark)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut group = Group::new(mark);
        group.cgroup = None;
        while group.members().len() < 4 {
            tokio::time::sleep(POLL).await;
        }
        assert!(group.kill(Duration::from_secs(30)).await);
        assert_eq!(group.members().len(), 0);
        child.wait().expect("it ends");
    }
}
