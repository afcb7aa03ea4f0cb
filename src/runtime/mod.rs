//! Runs what has to keep running: containers, or plain processes. [`Runtime`] is the open trait, [`AnyRuntime`] the one closed match.
//!
//! Knows nothing of steps' meaning: it gets a [`Spec`], makes reality match it, and says what is there.

pub mod docker;
mod error;
mod ports;
mod probe;
pub mod process;
mod spec;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use futures_util::stream::BoxStream;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

pub use docker::Line;
pub use error::RuntimeError;
pub use probe::{LOOK, ProbeError, help_for_exit, look, probe};
pub use spec::*;

use crate::{config::StepId, sys::terminal::Stdio};

/// One way of keeping services running, for one worktree ([`Identity`]).
///
/// Every method converges: called again after a kill anywhere, it ends in the same state.
#[allow(async_fn_in_trait)]
pub trait Runtime {
    /// Where published ports are reached from this machine.
    fn host(&self) -> &str;

    /// Whether anything answers here, known soon: an error when it keeps silent. What has no engine has none to wait for.
    async fn answers(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Everything of this worktree, from one call.
    async fn list(&self) -> Result<Listing, RuntimeError>;

    /// The ports the step will be reached at, where it has to be told before it is started, as it listens on them itself. They are kept for
    /// its next [`Runtime::start`]. `None` where they are known only once it runs.
    async fn reserve(
        &self,
        step: &StepId,
        ports: &[SpecPort],
    ) -> Result<Option<BTreeMap<String, u16>>, RuntimeError>;

    /// Makes what is there match the spec and starts it: network, volumes, container.
    /// An instance of the step that differs is replaced; its volumes stay.
    async fn start(&self, spec: &Spec) -> Result<Started, RuntimeError>;

    /// Starts again what was started before; what still runs is stopped first, within its own grace.
    async fn restart(&self, step: &StepId) -> Result<(), RuntimeError>;

    /// Stops and removes the instance of a step, within its own grace. No error when there is none.
    async fn remove(&self, step: &StepId) -> Result<(), RuntimeError>;

    /// Removes what only makes sense with instances: the network, and what killed runs left.
    async fn clean(&self) -> Result<(), RuntimeError>;

    /// Short names of this worktree's volumes.
    async fn volumes(&self) -> Result<Vec<String>, RuntimeError>;

    /// Removes a volume of this worktree and the data in it. No error when there is none.
    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError>;

    /// Lines of output, oldest first.
    fn logs(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>>;

    /// As [`Runtime::logs`], and on with what takes its place: never ends by itself.
    fn follow(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Followed, RuntimeError>>;

    /// What the instance of the step was made with, its secrets included: never to be shown.
    async fn made_with(&self, step: &StepId) -> Result<MadeWith, RuntimeError>;

    /// Runs a command inside what runs; its exit code.
    async fn exec(&self, step: &StepId, exec: Exec, stdio: Stdio) -> Result<i64, RuntimeError>;

    /// Ends what [`Runtime::exec`] runs with this mark: the signal, and SIGKILL for what is there after the grace; not what took a
    /// session of its own. The names of what was ended, none when nothing was found.
    async fn end_exec(
        &self,
        step: &StepId,
        exec: &Exec,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError>;

    /// Resolves when the instance of the step exits, with its code, also when it is then started again by its
    /// restart policy. First looks whether it has already.
    async fn exited(&self, step: &StepId) -> Result<i64, RuntimeError>;

    /// As [`Runtime::exited`], for this long from the first look on; `None` when it still runs then.
    async fn exited_within(
        &self,
        step: &StepId,
        time: Duration,
    ) -> Result<Option<i64>, RuntimeError>;

    /// Runs a command once in a container that is removed again, also when this future is dropped.
    async fn one_shot(&self, one_shot: OneShot) -> Result<OneShotResult, RuntimeError>;

    /// As [`Runtime::one_shot`], giving each line to `line` as it comes, and ended within five seconds on cancel. Its exit code; `None`
    /// when it was cancelled.
    async fn one_shot_shown(
        &self,
        one_shot: OneShot,
        cancel: &CancellationToken,
        line: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError>;

    /// Removes the one-shots of runs that were killed.
    async fn remove_left_over(&self) -> Result<(), RuntimeError>;
}

/// The runtimes there are.
#[derive(Clone)]
pub enum AnyRuntime {
    Docker(docker::Docker),
    Process(Box<process::Process>),
}

/// What steps become. The plan is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// Containers of an engine.
    Docker,
    /// Programs of this machine.
    Process,
}

impl RuntimeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RuntimeKind::Docker => "docker",
            RuntimeKind::Process => "process",
        }
    }

    /// The one that is not used.
    pub fn other(self) -> Self {
        match self {
            RuntimeKind::Docker => RuntimeKind::Process,
            RuntimeKind::Process => RuntimeKind::Docker,
        }
    }

    /// What people call one thing that was started.
    pub fn unit(self) -> &'static str {
        match self {
            RuntimeKind::Docker => "container",
            RuntimeKind::Process => "process",
        }
    }
}

