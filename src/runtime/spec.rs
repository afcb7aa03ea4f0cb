//! What a runtime is asked to run, and what it says is there. Plain data, the same for every runtime.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{PortRange, Probe, Restart, StepId},
    plan::{Digest, Inputs},
};

/// Whose things these are: one worktree of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The project's name.
    pub project: String,
    /// `<project>-<8 hex digits of the worktree's path>`: the prefix of every name made for it. A project that is renamed keeps it.
    pub id: String,
    /// The worktree's absolute path, for people.
    pub root: String,
}

impl Identity {
    /// That of a project for which nothing was made yet.
    pub fn new(project: &str, root: &str) -> Self {
        Self {
            project: project.to_owned(),
            id: format!("{project}{}", of_folder(root)),
            root: root.to_owned(),
        }
    }

    /// Whether an id was made for this folder, under whatever name.
    pub fn is_of(id: &str, root: &str) -> bool {
        id.ends_with(&of_folder(root))
    }

    /// The project's name that gives its folder this id.
    pub fn name_of(id: &str) -> &str {
        id.rsplit_once('-').map_or(id, |(name, _)| name)
    }
}

/// `-1a2b3c4d`
fn of_folder(root: &str) -> String {
    format!("-{:.8}", Digest::of(root))
}

/// One thing to keep running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub step: StepId,
    /// Image as the engine knows it: an id (`sha256:…`) or a reference.
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    /// Resolved values, secrets included: never shown.
    pub env: BTreeMap<String, String>,
    pub ports: Vec<SpecPort>,
    pub mounts: Vec<SpecMount>,
    /// Put into a new container before its first start.
    pub files: Vec<SpecFile>,
    /// Folders held in memory: path → mount options, such as `mode=1777`.
    pub tmpfs: BTreeMap<String, String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub restart: Restart,
    pub stop_signal: Option<String>,
    pub stop_grace: Duration,
    /// Names other services reach it by on the project's network.
    pub aliases: Vec<String>,
    /// Kept with what is started, so that the next plan can compare field by field.
    pub inputs: Inputs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecPort {
    /// `http`
    pub name: String,
    pub container: u16,
    /// Host ports to try, best first: the remembered one, the wanted one.
    pub wanted: Vec<u16>,
    /// Host ports that other steps of the project come first for, and which: not to be taken, free or not.
    pub others: BTreeMap<u16, StepId>,
    /// Where to look when none of the wanted is free.
    pub range: PortRange,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecMount {
    /// A volume of this worktree, by its short name.
    Volume { name: String, target: String },
    Bind {
        /// Absolute path on the host.
        source: String,
        target: String,
        read_only: bool,
    },
}

/// A file of a container's own, not of a volume. Owned by root.
#[derive(Clone, PartialEq, Eq)]
pub struct SpecFile {
    /// Absolute path in the container.
    pub path: String,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
    /// The content, compressed with zstd, as it may be large.
    pub packed: Arc<[u8]>,
    /// Size of the content in bytes.
    pub size: u64,
}

/// Never shows the content.
impl std::fmt::Debug for SpecFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpecFile({}, {} bytes)", self.path, self.size)
    }
}

/// A started thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Port name → host port.
    pub ports: BTreeMap<String, u16>,
    /// Wanted ports that were not free, with who holds them: "port 8080 is held by `python3` (pid 12); using 20000".
    pub moved: Vec<String>,
    /// Short names of the volumes that this start made.
    pub new_volumes: Vec<String>,
    /// Volumes that stand where those might be meant to: of this folder, but of a project with another name.
    pub former_volumes: Vec<FormerVolume>,
}

/// A volume that was made when the project of this folder had another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerVolume {
    /// As the engine knows it.
    pub name: String,
    /// The id of who made it.
    pub identity: String,
}

/// Everything of this worktree that the runtime knows of, from one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub instances: Vec<Instance>,
    /// Ids that projects of this folder had under other names, and of which containers are left.
    pub former: BTreeSet<String>,
}

/// One thing that was started, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The runtime's own id.
    pub id: String,
    pub step: StepId,
    pub state: InstanceState,
    /// Port name → host port.
    pub ports: BTreeMap<String, u16>,
    pub image: String,
    pub image_id: String,
    pub created: SystemTime,
    /// When its present or last run began, by the engine's clock; `None` when that was not looked at.
    pub started: Option<SystemTime>,
    /// How often its restart policy has brought it back since it was started on purpose.
    pub restarts: u64,
    /// Whether its neighbours can reach it.
    pub link: Link,
    /// What it was started with; empty when it cannot be read.
    pub inputs: Inputs,
}

/// Where an instance stands to the network of its worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// In it, or it needs none.
    Up,
    /// Somebody took it out while it ran.
    Cut,
}

/// How long something that came back by itself has to run until it counts as recovered. Engines use the same time: after it they
/// forget how often they have tried.
pub const STABLE: Duration = Duration::from_secs(10);

/// From how many times on coming back is no accident, and how long runs that end so last at most.
const OFTEN: u64 = 3;
const SHORT: Duration = Duration::from_mins(5);

impl Instance {
    /// It exits again and again, though it may run at this very moment.
    pub fn keeps_restarting(&self) -> bool {
        let has_run = |started: SystemTime| started.elapsed().unwrap_or_default();
        match self.state {
            InstanceState::Restarting => true,
            InstanceState::Running => {
                self.restarts > 0 && self.started.is_some_and(|at| has_run(at) < STABLE)
            }
            InstanceState::Created
            | InstanceState::Paused
            | InstanceState::Exited { .. }
            | InstanceState::Dead => false,
        }
    }

