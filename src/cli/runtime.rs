//! Which runtime a command works with: what the user insists on, else what is there. Says why.

use std::{fmt, os::unix::net::UnixStream};

use super::context::Context;
use crate::{
    config::RuntimeChoice,
    event::{Explain, Fault},
    image::Images,
    runtime::{
        AnyRuntime, Identity, RuntimeError, RuntimeKind,
        docker::Docker,
        process::{self, Process},
    },
    steps::Engine,
    sys::docker_host::Endpoint,
};

/// What `--runtime` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// The container engine when one answers, else processes.
    Auto,
    /// Containers of an engine.
    Docker,
    /// Plain processes of this machine.
    Process,
}

impl Wanted {
    fn choice(self) -> RuntimeChoice {
        match self {
            Wanted::Auto => RuntimeChoice::Auto,
            Wanted::Docker => RuntimeChoice::Docker,
            Wanted::Process => RuntimeChoice::Process,
        }
    }
}

/// The runtime to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub kind: RuntimeKind,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `--runtime`, or the variable behind it.
    Asked,
    /// `runtime` in devenv.toml.
    File,
    /// An engine takes connections, or something names one.
    Engine,
    /// The worktree's processes run.
    Runs,
    /// No engine takes connections, with what was found instead.
    NoEngine(String),
}

impl Choice {
    /// What there is to say of a choice that nobody asked for and that may surprise.
    pub fn notice(&self) -> Option<String> {
        match &self.why {
            Why::NoEngine(_) => Some(self.to_string()),
            Why::Asked | Why::File | Why::Engine | Why::Runs => None,
        }
    }
}

/// `plain processes: no container engine, nobody listens at …`
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RuntimeKind::Docker => "containers: ",
            RuntimeKind::Process => "plain processes: ",
        })?;
        match &self.why {
            Why::Asked => f.write_str("asked for by `--runtime` or DEVENV_RUNTIME"),
            Why::File => f.write_str("`runtime` in devenv.toml says so"),
            Why::Engine => f.write_str("there is an engine"),
            Why::Runs => f.write_str("the project runs so already"),
            Why::NoEngine(found) => write!(f, "no container engine, {found}"),
        }
    }
}

/// With `auto`: what runs already, else the engine when one takes connections, else processes.
pub fn choose(cx: &Context) -> Result<Choice, Fault> {
    let (wanted, why) = match cx.runtime {
        Some(wanted) => (wanted.choice(), Why::Asked),
        None => (cx.config()?.project.runtime, Why::File),
    };
    let insists = |kind| Ok(Choice { kind, why });
    match wanted {
        RuntimeChoice::Docker => insists(RuntimeKind::Docker),
        RuntimeChoice::Process => insists(RuntimeKind::Process),
        RuntimeChoice::Auto => Ok(automatic(cx)?),
    }
}

/// From what there is, whatever the file says.
pub fn automatic(cx: &Context) -> Result<Choice, Fault> {
    if process::is_watched(&cx.place()?) {
        return Ok(Choice {
            kind: RuntimeKind::Process,
            why: Why::Runs,
        });
    }
    Ok(match engine() {
        Ok(()) => Choice {
            kind: RuntimeKind::Docker,
            why: Why::Engine,
        },
        Err(found) => Choice {
            kind: RuntimeKind::Process,
            why: Why::NoEngine(found),
        },
    })
}

/// Whether there is an engine to talk to; what was found instead. One that somebody names has to be there, and says itself when it is not.
fn engine() -> Result<(), String> {
    let Ok(endpoint) = Endpoint::find() else {
        return Ok(());
    };
    let Some(socket) = endpoint.address.socket().filter(|_| !endpoint.is_named()) else {
        return Ok(());
    };
    match UnixStream::connect(socket) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("`{}` does not exist", socket.display()))
        }
        Err(error) => Err(format!("`{}`: {}", socket.display(), reason(&error))),
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The runtime of this kind, for a worktree. Says nothing to it yet.
pub fn of_kind(kind: RuntimeKind, identity: Identity) -> Result<Engine, Fault> {
    match kind {
        RuntimeKind::Docker => {
            let endpoint = Endpoint::find().map_err(|error| RuntimeError::from(error).explain())?;
            let docker = Docker::connect(&endpoint, identity);
            let docker = docker.map_err(|error| error.explain())?;
            Ok(Engine {
                images: Some(Images::new(docker.client())),
                runtime: AnyRuntime::Docker(docker),
            })
        }
        RuntimeKind::Process => {
            let program = std::env::current_exe().map_err(|error| {
                Fault::new("cannot tell where devenv itself is").note(error.to_string())
            })?;
            Ok(Engine {
                images: None,
                runtime: AnyRuntime::Process(Box::new(Process::new(identity, program))),
            })
        }
    }
}

/// The runtime that is not used, as far as it is there: something may run in it still, or have its data there.
pub fn other(kind: RuntimeKind, identity: Identity) -> Option<Engine> {
    let is_there = match kind.other() {
        RuntimeKind::Docker => engine().is_ok(),
        RuntimeKind::Process => process::has_something(identity.root.as_ref()),
    };
    match is_there {
        true => of_kind(kind.other(), identity).ok(),
        false => None,
    }
}
