//! Plain processes of this machine, for where there is no container engine. Same trait, same suite.
//!
//! A supervisor, one small process per worktree, watches them: see [`supervisor`]. It is found over a socket in `.devenv/run`, ends with
//! the last of them, and what one that was killed leaves is settled by the next command.

mod client;
mod exec;
mod files;
mod follow;
mod group;
pub mod launch;
mod lines;
mod log;
mod protocol;
mod record;
mod reserve;
mod settle;
pub mod supervisor;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use self::{
    client::{Client, OtherUser, Watched},
    files::Files,
    protocol::{Answer, Request},
    record::{Launch, Phase, Record},
    reserve::Chosen,
};
use super::{
    Exec, Followed, Identity, Instance, Line, Link, Listing, LogLine, LogOptions, MadeWith,
    OneShot, OneShotResult, Runtime, RuntimeError, Spec, SpecMount, SpecPort, Started,
};
use crate::{
    config::StepId,
    sys::{terminal::Stdio, volume},
};

pub use client::COMMAND as SUPERVISE;

/// Variables of the caller's environment that every program gets.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR",
];

/// The processes of one worktree. Clones share everything.
#[derive(Clone)]
pub struct Process {
    client: Client,
    identity: Identity,
    program: PathBuf,
    chosen: Arc<Mutex<Chosen>>,
}

/// Whether the supervisor of the worktree in this folder takes connections.
pub fn is_watched(root: &Path) -> bool {
    client::is_watched(&Files::of(root))
}

/// Whether the worktree in this folder has processes that were not removed, or volumes.
pub fn has_something(root: &Path) -> bool {
    let files = Files::of(root);
    files.records().is_ok_and(|records| !records.is_empty())
        || files.volumes().is_ok_and(|volumes| !volumes.is_empty())
}

impl Process {
    /// `program` is devenv itself: it becomes the supervisor.
    pub fn new(identity: Identity, program: PathBuf) -> Self {
        Self {
            client: Client::new(Path::new(&identity.root), &identity.id, program.clone()),
            identity,
            program,
            chosen: Arc::default(),
        }
    }

    /// The folder of a volume, whether it is there or not.
    pub fn volume_folder(&self, name: &str) -> PathBuf {
        self.client.files.volume(name)
    }

    async fn records(&self) -> Result<Vec<Record>, RuntimeError> {
        let answer = self.client.answer_or_lock(&Request::List).await;
        match answer.map_err(self.failed("ask the supervisor"))? {
            Watched::Yes(Answer::Records { records }) => Ok(records),
            Watched::Yes(_) => Ok(Vec::new()),
            Watched::No(_) => {
                let records = self.client.files.records();
                let records = records.map_err(self.failed("read what runs"))?.into_iter();
                Ok(records.map(settle::without_supervisor).collect())
            }
        }
    }

    async fn record(&self, step: &StepId) -> Result<Option<Record>, RuntimeError> {
        let mut records = self.records().await?.into_iter();
        Ok(records.find(|record| record.step == *step))
    }

    async fn known(&self, step: &StepId) -> Result<Record, RuntimeError> {
        let record = self.record(step).await?;
        record.ok_or_else(|| RuntimeError::NotRunning { step: step.clone() })
    }

    fn mark(&self, record: &Record) -> String {
        format!("{}/{}/{}", self.identity.id, record.step, record.id)
    }

    /// Makes the folders of the spec's volumes; names of those that were not there.
    fn make_volumes(&self, spec: &Spec) -> io::Result<Vec<String>> {
        let mut made = Vec::new();
        for mount in &spec.mounts {
            if let SpecMount::Volume { name, .. } = mount {
                let path = self.client.files.volume(name);
                if !path.is_dir() {
                    std::fs::create_dir_all(&path)?;
                    made.push(name.clone());
                }
            }
        }
        Ok(made)
    }

