//! What becomes of the plan where services are plain processes: the same steps, of which some have nothing to do, and programs for images.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use super::{
    Cx, Steps,
    address::{self, Viewpoint},
    container,
};
use crate::{
    config::{App, Build, Part, Program, Service, StepId, StepKind, Template},
    event::{Explain, Fault, FaultClass},
    plan::{Inputs, image_tools, process_tools},
    runtime::{InstanceState, Runtime, RuntimeKind, Spec},
    sys::{net::port_is_free, process::find_program},
};

/// What a step's definition says of its containers alone.
const OF_CONTAINERS: [&str; 7] = [
    "image",
    "entrypoint",
    "user",
    "workdir",
    "volumes",
    "build",
    "prepared",
];
/// And of its processes alone.
const OF_PROCESSES: [&str; 2] = ["process", "tool"];

impl Steps {
    /// What keeps services running. Containers, as long as nobody knows.
    pub fn kind(&self) -> RuntimeKind {
        match &self.engine {
            Ok(engine) => engine.runtime.kind(),
            Err(_) => RuntimeKind::Docker,
        }
    }

    /// Whether nothing that runs here asks for what the step makes.
    pub(super) fn has_no_use_for(&self, id: &StepId) -> bool {
        match (self.kind(), id.kind) {
            (RuntimeKind::Docker, StepKind::Toolchain) => process_tools(&self.config).contains(id),
            (RuntimeKind::Process, StepKind::Toolchain) => image_tools(&self.config).contains(id),
            (RuntimeKind::Process, StepKind::Image) => true,
            (RuntimeKind::Process, StepKind::Build) => matches!(
                self.config.app.get(&id.name).map(|app| &app.build),
                Some(Build::Dockerfile(_))
            ),
            _ => false,
        }
    }

    fn task_image(&self, id: &StepId) -> Option<&str> {
        let task = Some(id).filter(|id| id.kind == StepKind::Task);
        self.config.task.get(&task?.name)?.image()
    }

    /// The failure of a service, app or task that cannot run here, as the file has nothing for this runtime.
    pub(super) fn cannot_run(&self, id: &StepId) -> Option<Fault> {
        if self.kind() == RuntimeKind::Process && self.task_image(id).is_some() {
            let fault = Fault::new(format!(
                "`{id}` runs in an image, and there are no containers here"
            ));
            let help = "remove `in` to run it on this machine, or start a container engine and use `--runtime docker`";
            let place = id.key_path().join("in");
            return Some(fault.class(FaultClass::Usage).at_key(place).help(help));
        }
        let service = self.service(id)?;
        let (what, key, help) = match (self.kind(), id.kind) {
            (RuntimeKind::Docker, StepKind::Service) if service.image.is_none() => (
                "has no `image`, and services are containers here",
                "process",
                "add `image = \"…\"`, or use plain processes: `--runtime process`, or `runtime = \"process\"` in `[project]`",
            ),
            (RuntimeKind::Process, StepKind::Service) if service.process.is_none() => (
                "has only an `image`, and services are plain processes here",
                "image",
                "add `process = { command = [\"…\"] }` beside it, or start a container engine and use `--runtime docker`",
            ),
            (RuntimeKind::Process, StepKind::App)
                if service.process.is_none() && self.has_no_use_for(&build_of(id)) =>
            {
                (
                    "is built by a Dockerfile, and services are plain processes here",
                    "build",
                    "add `process = { command = [\"…\"] }`, build it by `run` and `artifact`, or start a container engine and use `--runtime docker`",
                )
            }
            _ => return None,
        };
        let fault = Fault::new(format!("`{id}` {what}"));
        Some(
            fault
                .class(FaultClass::Usage)
                .at_key(id.key_path().join(key))
                .help(help),
        )
    }

    /// Whether a field of the definition of what keeps running, or the output of a step, matters here.
    pub(super) fn concerns(&self, field: &str) -> bool {
        let others: &[&str] = match self.kind() {
            RuntimeKind::Docker => &OF_PROCESSES,
            RuntimeKind::Process => &OF_CONTAINERS,
        };
        let first = field.split('.').next().unwrap_or(field);
        !others.contains(&first)
    }

    /// The ports of what another program is told to connect to, as this machine has them now or had them last.
    fn ports_of(&self, step: &StepId, cx: &Cx<'_>) -> BTreeMap<String, u16> {
        match cx.outputs.get(step) {
            Some(output) => container::ports(output),
            None => self.remembered_ports(step),
        }
    }
}

fn build_of(app: &StepId) -> StepId {
    StepId::new(StepKind::Build, &app.name)
}

