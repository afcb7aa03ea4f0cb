//! The one process that stays while something of a worktree runs: it starts programs, keeps their output, starts them again as their
//! policies say, and ends with the last of them.
//!
//! One thread. Each step has a task that owns its instance; requests for a step are done one after the other.

mod child;
mod instance;
mod reaper;
mod serve;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
    task::LocalSet,
};

use super::{files::Files, record::Record, settle};
use crate::{
    config::StepId,
    sys::{
        fs::{Lock, TryLock, absent_is_fine},
        watch::until_removed,
    },
};
use instance::Handle;
use reaper::Reaper;

/// How long it waits for a first request, and after the last thing has ended.
const IDLE: Duration = Duration::from_secs(2);

/// What the tasks of the one thread share.
pub struct Shared {
    pub files: Files,
    /// First part of every mark.
    pub identity: String,
    /// This program, which is also what each child is started by.
    pub program: PathBuf,
    pub reaper: Reaper,
    pub instances: RefCell<BTreeMap<StepId, Handle>>,
    /// Connections that are being answered.
    pub busy: Cell<usize>,
    /// Something ended: perhaps all has.
    pub changed: Notify,
}

impl Shared {
    fn is_idle(&self) -> bool {
        let instances = self.instances.borrow();
        self.busy.get() == 0 && !instances.values().any(Handle::goes_on)
    }

    /// The task of the step, begun if there is none.
    pub fn handle(self: &Rc<Self>, step: &StepId) -> Handle {
        let mut instances = self.instances.borrow_mut();
        let handle = instances
            .entry(step.clone())
            .or_insert_with(|| instance::begin(self.clone(), step.clone(), None));
        handle.clone()
    }
}

/// Runs the supervisor of the worktree at `root` until there is nothing left to watch. At once when there is one already.
pub fn run(root: &Path, identity: &str, program: PathBuf) -> io::Result<()> {
    // Its terminal may go away; it does not.
    let _ = rustix::process::setsid();
    let files = Files::of(root);
    files.prepare()?;
    let holder = format!("pid {}", std::process::id());
    let TryLock::Locked(_lock) = Lock::try_acquire(&files.lock(), &holder)? else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, watch(files, identity.to_owned(), program))
}

async fn watch(files: Files, identity: String, program: PathBuf) -> io::Result<()> {
    settle::settle(&files, &identity).await?;
    // What loses its parent becomes a child of this process, so that nothing gets out of sight.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let listener = listen(&files)?;
    let known = files.records()?;
    let shared = Rc::new(Shared {
        reaper: Reaper::start()?,
        files,
        identity,
        program,
        instances: RefCell::default(),
        busy: Cell::new(0),
        changed: Notify::new(),
    });
    for record in known {
        let step = record.step.clone();
        let handle = instance::begin(shared.clone(), step.clone(), Some(record));
        shared.instances.borrow_mut().insert(step, handle);
    }
    tokio::select! {
        () = serve::serve(&shared, &listener) => {}
        () = until_idle(&shared) => {}
        () = told_to_end() => end_all(&shared).await,
        // Nobody could find it any more, nor what it watches.
        () = removed() => end_all(&shared).await,
    }
    // Whoever connects from now on finds nobody, and begins another.
    let _ = std::fs::remove_file(Files::SOCKET);
    Ok(())
}

/// Somebody deletes `.devenv`.
async fn removed() {
    if until_removed(Path::new("."), Files::SOCKET).await.is_err() {
        // The kernel has no more watches to give: then it is as where there are none.
        std::future::pending().await
    }
}

/// A socket in the current folder, which becomes that of the runtime's files.
fn listen(files: &Files) -> io::Result<UnixListener> {
    std::env::set_current_dir(files.run())?;
    absent_is_fine(std::fs::remove_file(Files::SOCKET))?;
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(Files::SOCKET);
    rustix::process::umask(before);
    listener
}

async fn until_idle(shared: &Shared) {
    loop {
        while shared.is_idle() {
            let changed = tokio::time::timeout(IDLE, shared.changed.notified()).await;
            if changed.is_err() && shared.is_idle() {
                return;
            }
        }
        shared.changed.notified().await;
    }
}

async fn told_to_end() {
    let both = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = both else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Ends all that runs, each within its grace, and keeps what is known of it.
async fn end_all(shared: &Rc<Shared>) {
    let handles: Vec<Handle> = shared.instances.borrow().values().cloned().collect();
    let ends = handles.iter().map(Handle::stop);
    futures_util::future::join_all(ends).await;
}

/// What is known of all instances.
pub fn records(shared: &Shared) -> Vec<Record> {
    let instances = shared.instances.borrow();
    instances.values().filter_map(Handle::record).collect()
}