    fn launch(&self, spec: &Spec, ports: &BTreeMap<String, u16>) -> Launch {
        let inherited = INHERITED.iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            Some(((*name).to_owned(), value))
        });
        let mut env: BTreeMap<String, String> = inherited.collect();
        for (name, port) in ports {
            let name = name.to_ascii_uppercase().replace('-', "_");
            env.insert(format!("PORT_{name}"), port.to_string());
        }
        env.extend(spec.env.clone());
        let argv = spec.entrypoint.iter().chain(&spec.command).flatten();
        Launch {
            argv: argv.cloned().collect(),
            env,
            cwd: spec
                .workdir
                .clone()
                .unwrap_or_else(|| self.identity.root.clone()),
            user: spec.user.clone(),
            restart: spec.restart,
            stop_signal: spec.stop_signal.clone().unwrap_or_else(|| "SIGTERM".into()),
            stop_grace: spec.stop_grace,
        }
    }

    /// Whether this user may start something here.
    fn is_own(&self) -> Result<(), RuntimeError> {
        let own = self.client.is_own();
        own.map_err(|other| self.failed("start anything")(other.into()))
    }

    /// What came of an action of the runtime's own.
    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> RuntimeError {
        let folder = self.client.files.run().display().to_string();
        move |source| match source.get_ref().and_then(|source| source.downcast_ref()) {
            Some(OtherUser { owner }) => RuntimeError::OtherUser {
                owner: owner.clone(),
                folder: folder.clone(),
            },
            None => RuntimeError::Supervisor {
                action: action.to_owned(),
                cause: source.to_string(),
            },
        }
    }

    /// Ends what a killed supervisor left, unless there is another by now.
    async fn settle_unwatched(&self) -> Result<(), RuntimeError> {
        let answer = self.client.answer_or_lock(&Request::List).await;
        match answer.map_err(self.failed("ask the supervisor"))? {
            Watched::Yes(_) => Ok(()),
            Watched::No(_lock) => self.settle().await,
        }
    }

    /// Ends what a killed supervisor left.
    async fn settle(&self) -> Result<(), RuntimeError> {
        let settled = settle::settle(&self.client.files, &self.identity.id).await;
        settled.map_err(self.failed("end what a killed supervisor left"))
    }
}

fn unexpected(answer: Answer, step: &StepId) -> RuntimeError {
    match answer {
        Answer::NotRunning => RuntimeError::NotRunning { step: step.clone() },
        Answer::Failed { action, cause } => RuntimeError::Supervisor { action, cause },
        other => RuntimeError::Supervisor {
            action: format!("look after `{step}`"),
            cause: format!("an answer of another version: {other:?}"),
        },
    }
}

impl Runtime for Process {
    fn host(&self) -> &str {
        "127.0.0.1"
    }

    async fn list(&self) -> Result<Listing, RuntimeError> {
        let records = self.records().await?;
        Ok(Listing {
            instances: records.into_iter().map(instance).collect(),
            former: Default::default(),
        })
    }

    async fn reserve(
        &self,
        step: &StepId,
        ports: &[SpecPort],
    ) -> Result<Option<BTreeMap<String, u16>>, RuntimeError> {
        self.is_own()?;
        // What a killed supervisor left holds its port until it is ended.
        self.settle_unwatched().await?;
        let records = self.records().await?;
        let started = self.ports(step, ports, &records)?;
        Ok(Some(started.ports))
    }

    async fn start(&self, spec: &Spec) -> Result<Started, RuntimeError> {
        let records = self.records().await?;
        let known = records.iter().find(|record| record.step == spec.step);
        let runs_already = known.filter(|known| {
            known.inputs == spec.inputs && matches!(known.phase, Phase::Running { .. })
        });
        let mut started = match runs_already {
            Some(known) => Started {
                ports: known.ports.clone(),
                moved: Vec::new(),
                new_volumes: Vec::new(),
                former_volumes: Default::default(),
            },
            None => self.ports(&spec.step, &spec.ports, &records)?,
        };
        started.new_volumes = self
            .make_volumes(spec)
            .map_err(self.failed("make a folder"))?;
        let request = Request::Start {
            step: spec.step.clone(),
            launch: self.launch(spec, &started.ports),
            ports: started.ports.clone(),
            inputs: spec.inputs.clone(),
        };
        let answer = self.client.insist(&request).await;
        // The next start chooses anew.
        self.chosen().reserved.remove(&spec.step);
        match answer.map_err(self.failed("begin a supervisor"))? {
            Answer::Record { record } => {
                if record.ports != started.ports {
                    // Another command was faster.
                    started.ports = record.ports;
                    started.moved.clear();
                }
                Ok(started)
            }
            answer => Err(unexpected(answer, &spec.step)),
        }
    }