impl AnyRuntime {
    pub fn kind(&self) -> RuntimeKind {
        match self {
            AnyRuntime::Docker(_) => RuntimeKind::Docker,
            AnyRuntime::Process(_) => RuntimeKind::Process,
        }
    }

    /// The folder of a volume, where volumes are folders of this machine.
    pub fn volume_folder(&self, name: &str) -> Option<PathBuf> {
        match self {
            AnyRuntime::Docker(_) => None,
            AnyRuntime::Process(process) => Some(process.volume_folder(name)),
        }
    }
}

/// Passes a call on to the runtime that is there.
macro_rules! pass {
    ($self:ident, $runtime:ident => $call:expr) => {
        match $self {
            AnyRuntime::Docker($runtime) => $call,
            AnyRuntime::Process($runtime) => $call,
        }
    };
}

impl Runtime for AnyRuntime {
    fn host(&self) -> &str {
        pass!(self, runtime => runtime.host())
    }

    async fn answers(&self) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.answers().await)
    }

    async fn list(&self) -> Result<Listing, RuntimeError> {
        pass!(self, runtime => runtime.list().await)
    }

    async fn reserve(
        &self,
        step: &StepId,
        ports: &[SpecPort],
    ) -> Result<Option<BTreeMap<String, u16>>, RuntimeError> {
        pass!(self, runtime => runtime.reserve(step, ports).await)
    }

    async fn start(&self, spec: &Spec) -> Result<Started, RuntimeError> {
        pass!(self, runtime => runtime.start(spec).await)
    }

    async fn restart(&self, step: &StepId) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.restart(step).await)
    }

    async fn remove(&self, step: &StepId) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.remove(step).await)
    }

    async fn clean(&self) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.clean().await)
    }

    async fn volumes(&self) -> Result<Vec<String>, RuntimeError> {
        pass!(self, runtime => runtime.volumes().await)
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.remove_volume(name).await)
    }

    fn logs(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        pass!(self, runtime => runtime.logs(step, options))
    }

    fn follow(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Followed, RuntimeError>> {
        pass!(self, runtime => runtime.follow(step, options))
    }

    async fn made_with(&self, step: &StepId) -> Result<MadeWith, RuntimeError> {
        pass!(self, runtime => runtime.made_with(step).await)
    }

    async fn exec(&self, step: &StepId, exec: Exec, stdio: Stdio) -> Result<i64, RuntimeError> {
        pass!(self, runtime => runtime.exec(step, exec, stdio).await)
    }

    async fn end_exec(
        &self,
        step: &StepId,
        exec: &Exec,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, RuntimeError> {
        pass!(self, runtime => runtime.end_exec(step, exec, signal, grace).await)
    }

    async fn exited(&self, step: &StepId) -> Result<i64, RuntimeError> {
        pass!(self, runtime => runtime.exited(step).await)
    }

    async fn exited_within(
        &self,
        step: &StepId,
        time: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        pass!(self, runtime => runtime.exited_within(step, time).await)
    }

    async fn one_shot(&self, one_shot: OneShot) -> Result<OneShotResult, RuntimeError> {
        pass!(self, runtime => runtime.one_shot(one_shot).await)
    }

    async fn one_shot_shown(
        &self,
        one_shot: OneShot,
        cancel: &CancellationToken,
        line: &mut Line<'_>,
    ) -> Result<Option<i64>, RuntimeError> {
        pass!(self, runtime => runtime.one_shot_shown(one_shot, cancel, line).await)
    }

    async fn remove_left_over(&self) -> Result<(), RuntimeError> {
        pass!(self, runtime => runtime.remove_left_over().await)
    }
}
