//! Steps that leave a container running: their spec, whether what runs is what is wanted, and waiting until it is ready.

use std::{collections::BTreeMap, path::Path, time::Duration};

use futures_util::TryStreamExt;

use super::{
    Cx,
    address::{self, Viewpoint},
    inputs::Known,
};
use crate::{
    config::{Mount, Port, Ready, Restart, Service, StepId, Template},
    event::{Explain, Fault, FaultClass},
    plan::{Action, Inputs, Output, Reason, Verdict},
    runtime::{
        Instance, InstanceState, LogOptions, ProbeTarget, Runs, Runtime, Spec, SpecMount, SpecPort,
        Started, help_for_exit, probe,
    },
};

/// How long a look at something that should be ready may take. On a busy engine an `exec` alone takes some hundred milliseconds.
const CHECK: Duration = Duration::from_secs(1);

/// How long a TCP connection has to stay open: to something that was just started, and to something that was ready before.
const STAYS_OPEN: Duration = Duration::from_millis(100);
const STAYS_OPEN_AGAIN: Duration = Duration::from_millis(20);

/// How long something without a probe is watched after its start. A wrong command or a missing variable ends a program within
/// some milliseconds; this leaves a busy machine room for that, and what waits for the step hardly notices it.
const SETTLE: Duration = Duration::from_millis(250);

/// Log lines shown when something does not get ready.
const LOG_TAIL: u64 = 15;

/// What the listing says of a step's container.
pub(super) enum Found<'a> {
    /// It runs with these inputs; whether it is ready is not known yet.
    Running(&'a Instance),
    /// It must be started or replaced.
    Differs(Action, Vec<Reason>),
}

/// How the wait after a start ended well.
pub(super) enum Settled {
    /// It is ready, or without a probe: it still runs.
    Runs,
    /// It did what it was for and stays down.
    Ended,
}

/// Compares what is there with what is wanted.
pub(super) fn judge<'a>(instance: Option<&'a Instance>, known: &Known) -> Found<'a> {
    let Some(instance) = instance else {
        let mut reasons = vec![Reason::New {
            what: "container".into(),
        }];
        reasons.extend(known.waiting.iter().cloned());
        return Found::Differs(Action::Start, reasons);
    };
    let mut old = instance.inputs.clone();
    for reason in &known.waiting {
        if let Reason::Upstream { step } = reason {
            old.0.remove(&step.to_string());
        }
    }
    let mut reasons = known.inputs.changes_since(&old);
    reasons.extend(known.waiting.iter().cloned());
    if !reasons.is_empty() {
        return Found::Differs(Action::Recreate, reasons);
    }
    let mut action = Action::Start;
    let what = match instance.state {
        InstanceState::Running => return Found::Running(instance),
        InstanceState::Created => "it was never started".to_owned(),
        InstanceState::Restarting => {
            // The engine tries again when it likes, which may be in a minute.
            action = Action::Restart;
            "it keeps restarting".to_owned()
        }
        InstanceState::Paused => "it is paused".to_owned(),
        InstanceState::Exited { code } => format!("it exited with code {code}"),
        InstanceState::Dead => "it is dead".to_owned(),
    };
    Found::Differs(action, vec![Reason::State { what }])
}

/// What the steps downstream may need of a running container.
pub(super) fn output(ports: &BTreeMap<String, u16>) -> Output {
    Output {
        digest: String::new(),
        values: ports
            .iter()
            .map(|(name, port)| (format!("port.{name}"), port.to_string()))
            .collect(),
    }
}

/// Port name → host port, of a step's output.
pub fn ports(output: &Output) -> BTreeMap<String, u16> {
    let ports = output.values.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("port.")?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    ports.collect()
}

