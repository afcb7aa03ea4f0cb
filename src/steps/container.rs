//! Steps that leave a container running: their spec, whether what runs is what is wanted, and waiting until it is ready.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Cx,
    address::{self, Viewpoint},
    inputs::Known,
};
use crate::{
    config::{Mount, Service, Template},
    event::{Explain, Fault},
    plan::{Action, Decision, Inputs, Output, Reason, Verdict},
    runtime::{Instance, InstanceState, LOOK, Link, RuntimeError, RuntimeKind, Spec, SpecMount},
    store::Since,
};

/// What the listing says of a step's container.
pub(super) enum Found<'a> {
    /// It runs with these inputs; whether it is ready is not known yet.
    Running(&'a Instance),
    /// It must be started or replaced.
    Differs(Action, Vec<Reason>),
}

/// Compares what is there with what is wanted.
pub(super) fn judge<'a>(
    instance: Option<&'a Instance>,
    known: &Known,
    kind: RuntimeKind,
) -> Found<'a> {
    let Some(instance) = instance else {
        let mut reasons = vec![Reason::New {
            what: kind.unit().into(),
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
    if instance.state == InstanceState::Running && instance.link == Link::Cut {
        let what = "network: it was disconnected from the project's".into();
        return Found::Differs(Action::Recreate, vec![Reason::State { what }]);
    }
    let restarts = || Reason::Restarts {
        times: instance.restarts,
    };
    let what = match instance.state {
        InstanceState::Running if instance.keeps_restarting() => {
            return Found::Differs(Action::Start, vec![restarts()]);
        }
        InstanceState::Running => return Found::Running(instance),
        InstanceState::Created => "it was never started".to_owned(),
        InstanceState::Restarting => {
            // The engine tries again when it likes, which may be in a minute.
            return Found::Differs(Action::Restart, vec![restarts()]);
        }
        InstanceState::Paused => "it is paused".to_owned(),
        InstanceState::Exited { code } => format!("it exited with code {code}"),
        InstanceState::Dead => "it is dead".to_owned(),
    };
    Found::Differs(Action::Start, vec![Reason::State { what }])
}

/// How often it had come back by itself when it was decided to see to it.
pub(super) fn restarts(decision: &Decision) -> Option<u64> {
    let times = |reason: &Reason| match reason {
        Reason::Restarts { times } => Some(*times),
        _ => None,
    };
    decision.reasons.iter().find_map(times)
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
        let env =
            address::resolve_table(&service.env, self.config(), &Viewpoint::Container, &secrets)?;
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

    /// What to do with a service or app, and why.
    pub(super) async fn verdict(&self, known: &Known, service: &Service) -> Result<Verdict, Fault> {
        if let Some(fault) = self.steps.cannot_run(self.id()) {
            return Err(fault);
        }
        let verdict = self.judge_service(known, service).await?;
        if matches!(verdict, Verdict::Act(_)) && self.steps.kind() == RuntimeKind::Docker {
            self.check_mounts(service)?;
        }
        Ok(verdict)
    }

    /// Paths of the project that are to be mounted exist, unless a step that comes first may make them. Of other paths the engine
    /// alone knows: it may see other folders than this process.
    fn check_mounts(&self, service: &Service) -> Result<(), Fault> {
        let earlier = self.steps.plan.graph().closure([self.id().clone()]);
        let mut pending = earlier.iter().filter(|id| *id != self.id());
        if pending.any(|id| !self.outputs.contains_key(id)) {
            return Ok(());
        }
        for mount in mounts(&service.volumes, &self.steps.root) {
            if let SpecMount::Bind { source, target, .. } = mount
                && Path::new(&source).starts_with(&self.steps.root)
                && !Path::new(&source).exists()
            {
                let step = self.id().clone();
                let error = RuntimeError::NoMountSource {
                    step,
                    source_path: source,
                    target,
                };
                return Err(error.explain());
            }
        }
        Ok(())
    }

    async fn judge_service(&self, known: &Known, service: &Service) -> Result<Verdict, Fault> {
        let instance = self.instance().await?;
        let found = judge(instance.as_ref(), known, self.steps.kind());
        let mut changed = match instance {
            Some(_) => self.changed_secrets(self.secrets_of(service)),
            None => Vec::new(),
        };
        if instance.is_some() && !matches!(found, Found::Differs(Action::Recreate, _)) {
            changed.extend(self.secrets_changed_since_start(service).await?);
        }
        match found {
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
            Found::Running(instance) => self.ready_or_not(service, instance).await,
        }
    }

    async fn ready_or_not(&self, service: &Service, instance: &Instance) -> Result<Verdict, Fault> {
        let seen = self.not_ready(service.ready.as_ref(), instance, LOOK);
        let Some(seen) = seen.await? else {
            return Ok(Verdict::Keep(output(&instance.ports)));
        };
        let what = format!("it runs but is not ready: {seen}");
        let mut reasons = self.changed_probe(service.ready.as_ref());
        reasons.push(Reason::State { what });
        Ok(Verdict::act(Action::Start, reasons))
    }

    /// It was seen to run to its end with these inputs. The exit code alone does not tell: a service that is asked to stop may
    /// exit with 0 as well, and is to run again.
    fn has_ended(&self, instance: Option<&Instance>, known: &Known) -> bool {
        let exited = instance.is_some_and(|i| i.state == InstanceState::Exited { code: 0 });
        exited
            && self.steps.store.record(self.id()).is_some_and(|record| {
                record.since == Since::Nothing && record.inputs == known.inputs
            })
    }
}

/// All texts of a service that may hold references.
pub(super) fn templates(service: &Service) -> impl Iterator<Item = &Template> {
    service
        .env
        .values()
        .chain(service.entrypoint.iter().flatten())
        .chain(service.command.iter().flatten())
        .chain(service.process.iter().flat_map(|program| &program.command))
}

/// Named volumes alone.
pub(super) fn volumes(service: &Service) -> Vec<SpecMount> {
    let mut volumes = mounts(&service.volumes, Path::new(""));
    volumes.retain(|mount| matches!(mount, SpecMount::Volume { .. }));
    volumes
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
                source: bind_source(root, path),
                target: target.clone(),
                read_only: *read_only,
            },
        })
        .collect()
}

/// Absolute, without the `./` that the file has.
fn bind_source(root: &Path, path: &str) -> String {
    let source: PathBuf = root.join(path).components().collect();
    source.display().to_string()
}