    /// About how long its runs last, of something that was brought back several times and has not run for much longer since. An old
    /// count says nothing: what runs for twice its usual time is over it, and so is what ran for long on average.
    pub fn comes_back_every(&self, now: SystemTime) -> Option<Duration> {
        if self.state != InstanceState::Running || self.restarts < OFTEN {
            return None;
        }
        let started = self.started?;
        let before = started.duration_since(self.created).ok()?;
        let usual = before / u32::try_from(self.restarts).ok()?;
        let runs = now.duration_since(started).unwrap_or_default();
        (usual <= SHORT && runs < usual * 2).then_some(usual)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Made but never started: a run was killed in between.
    Created,
    Running,
    Restarting,
    Paused,
    Exited {
        code: i64,
    },
    Dead,
}

/// What `logs` selects.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    pub follow: bool,
    /// The last lines only.
    pub tail: Option<u64>,
    /// Lines written since; seconds since the Unix epoch.
    pub since: Option<i64>,
    pub timestamps: bool,
    pub runs: Runs,
}

/// Whose lines of something that was started more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runs {
    #[default]
    All,
    /// Since it was started on purpose: with the runs that its restart policy began.
    SinceStart,
    /// Of the present run alone.
    Last,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, if the engine knows.
    pub written: Option<jiff::Timestamp>,
    pub stream: LogStream,
    pub text: String,
}

/// What an instance was made with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MadeWith {
    /// All its variables, secrets included: never to be shown.
    pub environment: BTreeMap<String, String>,
    pub inputs: Inputs,
}

impl std::fmt::Debug for MadeWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.environment.keys().collect();
        f.debug_struct("MadeWith")
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

/// What happens to a log that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The lines from here on are of what was made with this.
    Begins(MadeWith),
    Line(LogLine),
    /// It runs no more; its next start is waited for.
    Ended,
    /// Nothing is left of it. Its next start is waited for as well.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// A command to run inside what runs.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    /// What [`super::Runtime::end_exec`] finds it by. No other command has the same.
    pub mark: Option<String>,
}

/// Variable that holds [`Exec::mark`], for the command and all it starts.
pub const EXEC_MARK: &str = "DEVENV_EXEC";

impl Exec {
    /// Its own variables, and its mark.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let mark = self.mark.iter().cloned();
        let mark = mark.map(|mark| (EXEC_MARK.to_owned(), mark));
        self.env.clone().into_iter().chain(mark).collect()
    }
}

/// A command that runs once, in a container of its own that is removed again.
#[derive(Debug, Clone, Default)]
pub struct OneShot {
    pub image: String,
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub mounts: Vec<SpecMount>,
    pub network: OneShotNetwork,
    /// Folder whose content is wanted afterwards, as a tar stream.
    pub fetch: Option<String>,
}

/// Whom a one-shot can reach. None reaches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OneShotNetwork {
    #[default]
    None,
    /// The world, as any container of the engine.
    Engine,
    /// What the project runs as well.
    Project,
}

impl OneShot {
    /// What running it is called in errors.
    pub(super) fn action(&self) -> String {
        match self.argv.first() {
            Some(program) => format!("run `{program}` in image `{}`", self.image),
            None => format!("run image `{}`", self.image),
        }
    }
}

#[derive(Debug, Clone)]
pub struct OneShotResult {
    pub code: i64,
    pub output: String,
    /// The fetched folder as a tar archive, when asked for and the code is 0.
    pub archive: Option<Vec<u8>>,
}

/// What a probe needs to know about where to look.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    pub step: StepId,
    /// Host that published ports are reached at, such as `127.0.0.1`.
    pub host: String,
    /// Port name → host port.
    pub ports: BTreeMap<String, u16>,
    pub probe: Probe,
    pub timeout: Duration,
    /// How long a TCP connection has to stay open. An engine's port forwarder accepts before the service listens, and hangs up when
    /// it cannot reach it.
    pub stays_open: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made at 0, brought back so often, its present run begun at a second; looked at in another one.
    fn comes_back(restarts: u64, started: u64, now: u64) -> Option<u64> {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let instance = Instance {
            id: "x".into(),
            step: "service.x".parse().expect("an id"),
            state: InstanceState::Running,
            ports: BTreeMap::new(),
            image: String::new(),
            image_id: String::new(),
            created: at(0),
            started: Some(at(started)),
            restarts,
            link: Link::Up,
            inputs: Inputs::default(),
        };
        let every = instance.comes_back_every(at(now));
        every.map(|every| every.as_secs())
    }

    #[test]
    fn a_slow_crash_loop_is_told_from_an_old_one() {
        assert_eq!(comes_back(4, 100, 110), Some(25));
        assert_eq!(comes_back(4, 100, 149), Some(25));
        // It has run for twice as long as it used to.
        assert_eq!(comes_back(4, 100, 150), None);
        // Now and then is no loop.
        assert_eq!(comes_back(2, 40, 41), None);
        assert_eq!(comes_back(3, 86_400, 86_401), None);
        // The clock of the engine may be ahead.
        assert_eq!(comes_back(4, 100, 99), Some(25));
    }
}