impl Cx<'_> {
    /// The spec of a service or app, references and secrets resolved.
    pub(super) async fn service_spec(
        &self,
        service: &Service,
        image: String,
        inputs: Inputs,
    ) -> Result<Spec, Fault> {
        let secrets = self.template_secrets(templates(service)).await?;
        let text = |template: &Template| {
            address::resolve(template, self.config(), &Viewpoint::Container, &secrets)
        };
        let texts = |templates: &Option<Vec<Template>>| {
            let list = templates.as_ref();
            list.map(|list| list.iter().map(text).collect::<Result<Vec<_>, _>>())
                .transpose()
        };
        let env = service
            .env
            .iter()
            .map(|(name, template)| Ok((name.clone(), text(template)?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Spec {
            step: self.id().clone(),
            image,
            entrypoint: texts(&service.entrypoint)?,
            command: texts(&service.command)?,
            env,
            ports: self.spec_ports(&service.ports),
            mounts: mounts(&service.volumes, &self.steps.root),
            files: Vec::new(),
            tmpfs: BTreeMap::new(),
            user: service.user.clone(),
            workdir: service.workdir.clone(),
            restart: service.restart,
            stop_signal: service.stop_signal.clone(),
            stop_grace: service.stop_grace,
            aliases: vec![address::alias(self.id())],
            inputs,
        })
    }

    /// Ports with the remembered host port first: it stays the same from run to run.
    pub(super) fn spec_ports(&self, ports: &BTreeMap<String, Port>) -> Vec<SpecPort> {
        let remembered = self.steps.store.ports();
        ports
            .iter()
            .map(|(name, port)| {
                let sticky = remembered.get(&port_key(self.id(), name, *port));
                let mut wanted: Vec<u16> = sticky.copied().into_iter().collect();
                if !wanted.contains(&port.host) {
                    wanted.push(port.host);
                }
                SpecPort {
                    name: name.clone(),
                    container: port.container,
                    wanted,
                    range: self.config().project.ports,
                }
            })
            .collect()
    }

    /// Remembers the host ports and says which ones had to move.
    pub(super) fn settle_ports(
        &self,
        ports: &BTreeMap<String, Port>,
        started: &Started,
    ) -> Result<(), Fault> {
        for moved in &started.moved {
            self.events.notice(moved.clone());
        }
        let taken = ports.iter().filter_map(|(name, port)| {
            let host = started.ports.get(name)?;
            Some((port_key(self.id(), name, *port), *host))
        });
        self.steps
            .store
            .save_ports(&taken.collect())
            .map_err(|error| error.explain())
    }

    /// A short look, for a container that is said to run.
    pub(super) async fn is_ready(
        &self,
        ready: Option<&Ready>,
        instance: &Instance,
    ) -> Result<bool, Fault> {
        let Some(target) = self.probe_target(ready, &instance.ports)? else {
            return Ok(true);
        };
        let target = ProbeTarget {
            timeout: CHECK.min(target.timeout),
            stays_open: STAYS_OPEN_AGAIN,
            ..target
        };
        Ok(probe(self.steps.runtime()?, &target, &self.cancel)
            .await
            .is_ok())
    }

    /// Waits until it is ready, or says why it is not, with its last log lines.
    pub(super) async fn wait_ready(
        &self,
        service: &Service,
        ports: &BTreeMap<String, u16>,
    ) -> Result<Settled, Fault> {
        let Some(target) = self.probe_target(service.ready.as_ref(), ports)? else {
            return self.settle(service.restart).await;
        };
        self.events.message("waiting until it is ready");
        match probe(self.steps.runtime()?, &target, &self.cancel).await {
            Ok(()) => Ok(Settled::Runs),
            Err(error) => Err(self.with_last_log(error.explain()).await),
        }
    }

    /// Without a probe, what has started is ready: unless it ends at once.
    async fn settle(&self, restart: Restart) -> Result<Settled, Fault> {
        let ended = tokio::select! {
            ended = self.steps.runtime()?.exited_within(self.id(), SETTLE) => ended,
            () = self.cancel.cancelled() => return Err(super::cancelled(self)),
        };
        let Some(code) = ended.map_err(|error| error.explain())? else {
            return Ok(Settled::Runs);
        };
        if code == 0 && restart != Restart::UnlessStopped {
            return Ok(Settled::Ended);
        }
        let mut fault = Fault::new(format!(
            "`{}` exited with code {code} right after it was started",
            self.id()
        ));
        if let Some(help) = help_for_exit(code) {
            fault = fault.help(help);
        }
        if code == 0 {
            fault = fault.help(
                "a service keeps running: one that only has something to do takes `restart = \"no\"`",
            );
        }
        Err(self.with_last_log(fault).await)
    }

    pub(super) async fn with_last_log(&self, mut fault: Fault) -> Fault {
        if fault.class == FaultClass::Interrupted {
            return fault;
        }
        match self.last_log().await {
            Ok(lines) if lines.is_empty() => fault.notes.push("it has printed nothing".into()),
            Ok(lines) => fault
                .notes
                .push(format!("its last output:\n{}", lines.join("\n"))),
            Err(error) => fault.notes.push(format!("its log cannot be read: {error}")),
        }
        if fault.help.is_none() {
            fault.help = Some(format!("see `devenv logs {}`", self.id()));
        }
        fault
    }

    async fn last_log(&self) -> Result<Vec<String>, Fault> {
        let options = LogOptions {
            tail: Some(LOG_TAIL),
            runs: Runs::SinceStart,
            ..LogOptions::default()
        };
        let lines = self.steps.runtime()?.logs(self.id(), options);
        let lines = lines.map_ok(|line| line.text).try_collect().await;
        lines.map_err(|error| error.explain())
    }

    /// `None` when starting is all there is to wait for.
    fn probe_target(
        &self,
        ready: Option<&Ready>,
        ports: &BTreeMap<String, u16>,
    ) -> Result<Option<ProbeTarget>, Fault> {
        let Some((probe, timeout)) = ready.and_then(|r| Some((r.probe.clone()?, r.timeout))) else {
            return Ok(None);
        };
        Ok(Some(ProbeTarget {
            step: self.id().clone(),
            host: self.steps.runtime()?.host().to_owned(),
            ports: ports.clone(),
            probe,
            timeout,
            stays_open: STAYS_OPEN,
        }))
    }

    /// Turns a running container's readiness into the verdict.
    pub(super) async fn verdict(&self, known: &Known, service: &Service) -> Result<Verdict, Fault> {
        let instance = self.instance().await?;
        let mut changed = match instance {
            Some(_) => self.changed_secrets(service),
            None => Vec::new(),
        };
        match judge(instance.as_ref(), known) {
            found if !changed.is_empty() => {
                if let Found::Differs(_, reasons) = found {
                    changed.extend(reasons);
                }
                Ok(Verdict::act(Action::Recreate, changed))
            }
            Found::Differs(Action::Start, _) if self.has_ended(instance.as_ref(), known) => {
                Ok(Verdict::Keep(Output::default()))
            }
            Found::Differs(action, reasons) => Ok(Verdict::act(action, reasons)),
            Found::Running(instance) if self.is_ready(service.ready.as_ref(), instance).await? => {
                Ok(Verdict::Keep(output(&instance.ports)))
            }
            Found::Running(_) => Ok(Verdict::act(
                Action::Start,
                vec![Reason::State {
                    what: "it runs but is not ready".into(),
                }],
            )),
        }
    }

    /// It was seen to run to its end with these inputs. The exit code alone does not tell: a service that is asked to stop may
    /// exit with 0 as well, and is to run again.
    fn has_ended(&self, instance: Option<&Instance>, known: &Known) -> bool {
        let exited = instance.is_some_and(|i| i.state == InstanceState::Exited { code: 0 });
        exited
            && self
                .steps
                .store
                .record(self.id())
                .is_some_and(|record| record.inputs == known.inputs)
    }
}

/// All texts of a service that may hold references.
pub(super) fn templates(service: &Service) -> impl Iterator<Item = &Template> {
    service
        .env
        .values()
        .chain(service.entrypoint.iter().flatten())
        .chain(service.command.iter().flatten())
}

/// The wanted port is part of the key: when the file wants another one, the old choice is forgotten.
fn port_key(step: &StepId, name: &str, port: Port) -> String {
    format!("{step}/{name}/{}", port.host)
}

fn mounts(volumes: &BTreeMap<String, Mount>, root: &Path) -> Vec<SpecMount> {
    volumes
        .iter()
        .map(|(target, mount)| match mount {
            Mount::Volume(name) => SpecMount::Volume {
                name: name.clone(),
                target: target.clone(),
            },
            Mount::Bind { path, read_only } => SpecMount::Bind {
                source: root.join(path).display().to_string(),
                target: target.clone(),
                read_only: *read_only,
            },
        })
        .collect()
}
