//! What every command starts from: the project's root, its checked config and plan, its store and engine, and where answers go.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    Global, OutputFormat,
    ci::system,
    exit, failure, identity, root,
    runtime::{self, Choice, Wanted},
    session,
};
use crate::{
    config::{self, Config, Source, StepId},
    database::Target,
    event::{Events, Explain, Fault, FaultClass},
    image::Images,
    lockfile::Lock,
    plan::{self, FileCache, Plan},
    report,
    runtime::{AnyRuntime, RuntimeKind},
    steps::{self, Engine, HostPorts, Steps},
    store::Store,
    toolchain::{Locking, Toolchain},
};

/// Whose state, containers and data a command works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of the worktree.
    Worktree,
    /// Those of a run that leaves none behind: as if of another worktree, in a folder of its own.
    Ephemeral,
}

/// The folder of an [`Scope::Ephemeral`] run, in the project's: of `devenv ci`, and of hooks that check the checkout.
const EPHEMERAL: &str = ".devenv/ci";

pub struct Context {
    directory: PathBuf,
    pub scope: Scope,
    pub output: OutputFormat,
    pub verbose: bool,
    /// What `--runtime` insists on.
    pub runtime: Option<Wanted>,
    choice: OnceLock<Choice>,
    config: OnceLock<Arc<Config>>,
    plan: OnceLock<Arc<Plan>>,
    files: OnceLock<Arc<FileCache>>,
    /// Set by [`Context::needs_no_lock`], with the lock as it is then.
    lock: OnceLock<Lock>,
    /// Set by [`Context::find_root`].
    root: OnceLock<PathBuf>,
    /// The file as it was read, also when it has errors: failures point into it.
    source: OnceLock<Arc<Source>>,
    /// What there is to say beside a failure, for JSON.
    answer: OnceLock<Json>,
    /// Why an answer could not be printed.
    unwritten: OnceLock<String>,
}

impl Context {
    pub fn new(global: &Global) -> Self {
        Self {
            directory: global.directory.clone().unwrap_or_else(|| ".".into()),
            scope: Scope::Worktree,
            output: global.output,
            verbose: global.verbose,
            runtime: global.runtime,
            choice: OnceLock::new(),
            config: OnceLock::new(),
            plan: OnceLock::new(),
            files: OnceLock::new(),
            lock: OnceLock::new(),
            root: OnceLock::new(),
            source: OnceLock::new(),
            answer: OnceLock::new(),
            unwritten: OnceLock::new(),
        }
    }

    /// The same request, for files that may have changed since they were read.
    pub fn fresh(&self) -> Self {
        let mut fresh = Self::new(&Global {
            directory: Some(self.directory.clone()),
            output: self.output,
            verbose: self.verbose,
            runtime: self.runtime,
        });
        fresh.scope = self.scope;
        fresh
    }

    /// The same request with things of its own, that are taken down at the end: see [`super::down::everything`].
    pub fn ephemeral(&self) -> Self {
        let mut other = self.fresh();
        other.scope = Scope::Ephemeral;
        if let Some(root) = self.root.get() {
            other.root.get_or_init(|| root.clone());
        }
        other
    }

    /// The same request with this runtime.
    pub fn with_runtime(&self, kind: RuntimeKind) -> Self {
        let mut other = self.fresh();
        other.runtime = Some(match kind {
            RuntimeKind::Docker => Wanted::Docker,
            RuntimeKind::Process => Wanted::Process,
        });
        other
    }

