//! The sample on plain processes: several rows of one sitting. The peer is supervisord with the scripts that its users write around it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{DEVENV, Tools, ms, progress};
use crate::{
    Error,
    devenv::{Devenv, Runtime},
    http,
    measure::{Measurement, Side, Unit, median, turns},
    resident::{Memory, switches},
    sample::{READY, clone_project},
    scene::Scene,
    supervisord::Supervisord,
};

const PEER: &str = "supervisord";
const SCRIPT: &str = "supervisord, its script";
const UPDATE: &str = "`supervisorctl update`";

/// How long both supervisors are left alone.
const IDLE: Duration = Duration::from_secs(10);
/// More looks show nothing new of what does nothing.
const LOOKS: usize = 3;

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Vec<Measurement>, Error> {
    let both = Both::prepare(tools, scene).await?;
    let mut rows = both.lives(tools.rounds).await?;
    both.devenv.up().await?;
    both.peer.up().await?;
    rows.push(both.nothing_to_do(tools.rounds).await?);
    rows.extend(both.left_alone(tools.rounds.min(LOOKS)).await?);
    Ok(rows)
}

/// Both sides, ready to be brought up.
struct Both {
    project: PathBuf,
    devenv: Devenv,
    devenv_port: u16,
    peer: Supervisord,
}

impl Both {
    /// The sample is built and both sides are down, without data.
    async fn prepare(tools: &Tools, scene: &Scene) -> Result<Self, Error> {
        eprintln!("preparing: clone, build of the app");
        let folder = scene.folder()?;
        // The server's user has to reach its data.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
        let project = clone_project(&folder).await?;
        let devenv = Devenv::new(&tools.devenv, &project, Runtime::Process, scene);
        devenv.up().await?;
        let app = devenv.running("app.hello").await?;
        let devenv_port = *app.ports.get("http").ok_or("the app has no port `http`")?;
        devenv.remove().await?;
        let peer = Supervisord::new(&tools.supervisord, &folder.join("peer"), &project, scene)?;
        Ok(Self {
            project,
            devenv,
            devenv_port,
            peer,
        })
    }

    /// From no data to an answer, and down again.
    async fn lives(&self, rounds: usize) -> Result<Vec<Measurement>, Error> {
        let mut up = vec![Side::new(DEVENV), Side::new(PEER)];
        let mut down = vec![Side::new(DEVENV), Side::new(PEER)];
        let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        // The first round fills caches, such as the prepared data directory, and is not counted.
        for (round, side) in turns(rounds + 1, up.len()) {
            let life = match up[side].name {
                DEVENV => self.life_of_devenv().await?,
                _ => self.life_of_peer().await?,
            };
            progress("process-cold", round, up[side].name, life.up);
            progress("process-down", round, up[side].name, life.down);
            if round > 0 {
                up[side].samples.push(life.up);
                down[side].samples.push(life.down);
                for (step, ms) in life.steps {
                    steps.entry(step).or_default().push(ms);
                }
            }
        }
        let steps = steps.into_iter();
        let mut cold = row(
            "process-cold",
            "the sample as plain processes from no data, app built, to the first answer over HTTP",
            Unit::Ms,
            up,
        );
        cold.steps = steps
            .map(|(step, samples)| (step, median(&samples)))
            .collect();
        let what = "until nothing of it runs, the data kept";
        Ok(vec![cold, row("process-down", what, Unit::Ms, down)])
    }

    async fn life_of_devenv(&self) -> Result<Life, Error> {
        let started = Instant::now();
        let steps = self.devenv.up_with_events().await?.steps;
        let answered = http::answers(self.devenv_port, READY).await?;
        let down = self.devenv.down().await?;
        self.devenv.remove().await?;
        Ok(Life {
            up: ms(answered - started),
            down: ms(down),
            steps,
        })
    }

    async fn life_of_peer(&self) -> Result<Life, Error> {
        let started = Instant::now();
        self.peer.up().await?;
        let answered = http::answers(self.peer.port, READY).await?;
        let down = self.peer.down().await?;
        self.peer.forget_data()?;
        Ok(Life {
            up: ms(answered - started),
            down: ms(down),
            steps: BTreeMap::new(),
        })
    }

    async fn nothing_to_do(&self, rounds: usize) -> Result<Measurement, Error> {
        let mut sides = vec![Side::new(DEVENV), Side::new(SCRIPT), Side::new(UPDATE)];
        for (round, side) in turns(rounds, sides.len()) {
            let taken = match sides[side].name {
                DEVENV => self.devenv.up().await?,
                SCRIPT => self.peer.up().await?,
                _ => self.peer.update().await?,
            };
            progress("process-noop", round, sides[side].name, ms(taken));
            sides[side].samples.push(ms(taken));
        }
        let what = "`up` of the sample with nothing to do, until it returns";
        Ok(row("process-noop", what, Unit::Ms, sides))
    }

    /// Both supervisors at once, as neither does anything for the other to feel.
    async fn left_alone(&self, rounds: usize) -> Result<Vec<Measurement>, Error> {
        let pids = [
            (DEVENV, supervisor(&self.project)?),
            (PEER, self.peer.pid()?),
        ];
        let sides = || Vec::from(pids.map(|(name, _)| Side::new(name)));
        let what = "context switches of all threads of the supervisor in 10 s with nothing to do";
        let mut rows = vec![row("process-idle", what, Unit::Times, sides())];
        rows.extend(MEMORY.map(|(name, what, _)| row(name, what, Unit::Mb, sides())));
        for round in 0..rounds {
            let before = [switches(pids[0].1)?, switches(pids[1].1)?];
            tokio::time::sleep(IDLE).await;
            for (at, (name, pid)) in pids.into_iter().enumerate() {
                let woken = switches(pid)?.saturating_sub(before[at]) as f64;
                let memory = Memory::of(pid)?;
                progress("process-idle", round, name, woken);
                progress("process-rss", round, name, memory.rss as f64 / 1e6);
                rows[0].sides[at].samples.push(woken);
                for (row, (_, _, bytes)) in rows[1..].iter_mut().zip(MEMORY) {
                    row.sides[at].samples.push(bytes(&memory) as f64 / 1e6);
                }
            }
        }
        Ok(rows)
    }
}

/// A row of memory, what it is, and its bytes.
type MemoryRow = (&'static str, &'static str, fn(&Memory) -> u64);

const MEMORY: [MemoryRow; 4] = [
    (
        "process-rss",
        "resident memory of the supervisor, pages shared with others in full",
        |memory| memory.rss,
    ),
    (
        "process-pss",
        "the same, shared pages by their share",
        |memory| memory.pss,
    ),
    (
        "process-private",
        "the same, without shared pages",
        |memory| memory.private,
    ),
    (
        "process-anonymous",
        "the same, without pages of files",
        |memory| memory.anonymous,
    ),
];

/// One turn of a side, in milliseconds.
struct Life {
    up: f64,
    down: f64,
    steps: BTreeMap<String, f64>,
}

fn row(row: &'static str, what: &'static str, unit: Unit, sides: Vec<Side>) -> Measurement {
    Measurement {
        row,
        what,
        unit,
        sides,
        steps: BTreeMap::new(),
    }
}

/// devenv's supervisor of this project, as the lock that it holds names it.
fn supervisor(project: &Path) -> Result<u32, Error> {
    let holder = fs::read_to_string(project.join(".devenv/run/supervisor.lock"))?;
    let pid = holder.strip_prefix("pid ").map(str::parse);
    Ok(pid.ok_or_else(|| format!("no supervisor but `{holder}`"))??)
}
