//! Processes of this machine that have a mark in their environment, and all that they started but for what left their session.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::processes::{Held, Processes, variable};

/// How long a killed process may take: one that hangs in the kernel is not waited for for ever.
const KILL: Duration = Duration::from_secs(10);
/// Between two looks at what is left.
const POLL: Duration = Duration::from_millis(5);

/// What they are known by.
#[derive(Debug, Clone)]
pub struct Marked<'a> {
    pub variable: &'a str,
    /// What the variable says. No other processes have the same.
    pub mark: &'a str,
    /// A program that took a session of its own means to stay and is not touched.
    pub session: i32,
}

/// A process that is still there after SIGKILL, or may not be signalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    pub pid: i32,
    pub name: String,
}

impl<'a> Marked<'a> {
    /// Those in the session of the one that was started first; `None` when this user sees none.
    pub fn find(variable_name: &'a str, mark: &'a str) -> Option<Self> {
        let all = Processes::read();
        let marked = all.iter().filter(|(pid, _)| {
            variable(*pid, variable_name).is_some_and(|value| value == mark.as_bytes())
        });
        let (_, first) = marked.min_by_key(|(pid, stat)| (stat.started, *pid))?;
        Some(Self {
            variable: variable_name,
            mark,
            session: first.session,
        })
    }

    /// Ends those that [`Marked::find`] finds. No names when there are none.
    pub async fn end_found(
        variable: &'a str,
        mark: &'a str,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, Remaining> {
        while let Some(found) = Self::find(variable, mark) {
            let names = found.end(signal, grace).await?;
            // One that was just starting may have left for a session of its own.
            if !names.is_empty() {
                return Ok(names);
            }
        }
        Ok(BTreeSet::new())
    }

    /// Ends all of them: the signal, and SIGKILL for what is there after the grace. The names of what was ended.
    pub async fn end(
        &self,
        signal: Signal,
        grace: Duration,
    ) -> Result<BTreeSet<String>, Remaining> {
        let patience = Instant::now() + grace;
        let mut names = BTreeSet::new();
        let mut ending: BTreeMap<i32, (Held, String)> = BTreeMap::new();
        loop {
            ending.retain(|_, (process, _)| !process.has_ended());
            for process in Held::find(|all| self.tree(all)) {
                if let Entry::Vacant(entry) = ending.entry(process.pid) {
                    let name = process.name();
                    // What may not be signalled is told in the end.
                    let _ = process.signal(signal);
                    names.insert(name.clone());
                    entry.insert((process, name));
                }
            }
            let Some((pid, (_, name))) = ending.first_key_value() else {
                return Ok(names);
            };
            let now = Instant::now();
            if now > patience + KILL {
                let (pid, name) = (*pid, name.clone());
                return Err(Remaining { pid, name });
            }
            if now > patience {
                for (process, _) in ending.values() {
                    let _ = process.signal(Signal::KILL);
                }
            }
            sleep(POLL).await;
        }
    }

    /// Never this process, nor what it runs under.
    fn tree(&self, all: &Processes) -> BTreeSet<i32> {
        let above = all.above(std::process::id() as i32);
        let session = all
            .iter()
            .filter(|(pid, stat)| stat.session == self.session && !above.contains(pid));
        let (mut found, mut unmarked) = (BTreeSet::new(), Vec::new());
        for (pid, stat) in session {
            match variable(pid, self.variable) {
                Some(mark) if mark == self.mark.as_bytes() => {
                    found.insert(pid);
                }
                // Another devenv's: that one looks after it.
                Some(_) => {}
                None => unmarked.push((pid, stat.parent)),
            }
        }
        // What was given another environment is known by its parent.
        loop {
            let children = unmarked.extract_if(.., |(_, parent)| found.contains(parent));
            let children: Vec<i32> = children.map(|(pid, _)| pid).collect();
            if children.is_empty() {
                return found;
            }
            found.extend(children);
        }
    }
}