    /// Where devenv.toml is looked for, and upwards from; as it was given.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn json(&self) -> bool {
        self.output == OutputFormat::Json
    }

    /// The folder that holds devenv.toml: the current one or the nearest above it. Absolute, links resolved.
    pub fn root(&self) -> Result<PathBuf, Fault> {
        match self.root.get() {
            Some(root) => Ok(root.clone()),
            None => root::of(&self.directory),
        }
    }

    /// The folder that state and identity belong to: the project's, or one in it for what leaves nothing behind.
    pub fn place(&self) -> Result<PathBuf, Fault> {
        let root = self.root()?;
        Ok(match self.scope {
            Scope::Worktree => root,
            Scope::Ephemeral => root.join(EPHEMERAL),
        })
    }

    /// As [`Context::root`], also of a project whose file is gone or is no file: the folder for which something was made.
    pub async fn find_root(&self) -> Result<PathBuf, Fault> {
        let root = match root::with_state(&self.directory)? {
            Some(root) => root,
            None => match self.root() {
                Ok(root) => root,
                Err(absent) => {
                    let start = root::start(&self.directory)?;
                    let found = identity::on_engine(&start).await;
                    found.map(|_| start).ok_or(absent)?
                }
            },
        };
        Ok(self.root.get_or_init(|| root).clone())
    }

    /// The checked file. The fault counts its errors and brings each.
    pub fn config(&self) -> Result<Arc<Config>, Fault> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let root = self.root()?;
        let config = config::load(&root).map_err(|errors| {
            self.source.get_or_init(|| errors.source_file.clone());
            errors.explain()
        })?;
        self.source.get_or_init(|| config.source.clone());
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }

    /// What is known of the project's files since the last time.
    fn files(&self) -> Result<Arc<FileCache>, Fault> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        let root = self.root()?;
        // Of the project's files, whoever asks.
        let cache = Store::new(&root).file_cache();
        let files = Arc::new(FileCache::load(&root, &cache));
        Ok(self.files.get_or_init(|| files).clone())
    }

    /// The plan of the file, its lock and its sources.
    pub fn plan(&self) -> Result<Arc<Plan>, Fault> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan.clone());
        }
        let config = self.config()?;
        let lock = self.lock()?;
        let sources = plan::sources(&self.root()?, &config, self.files()?.as_ref())
            .map_err(|error| error.explain())?;
        let plan = Arc::new(Plan::build(&config, &lock.pins(&config), &sources));
        // Circles of the file were found when it was read; this may be one over Dockerfiles.
        plan.graph().order().map_err(|circle| circle.explain())?;
        Ok(self.plan.get_or_init(|| plan).clone())
    }

    pub fn lock(&self) -> Result<Lock, Fault> {
        if let Some(lock) = self.lock.get() {
            return Ok(lock.clone());
        }
        Lock::read(&self.root()?).map_err(|error| error.explain())
    }

    /// For who only looks at what runs, or stops it: what the lock pins decides nothing of that. Who starts something next needs it.
    pub fn needs_no_lock(&self) -> Result<(), Fault> {
        let root = self.root()?;
        self.lock.get_or_init(|| {
            Lock::read(&root).unwrap_or_else(|error| {
                let fault = error.explain();
                let place = fault.site.map(|site| format!("{site}: "));
                let place = place.unwrap_or_default();
                anstream::eprintln!(
                    "warning: {place}{}; this command does without it, `devenv up` does not",
                    fault.message
                );
                Lock::default()
            })
        });
        Ok(())
    }

    pub fn store(&self) -> Result<Store, Fault> {
        Ok(Store::new(&self.place()?))
    }

    /// The tools for commands of the user's own: the lock decides nothing where it pins none.
    pub fn own_tools(&self) -> Result<Toolchain, Fault> {
        let config = self.config()?;
        let mut tools = config.toolchain.values();
        if !tools.any(|tool| tool.from.is_locked()) {
            self.needs_no_lock()?;
        }
        self.toolchain()
    }

    /// The tools of the file and its lock. In CI a tool that is not locked is an error, not a look-up.
    pub fn toolchain(&self) -> Result<Toolchain, Fault> {
        let tools = &self.config()?.toolchain;
        let locking = match session::is_ci() {
            true => Locking::Refuse,
            false => Locking::IfNeeded,
        };
        Ok(Toolchain::new(&self.root()?, tools, self.lock()?).locking(locking))
    }

    /// The runtime of this worktree. Says nothing to the engine yet.
    pub fn runtime(&self) -> Result<AnyRuntime, Fault> {
        Ok(self.engine()?.runtime)
    }

    pub fn images(&self) -> Result<Option<Images>, Fault> {
        Ok(self.engine()?.images)
    }

    /// Which runtime it is, chosen once for a command.
    pub fn choice(&self) -> Result<Choice, Fault> {
        if let Some(choice) = self.choice.get() {
            return Ok(choice.clone());
        }
        let choice = runtime::choose(self)?;
        Ok(self.choice.get_or_init(|| choice).clone())
    }

    /// As [`Context::choice`], also with a file that cannot be read.
    pub fn kind(&self) -> RuntimeKind {
        let choice = self.choice().or_else(|_| runtime::automatic(self));
        choice.map_or(RuntimeKind::Docker, |choice| choice.kind)
    }

    fn engine(&self) -> Result<Engine, Fault> {
        runtime::of_kind(self.choice()?.kind, self.identity()?)
    }

    /// Everything the steps of a run share.
    pub fn steps(&self, events: Events) -> Result<Steps, Fault> {
        Ok(Steps {
            root: self.root()?,
            config: self.config()?,
            plan: self.plan()?,
            store: self.store()?,
            toolchain: self.toolchain()?,
            engine: self.engine(),
            identity: self.identity()?,
            lock: self.lock()?,
            events,
            mode: Default::default(),
            files: self.files()?,
            forced: Default::default(),
            host_ports: match self.scope {
                Scope::Worktree => HostPorts::Wanted,
                Scope::Ephemeral => HostPorts::Free,
            },
            writers: Default::default(),
            listing: Default::default(),
            since: Default::default(),
            given: Default::default(),
        })
    }

    /// Where the app's database is reached from this machine, while it runs.
    pub async fn database(&self, id: &StepId) -> Result<Target, Fault> {
        self.needs_no_lock()?;
        let steps = self.steps(self.silent_events())?;
        if !steps.config.postgres.contains_key(&id.name) {
            return Err(Fault::new(format!("devenv.toml has no `{id}`")).class(FaultClass::Usage));
        }
        let outputs = steps.running().await?;
        let output = outputs.get(id).ok_or_else(|| {
            Fault::new(format!("`{id}` is not running"))
                .class(FaultClass::Environment)
                .help(format!("run `devenv up {id}` first"))
        })?;
        steps::postgres_target(&steps, id, output).await
    }

    /// A channel for events with nobody listening: for commands that show only their answer.
    pub fn silent_events(&self) -> Events {
        Events::channel().0
    }

    /// Prints an answer on stdout: JSON when asked for, else the text.
    pub fn answer(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json() {
            let json = serde_json::to_string_pretty(value).expect("answers are plain data");
            self.print(&format!("{json}\n"));
        } else {
            self.print(&text());
        }
    }

    /// Writes to stdout. A reader that has seen enough (`| head`) is no error; any other is told by [`Context::written`].
    pub fn print(&self, text: &str) {
        let mut out = anstream::stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written {
            self.not_written(&error);
        }
    }

    /// What could not be written to stdout is told by [`Context::written`], but for a reader that has gone.
    pub fn not_written(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.unwritten.get_or_init(|| error.to_string());
        }
    }

    /// Whether all answers came out.
    pub fn written(&self) -> Result<(), Fault> {
        match self.unwritten.get() {
            None => Ok(()),
            Some(why) => Err(Fault::new("cannot write to standard output")
                .class(FaultClass::Environment)
                .note(why)),
        }
    }

    /// The answer of a command that then fails: with JSON it is a part of what [`Context::fail`] prints.
    pub fn answer_of_failure(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json() {
            let json = serde_json::to_value(value).expect("answers are plain data");
            self.answer.get_or_init(|| json);
        } else {
            self.print(&text());
        }
    }

    /// Shows a failure on stderr.
    pub fn show(&self, fault: &Fault) {
        let source = self.source.get().map(Arc::as_ref);
        anstream::eprint!("{}", report::fault(fault, source));
        let root = self.root().unwrap_or_default();
        if let Some(folds) = system::folds(&root).filter(|_| !self.json()) {
            // As it stands: escapes of colour would be part of a command.
            eprint!("{}", folds.annotations(&self.located(fault)));
        }
    }

    /// With line and column of the keys that it names, where the file was read.
    pub fn located(&self, fault: &Fault) -> Fault {
        match self.source.get() {
            Some(source) => fault.clone().located(source),
            None => fault.clone(),
        }
    }

    /// Ends the JSON on stdout with the failure; nothing where none was asked for.
    pub fn print_failure(&self, fault: &Fault) {
        self.print_failure_with_code(fault, exit::number(fault.class));
    }

    /// As [`Context::print_failure`], where the command ends with a code of its own.
    pub fn print_failure_with_code(&self, fault: &Fault, exit_code: u8) {
        if self.json() {
            let fault = self.located(fault);
            self.print(&failure::line_with_code(
                &fault,
                self.answer.get(),
                exit_code,
            ));
        }
    }
}