impl Cx<'_> {
    /// Unlike in containers, the addresses that a program is given may change from run to run: they are inputs.
    pub(super) fn addresses(&self, inputs: &mut Inputs) {
        let Some(service) = self.steps.service(self.id()) else {
            return;
        };
        let templates = container::templates(service);
        for part in templates.flat_map(|template| &template.parts) {
            if let Part::Field { step, .. } = part
                && step != self.id()
            {
                for (name, port) in self.steps.ports_of(step, self) {
                    inputs.text(format!("{step}.port.{name}"), port.to_string());
                }
            }
        }
    }

    /// The spec of a service or app as a program of this machine.
    pub(super) async fn program_spec(
        &self,
        service: &Service,
        inputs: Inputs,
    ) -> Result<Spec, Fault> {
        if let Some(fault) = self.steps.cannot_run(self.id()) {
            return Err(fault);
        }
        let runtime = self.steps.runtime()?;
        let ports = self.spec_ports(&service.ports);
        let own = runtime.reserve(self.id(), &ports).await;
        let own = own.map_err(|error| error.explain())?.unwrap_or_default();
        let mut outputs = self.outputs.clone();
        outputs.insert(self.id().clone(), container::output(&own));
        let secrets = self.template_secrets(container::templates(service)).await?;
        let viewpoint = Viewpoint::Process {
            runtime,
            outputs: &outputs,
        };
        let text =
            |template: &Template| address::resolve(template, self.config(), &viewpoint, &secrets);
        let mut env = self.program_env();
        let own = address::resolve_table(&service.env, self.config(), &viewpoint, &secrets);
        env.extend(own?);
        let mut argv = self.artifact(service)?;
        for template in command(service) {
            argv.push(text(template)?);
        }
        self.find_program(&mut argv, &env)?;
        Ok(Spec {
            image: String::new(),
            entrypoint: Some(argv),
            command: None,
            env,
            ports,
            mounts: container::volumes(service),
            files: Vec::new(),
            tmpfs: BTreeMap::new(),
            user: None,
            workdir: Some(self.steps.root.display().to_string()),
            restart: service.restart,
            stop_signal: service.stop_signal.clone(),
            stop_grace: service.stop_grace,
            aliases: Vec::new(),
            step: self.id().clone(),
            inputs,
        })
    }

    /// Whether a process ended because another program was faster to listen on its port, which was free when it was chosen. What is left of
    /// it is removed then, so that the next start chooses again.
    pub(super) async fn lost_its_port(&self) -> bool {
        let Ok(runtime) = self.steps.runtime() else {
            return false;
        };
        let kept = runtime.kind() == RuntimeKind::Process && self.id().kind.is_running_service();
        if !kept || self.cancel.is_cancelled() {
            return false;
        }
        let Ok(listing) = runtime.list().await else {
            return false;
        };
        let mut instances = listing.instances.into_iter();
        let Some(own) = instances.find(|instance| instance.step == *self.id()) else {
            return false;
        };
        let has_ended = own.state != InstanceState::Running || own.restarts > 0;
        let Some(port) = own.ports.values().find(|port| !port_is_free(**port)) else {
            return false;
        };
        if !has_ended || runtime.remove(self.id()).await.is_err() {
            return false;
        }
        // What listens on it now is not its own.
        let is_lost = !port_is_free(*port);
        if is_lost {
            let message = format!("port {port} was taken by another program meanwhile");
            self.events.notice(message);
        }
        is_lost
    }

    /// The environment of every program: the project's tools come first on its PATH.
    pub(super) fn program_env(&self) -> BTreeMap<String, String> {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let env = self.steps.host_env().into_iter();
        env.map(|(name, value)| (name, text(value))).collect()
    }

    /// What an app runs when it says nothing else: what its build has made.
    fn artifact(&self, service: &Service) -> Result<Vec<String>, Fault> {
        match self.config().app.get(&self.id().name) {
            Some(App {
                build: Build::Host(build),
                ..
            }) if self.id().kind == StepKind::App && service.process.is_none() => {
                let artifact: PathBuf = self.steps.root.join(&build.artifact);
                Ok(vec![artifact.display().to_string()])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Replaces the program's name by where it is, so that one that is not there is told at once.
    fn find_program(
        &self,
        argv: &mut [String],
        env: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let Some(program) = argv.first_mut() else {
            return Ok(());
        };
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        match find_program(program, path.as_ref(), &self.steps.root) {
            Some(found) => {
                *program = found.display().to_string();
                Ok(())
            }
            None => Err(Fault::new(format!(
                "there is no program `{program}` for `{}`",
                self.id()
            ))
            .class(FaultClass::Environment)
            .at_key(self.key("process"))
            .note("looked for on PATH and among the project's tools")
            .help("install it, or name a `[toolchain.X]` that brings it as `process.tool`")),
        }
    }
}

/// The program and its arguments, or what an artifact is started with.
fn command(service: &Service) -> &[Template] {
    match (&service.process, &service.command) {
        (Some(Program { command, .. }), _) | (None, Some(command)) => command,
        (None, None) => &[],
    }
}