    async fn restart(&self, step: &StepId) -> Result<(), RuntimeError> {
        self.known(step).await?;
        let request = Request::Restart { step: step.clone() };
        let answer = self.client.insist(&request).await;
        match answer.map_err(self.failed("begin a supervisor"))? {
            Answer::Record { .. } => Ok(()),
            answer => Err(unexpected(answer, step)),
        }
    }

    async fn remove(&self, step: &StepId) -> Result<(), RuntimeError> {
        let request = Request::Remove { step: step.clone() };
        let answer = self.client.answer_or_lock(&request).await;
        match answer.map_err(self.failed("ask the supervisor"))? {
            Watched::Yes(Answer::Done) => Ok(()),
            Watched::Yes(answer) => Err(unexpected(answer, step)),
            Watched::No(_lock) => {
                self.settle().await?;
                log::remove(&self.client.files.log(step));
                let forgotten = self.client.files.forget(step);
                forgotten.map_err(self.failed("forget what ran"))
            }
        }
    }

    async fn clean(&self) -> Result<(), RuntimeError> {
        self.settle_unwatched().await?;
        let removed = volume::remove(&volume::short_folder(&self.identity.id));
        removed.map_err(self.failed("remove a folder of sockets"))
    }

    async fn volumes(&self) -> Result<Vec<String>, RuntimeError> {
        self.client
            .files
            .volumes()
            .map_err(self.failed("list volumes"))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        volume::remove(&self.client.files.volume(name)).map_err(self.failed("remove a volume"))
    }

    fn logs(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let (process, step) = (self.clone(), step.clone());
        let lines = async move {
            match process.open_log(&step, options, 0).await {
                Ok(lines) => lines,
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(lines).flatten().boxed()
    }

    fn follow(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Followed, RuntimeError>> {
        follow::follow(self.clone(), step.clone(), options)
    }

    async fn made_with(&self, step: &StepId) -> Result<MadeWith, RuntimeError> {
        Ok(self.known(step).await?.made_with())
    }

    async fn exec(&self, step: &StepId, exec: Exec, stdio: Stdio) -> Result<i64, RuntimeError> {
        self.is_own()?;
        let record = self.known(step).await?;
        if !matches!(record.phase, Phase::Running { .. }) {
            return Err(RuntimeError::NotRunning { step: step.clone() });
        }
        exec::exec(&self.program, &record, &self.mark(&record), exec, stdio).await
    }

    async fn end_exec(
        &self,
        step: &StepId,
        exec: &Exec,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError> {
        exec::end(step, exec, signal, grace).await
    }

    async fn exited(&self, step: &StepId) -> Result<i64, RuntimeError> {
        let request = Request::Ended { step: step.clone() };
        let answer = self.client.answer(&request).await;
        match answer.map_err(self.failed("ask the supervisor"))? {
            Some(Answer::Code { code }) => Ok(code),
            Some(answer) => Err(unexpected(answer, step)),
            // Its supervisor has gone, and all with it.
            None => {
                let record = self.known(step).await?;
                let ended = record.ended();
                ended.ok_or_else(|| RuntimeError::NotRunning { step: step.clone() })
            }
        }
    }

    async fn exited_within(
        &self,
        step: &StepId,
        time: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        if let Some(code) = self.known(step).await?.ended() {
            return Ok(Some(code));
        }
        match tokio::time::timeout(time, self.exited(step)).await {
            Ok(code) => code.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn one_shot(&self, _: OneShot) -> Result<OneShotResult, RuntimeError> {
        Err(no_containers())
    }

    async fn one_shot_shown(
        &self,
        _: OneShot,
        _: &CancellationToken,
        _: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError> {
        Err(no_containers())
    }

    async fn remove_left_over(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
}

fn no_containers() -> RuntimeError {
    RuntimeError::Supervisor {
        action: "run a container".into(),
        cause: "this runtime has processes only".into(),
    }
}

fn instance(record: Record) -> Instance {
    Instance {
        state: record.state(),
        started: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(record.started)),
        restarts: record.run.saturating_sub(record.first_run),
        id: record.id,
        step: record.step,
        ports: record.ports,
        image: String::new(),
        image_id: String::new(),
        created: SystemTime::UNIX_EPOCH + Duration::from_millis(record.created),
        link: Link::Up,
        inputs: record.inputs,
    }
}
