//! What can go wrong with a runtime, and what to do about it.

use std::{collections::BTreeMap, io};

use super::Exec;
use crate::{
    config::StepId,
    event::{Explain, Fault, FaultClass, quoted},
    sys::docker_host::EndpointError,
};

/// A variant is what was being done.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("no container engine answers at `{endpoint}`")]
    Connect {
        endpoint: String,
        cause: String,
        /// Where else an engine was looked for.
        tried: Vec<String>,
    },
    #[error("the engine at `{endpoint}` went away, devenv could not {action}")]
    Gone {
        endpoint: String,
        action: String,
        cause: String,
    },
    #[error(
        "the container engine at `{endpoint}` takes connections, but gave no answer within {seconds}s"
    )]
    Silent {
        endpoint: String,
        /// What named it: `DOCKER_HOST`, a context.
        origin: String,
        seconds: u64,
    },
    #[error("the engine did not {action} within {seconds}s")]
    Slow { action: String, seconds: u64 },
    #[error("the engine could not {action}")]
    Engine { action: String, cause: String },
    #[error("the image of `{step}` is not on the engine")]
    NoImage { step: StepId, cause: String },
    #[error("{what} `{name}` is in the way: devenv did not make it")]
    Foreign { what: &'static str, name: String },
    #[error("network `{network}` is still in use")]
    Attached {
        network: String,
        /// Names of the containers of others in it.
        containers: Vec<String>,
    },
    #[error("no host port is free for `{port}` of `{step}`")]
    PortsTaken {
        step: StepId,
        port: String,
        /// Who has the wanted ports and those of the range: "8080 is held by `python3` (pid 12)".
        held: Vec<String>,
        range: String,
    },
    #[error("`{step}` is not running")]
    NotRunning { step: StepId },
    #[error("there is no command `{command}` in `{step}`")]
    NoCommand {
        step: StepId,
        command: String,
        cause: String,
    },
    #[error("cannot end `{command}` in `{step}`")]
    EndExec {
        step: StepId,
        command: String,
        cause: String,
    },
    #[error("`{step}` mounts `{source_path}`, which does not exist")]
    NoMountSource {
        step: StepId,
        /// Absolute path on the host.
        source_path: String,
        /// Where it is to be in the container.
        target: String,
    },
    #[error("the probe of `{step}` needs a port `{port}`, it has {}", known(ports))]
    UnknownPort {
        step: StepId,
        port: String,
        ports: BTreeMap<String, u16>,
    },
    #[error("cannot pass on the input and output of the command in `{step}`")]
    Stdio {
        step: StepId,
        #[source]
        source: io::Error,
    },
    #[error("devenv could not {action}")]
    Supervisor { action: String, cause: String },
    #[error("the processes of this project are those of user `{owner}`")]
    OtherUser { owner: String, folder: String },
    #[error("cannot read the archive of `{folder}`")]
    Archive {
        folder: String,
        #[source]
        source: io::Error,
    },
}

impl RuntimeError {
    /// A command inside a step that cannot be ended, and why.
    pub fn end_exec(step: &StepId, exec: &Exec, cause: impl Into<String>) -> Self {
        Self::EndExec {
            step: step.clone(),
            command: exec.argv.join(" "),
            cause: cause.into(),
        }
    }
}

