//! All processes of one thing that was started, whatever they do to get away: a cgroup where one can be had, the mark that
//! each of them inherits in its environment, and the pipes of its output.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::sys::processes::{self, Held, Processes};

/// Variable that every process of an instance inherits: `<identity>/<step>/<instance>`.
pub const MARK: &str = "DEVENV_INSTANCE";

/// Between two looks at what is left of a killed group.
const POLL: Duration = Duration::from_millis(3);
const REMOVALS: u32 = 100;

/// All processes of one instance.
#[derive(Debug, Clone)]
pub struct Group {
    /// Value of [`MARK`].
    pub mark: String,
    /// Its control group, when one could be made.
    pub cgroup: Option<PathBuf>,
    /// Those that its output goes to. What has no other mark left is known by them: Postgres' workers write over their environment,
    /// and are in sessions of their own.
    pub pipes: Vec<Pipe>,
}

/// Inode of a pipe: no other of this boot has it, as long as a process holds the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipe(u64);

impl Pipe {
    pub fn of(end: impl AsFd) -> io::Result<Self> {
        Ok(Self(rustix::fs::fstat(end)?.st_ino))
    }

    /// As `/proc/<pid>/fd` shows it.
    fn name(self) -> String {
        format!("pipe:[{}]", self.0)
    }
}

impl Group {
    /// With a control group of its own where this user may make one.
    pub fn new(mark: String) -> Self {
        let cgroup = cgroup_home().map(|home| home.join(cgroup_name(&mark)));
        Self {
            mark,
            cgroup,
            pipes: Vec::new(),
        }
    }

    /// All of a worktree that carry a mark, also those that nothing is written of.
    pub fn of_worktree(identity: &str) -> Self {
        Self {
            mark: format!("{identity}/"),
            cgroup: None,
            pipes: Vec::new(),
        }
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
            .filter(|member| member.signal(signal).is_ok());
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

    /// Those that run now.
    fn members(&self) -> Vec<Held> {
        Held::find(|all| {
            let of_cgroup = self.cgroup.as_deref().map(pids_of).unwrap_or_default();
            let pipes: Vec<_> = self.pipes.iter().map(|pipe| pipe.name()).collect();
            tree(all, |pid| {
                of_cgroup.contains(&pid) || marked(pid, &self.mark) || writes_to(pid, &pipes)
            })
        })
    }
}

/// Those that are members themselves, all that they started, and all of their sessions. Never this process.
fn tree(all: &Processes, is_member: impl Fn(i32) -> bool) -> BTreeSet<i32> {
    let own = std::process::id() as i32;
    let roots = all.iter().map(|(pid, _)| pid);
    let mut found: BTreeSet<i32> = roots.filter(|pid| *pid != own && is_member(*pid)).collect();
    let own_session = all.get(own).map(|stat| stat.session);
    loop {
        // The leader of a session may be gone, its id is still the session's.
        let sessions: BTreeSet<i32> = found
            .iter()
            .filter_map(|pid| all.get(*pid))
            .map(|stat| stat.session)
            .filter(|session| found.contains(session) && Some(*session) != own_session)
            .collect();
        let more: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| {
                *pid != own
                    && !found.contains(pid)
                    && (found.contains(&stat.parent) || sessions.contains(&stat.session))
            })
            .map(|(pid, _)| pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Whether the process was started with the mark, or with one that begins so when it ends with a slash.
fn marked(pid: i32, mark: &str) -> bool {
    let is_meant = |value: &[u8]| match mark.ends_with('/') {
        true => value.starts_with(mark.as_bytes()),
        false => value == mark.as_bytes(),
    };
    processes::variable(pid, MARK).is_some_and(|value| is_meant(&value))
}

/// Whether what the process prints goes to one of these.
fn writes_to(pid: i32, pipes: &[String]) -> bool {
    let goes_there = |fd: &str| {
        let target = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        target.is_ok_and(|target| pipes.iter().any(|pipe| target == Path::new(pipe)))
    };
    !pipes.is_empty() && ["1", "2"].into_iter().any(goes_there)
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
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Its group has no control group: the other ways have to do.
    fn marked_shell(mark: String, script: &str) -> (Child, Group) {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env(MARK, &mark);
        let child = shell.stdout(Stdio::piped()).spawn().expect("a shell");
        let mut group = Group::new(mark);
        group.cgroup = None;
        (child, group)
    }

    #[tokio::test]
    async fn what_forks_twice_and_leaves_its_session_is_killed_too() {
        let mark = format!("test/{}/group", std::process::id());
        let script =
            "setsid sh -c 'setsid sleep 1000 & trap \"\" TERM; sleep 1000' & echo up; wait";
        let (mut child, group) = marked_shell(mark, script);
        while group.members().len() < 4 {
            tokio::time::sleep(POLL).await;
        }
        assert!(group.kill(Duration::from_secs(30)).await);
        assert_eq!(group.members().len(), 0);
        child.wait().expect("it ends");
    }

    #[tokio::test]
    async fn what_keeps_nothing_but_its_output_is_killed_too() {
        let mark = format!("test/{}/output", std::process::id());
        // Without the mark, in a session of its own, its parent gone: as a worker of a killed Postgres.
        let script = "(exec setsid env -i sleep 1000 &)";
        let (mut child, mut group) = marked_shell(mark, script);
        group.pipes = vec![Pipe::of(child.stdout.as_ref().expect("piped")).expect("a pipe")];
        child.wait().expect("it ends");
        let is_stripped = |group: &Group| {
            let members = group.members();
            members.len() == 1 && !marked(members[0].pid, &group.mark)
        };
        while !is_stripped(&group) {
            tokio::time::sleep(POLL).await;
        }
        assert!(group.kill(Duration::from_secs(30)).await);
        assert_eq!(group.members().len(), 0);
    }
}
