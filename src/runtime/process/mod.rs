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
mod log;
mod protocol;
mod record;
mod settle;
pub mod supervisor;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use self::{
    client::{Client, Watched},
    log::{Filter, Reader},
    protocol::{Answer, Request},
    record::{Launch, Phase, Record},
};
use super::{
    Exec, Followed, Identity, Instance, Link, Listing, LogLine, LogOptions, MadeWith, OneShot,
    OneShotResult, Runtime, RuntimeError, Spec, SpecMount, SpecPort, Started,
    ports::{self, Occupancy},
};
use crate::{
    config::StepId,
    sys::{
        net::{port_holder, port_is_free},
        terminal::Stdio,
    },
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

/// Ports chosen by this process, for what may not listen on them yet.
#[derive(Default)]
struct Chosen {
    /// For the next start of a step.
    reserved: BTreeMap<StepId, Started>,
    given: HashMap<u16, StepId>,
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

    async fn records(&self) -> Result<Vec<Record>, RuntimeError> {
        let answer = self.client.answer_or_lock(&Request::List).await;
        match answer.map_err(failed("ask the supervisor"))? {
            Watched::Yes(Answer::Records { records }) => Ok(records),
            Watched::Yes(_) => Ok(Vec::new()),
            Watched::No(_) => {
                let records = self.client.files.records();
                let records = records.map_err(failed("read what runs"))?.into_iter();
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

    /// Ports of the step: those it runs with, those reserved before, else chosen now and kept from other steps.
    fn ports(
        &self,
        step: &StepId,
        wanted: &[SpecPort],
        records: &[Record],
    ) -> Result<Started, RuntimeError> {
        let mut chosen = self.chosen();
        if let Some(known) = chosen.reserved.get(step) {
            return Ok(known.clone());
        }
        let (own, others): (Vec<_>, Vec<_>) = records
            .iter()
            .filter(|record| !matches!(record.phase, Phase::Exited { .. }))
            .partition(|record| record.step == *step);
        let own: Vec<u16> = own
            .iter()
            .flat_map(|own| own.ports.values().copied())
            .collect();
        let others = others
            .iter()
            .flat_map(|other| other.ports.values().map(|port| (*port, &other.step)));
        let starting = chosen.given.iter().map(|(port, step)| (*port, step));
        let starting = starting.filter(|(_, other)| *other != step);
        let taken: HashMap<u16, &StepId> = others.chain(starting).collect();
        let occupancy = Occupancy {
            is_free: &|port| {
                !taken.contains_key(&port) && (own.contains(&port) || port_is_free(port))
            },
            holder: &|port| match (taken.get(&port), port_holder(port)) {
                (Some(step), _) => format!("`{step}`"),
                (None, Some(holder)) => format!("`{}` (pid {})", holder.command, holder.pid),
                (None, None) => "another process".to_owned(),
            },
        };
        let started = ports::choose(&self.identity.id, step, wanted, &occupancy)?;
        let given = started.ports.values().map(|port| (*port, step.clone()));
        chosen.given.extend(given);
        chosen.reserved.insert(step.clone(), started.clone());
        Ok(started)
    }

    fn chosen(&self) -> std::sync::MutexGuard<'_, Chosen> {
        self.chosen.lock().expect("no panic while the lock is held")
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

    /// Ends what a killed supervisor left.
    async fn settle(&self) -> Result<(), RuntimeError> {
        let settled = settle::settle(&self.client.files, &self.identity.id).await;
        settled.map_err(failed("end what a killed supervisor left"))
    }
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> RuntimeError {
    move |source| RuntimeError::Supervisor {
        action: action.to_owned(),
        cause: source.to_string(),
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
        started.new_volumes = self.make_volumes(spec).map_err(failed("make a folder"))?;
        let request = Request::Start {
            step: spec.step.clone(),
            launch: self.launch(spec, &started.ports),
            ports: started.ports.clone(),
            inputs: spec.inputs.clone(),
        };
        let answer = self.client.insist(&request).await;
        // The next start chooses anew.
        self.chosen().reserved.remove(&spec.step);
        match answer.map_err(failed("begin a supervisor"))? {
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
        match answer.map_err(failed("begin a supervisor"))? {
            Answer::Record { .. } => Ok(()),
            answer => Err(unexpected(answer, step)),
        }
    }

    async fn remove(&self, step: &StepId) -> Result<(), RuntimeError> {
        let request = Request::Remove { step: step.clone() };
        let answer = self.client.answer_or_lock(&request).await;
        match answer.map_err(failed("ask the supervisor"))? {
            Watched::Yes(Answer::Done) => Ok(()),
            Watched::Yes(answer) => Err(unexpected(answer, step)),
            Watched::No(_lock) => {
                self.settle().await?;
                log::remove(&self.client.files.log(step));
                let forgotten = self.client.files.forget(step);
                forgotten.map_err(failed("forget what ran"))
            }
        }
    }

    async fn clean(&self) -> Result<(), RuntimeError> {
        let answer = self.client.answer_or_lock(&Request::List).await;
        match answer.map_err(failed("ask the supervisor"))? {
            Watched::Yes(_) => Ok(()),
            Watched::No(_lock) => self.settle().await,
        }
    }

    async fn volumes(&self) -> Result<Vec<String>, RuntimeError> {
        self.client.files.volumes().map_err(failed("list volumes"))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        match std::fs::remove_dir_all(self.client.files.volume(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove a volume")(error))
            }
            _ => Ok(()),
        }
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
        let record = self.known(step).await?;
        if !matches!(record.phase, Phase::Running { .. }) {
            return Err(RuntimeError::NotRunning { step: step.clone() });
        }
        exec::exec(&self.program, &record, &self.mark(&record), exec, stdio).await
    }

    async fn exited(&self, step: &StepId) -> Result<i64, RuntimeError> {
        let request = Request::Ended { step: step.clone() };
        let answer = self.client.answer(&request).await;
        match answer.map_err(failed("ask the supervisor"))? {
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
        Err(RuntimeError::Supervisor {
            action: "run a container".into(),
            cause: "this runtime has processes only".into(),
        })
    }
}

impl Process {
    async fn open_log(
        &self,
        step: &StepId,
        options: LogOptions,
        from_run: u64,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        let record = self.known(step).await?;
        let request = Request::Grown { step: step.clone() };
        let growth = match options.follow {
            true => self.client.ask(&request).await,
            false => Ok(None),
        };
        let growth = growth.map_err(failed("ask the supervisor"))?;
        let mut reader = Reader::new(&self.client.files.log(step));
        let filter = Filter::of(&options, record.run, record.first_run).from(from_run);
        let first = reader.read().map_err(failed("read a log"))?;
        let first = first.into_iter().filter_map(|kept| filter.apply(kept));
        let mut first: Vec<LogLine> = first.collect();
        if let Some(tail) = options.tail {
            let tail = usize::try_from(tail).unwrap_or(usize::MAX);
            first.drain(..first.len().saturating_sub(tail));
        }
        let first = stream::iter(first.into_iter().map(Ok));
        let Some(growth) = growth else {
            return Ok(first.boxed());
        };
        let follow = Follow {
            growth: Some(growth),
            reader,
            filter,
        };
        Ok(first.chain(follow.lines()).boxed())
    }
}

/// What comes after the first lines.
struct Follow {
    /// `None` when it does not grow any more.
    growth: Option<client::Conversation>,
    reader: Reader,
    filter: Filter,
}

impl Follow {
    fn lines(self) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let batches = stream::unfold(self, |mut follow| async move {
            let batch = follow.batch().await?;
            let lines = match batch {
                Ok(lines) => lines.into_iter().map(Ok).collect(),
                Err(error) => {
                    follow.growth = None;
                    vec![Err(failed("read a log")(error))]
                }
            };
            Some((stream::iter(lines), follow))
        });
        batches.flatten().boxed()
    }

    async fn batch(&mut self) -> Option<io::Result<Vec<LogLine>>> {
        match self.growth.as_mut()?.next().await {
            Ok(Some(Answer::Grown)) => {}
            Ok(_) => self.growth = None,
            Err(error) => return Some(Err(error)),
        }
        let lines = self.reader.read().map(|lines| {
            let lines = lines.into_iter();
            lines.filter_map(|kept| self.filter.apply(kept)).collect()
        });
        Some(lines)
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