impl Explain for RuntimeError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            RuntimeError::Endpoint(error) => {
                let fault = fault.class(FaultClass::Environment).help(error.help());
                match error {
                    EndpointError::Context { cause, .. } => fault.note(cause.clone()),
                    EndpointError::Unsupported { .. } => fault,
                }
            }
            RuntimeError::Connect { cause, tried, .. } => tried
                .iter()
                .fold(fault.note(cause.clone()), |fault, place| {
                    fault.note(format!("tried {place}"))
                })
                .class(FaultClass::Environment)
                .help(connect_help(cause)),
            RuntimeError::Gone { cause, .. } => fault
                .note(cause.clone())
                .class(FaultClass::Environment)
                .help("start the engine and run the command again: it goes on where this run stopped"),
            RuntimeError::Silent { origin, .. } => fault
                .note(format!("named by {origin}"))
                .class(FaultClass::Environment)
                .help("restart it (`sudo systemctl restart docker`, or Docker Desktop), then run the command again"),
            RuntimeError::Slow { .. } => fault
                .class(FaultClass::Environment)
                .help("see what keeps the engine busy (`docker info`, its log), then run the command again"),
            RuntimeError::Engine { cause, .. } => engine_help(fault.note(cause.clone()), cause),
            RuntimeError::Foreign { what, name } => fault
                .class(FaultClass::Environment)
                .help(format!("remove it with `docker {what} rm {name}` if nothing needs it")),
            RuntimeError::Attached { network, containers } => {
                let disconnect = |name: &String| format!("`docker network disconnect {network} {name}`");
                let commands: Vec<_> = containers.iter().map(disconnect).collect();
                containers
                    .iter()
                    .fold(fault, |fault, name| fault.note(format!("container `{name}` is attached to it; devenv did not make it")))
                    .class(FaultClass::Environment)
                    .help(format!("run {}, then `devenv down` again", commands.join(" and ")))
            }
            RuntimeError::PortsTaken { held, range, .. } => held
                .iter()
                .fold(fault, |fault, held| fault.note(held.clone()))
                .class(FaultClass::Environment)
                .help(format!("free one of them, or widen `ports` in `[project]`, which is {range}")),
            RuntimeError::NotRunning { .. } => fault
                .class(FaultClass::Environment)
                .help("start it with `devenv up`"),
            RuntimeError::NoImage { cause, .. } => fault
                .class(FaultClass::Environment)
                .note(cause.clone())
                .help("something removed it just now: `devenv up` gets it again"),
            RuntimeError::NoCommand { cause, .. } => fault
                .note(cause.clone())
                .help("name one that is there, on its PATH or by its whole path"),
            RuntimeError::EndExec { step, cause, .. } => fault
                .class(FaultClass::Environment)
                .note(cause.clone())
                .help(format!("`devenv restart {step}` ends it, too")),
            RuntimeError::NoMountSource { step, target, .. } => fault
                .class(FaultClass::Usage)
                .at_key(step.key_path().join("volumes").join(target))
                .label("a path of the host")
                .help("create the file or folder, or correct the path; a name without a slash is a volume"),
            RuntimeError::UnknownPort { step, .. } => fault
                .at_key(step.key_path().join("ready"))
                .help("name one of its `ports`"),
            RuntimeError::Supervisor { cause, .. } => machine_help(fault.note(cause.clone()), cause),
            RuntimeError::OtherUser { owner, folder } => fault
                .class(FaultClass::Environment)
                .note(format!("`{folder}` belongs to `{owner}`"))
                .help(format!("run devenv as that user (`sudo -u {owner} devenv …`), or in a clone of your own")),
            RuntimeError::Stdio { .. } | RuntimeError::Archive { .. } => fault,
        }
    }
}

fn connect_help(cause: &str) -> String {
    let way = if cause.to_ascii_lowercase().contains("permission denied") {
        "let this user use the socket: `sudo usermod -aG docker $USER`, then log in again"
    } else if cause.contains("named by `DOCKER_HOST`") {
        "start that engine, or unset `DOCKER_HOST` to use the one of this machine"
    } else {
        "start it (`sudo systemctl start docker`, or open Docker Desktop), or install Docker Engine or Podman; `DOCKER_HOST` names an engine elsewhere"
    };
    format!("{way}; `--runtime process` does without one")
}

/// Engine failures whose way out is known. Only the help depends on the engine's words.
fn engine_help(fault: Fault, cause: &str) -> Fault {
    let fault = match cause {
        _ if cause.contains("address pool") => fault.help(
            "the engine has no addresses left for another network: remove unused ones with `docker network prune`",
        ),
        _ if cause.contains("No such image") => fault.help("`devenv up` gets it"),
        _ if cause.contains("no space left") => {
            fault.help("free disk space: `docker system df` shows what the engine uses")
        }
        _ => return fault,
    };
    fault.class(FaultClass::Environment)
}

/// Failures of this machine whose way out is known.
fn machine_help(fault: Fault, cause: &str) -> Fault {
    match cause.contains("No space left") || cause.contains("quota exceeded") {
        true => fault
            .class(FaultClass::Environment)
            .help("free some disk space and run the command again"),
        false => fault,
    }
}

fn known(ports: &BTreeMap<String, u16>) -> String {
    if ports.is_empty() {
        return "none".into();
    }
    quoted(ports.keys())
}
