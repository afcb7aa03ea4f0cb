//! Takes the exit status of every child, also of those that were not started here but lost their parent.

use std::{cell::RefCell, collections::HashMap, io, rc::Rc};

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Pid → who waits for it.
type Waiting = Rc<RefCell<HashMap<i32, oneshot::Sender<i64>>>>;

pub struct Reaper {
    waiting: Waiting,
}

impl Reaper {
    /// To be called before the first child is started.
    pub fn start() -> io::Result<Self> {
        let waiting = Waiting::default();
        let mut children = signal(SignalKind::child())?;
        let reaped = waiting.clone();
        tokio::task::spawn_local(async move {
            while children.recv().await.is_some() {
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    let waiting = reaped.borrow_mut().remove(&pid.as_raw_nonzero().get());
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(code(status));
                    }
                }
            }
        });
        Ok(Self { waiting })
    }

    /// Resolves with the exit code of a child that was started just now, before anything was awaited.
    pub fn exit_of(&self, pid: Pid) -> oneshot::Receiver<i64> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(pid.as_raw_nonzero().get(), sender);
        receiver
    }
}

/// As shells and container engines tell it: a signal is 128 and its number.
fn code(status: WaitStatus) -> i64 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => i64::from(code),
        (None, Some(signal)) => 128 + i64::from(signal),
        (None, None) => -1,
    }
}
