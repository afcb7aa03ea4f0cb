//! What is known of one thing that was started: kept by the supervisor, read by everybody.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::group::Pipe;
use crate::{
    config::{Restart, StepId},
    plan::Inputs,
    runtime::{InstanceState, MadeWith},
    sys::processes::Leader,
};

/// A program to run, and how it is kept running and stopped. Holds secrets: its file is for its owner alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Absolute path.
    pub cwd: String,
    /// Name of the user it runs as, when devenv is root.
    pub user: Option<String>,
    pub restart: Restart,
    /// `SIGTERM`
    pub stop_signal: String,
    pub stop_grace: Duration,
}

/// One thing that was started, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Another one for each replacement.
    pub id: String,
    pub step: StepId,
    pub launch: Launch,
    /// Port name → port.
    pub ports: BTreeMap<String, u16>,
    pub inputs: Inputs,
    /// Milliseconds since the Unix epoch.
    pub created: u64,
    /// When the present or last run began, as well.
    pub started: u64,
    pub phase: Phase,
    /// Number of the present run, or of the last one; each start begins another.
    pub run: u64,
    /// Number of the first run since it was started on purpose, not by its restart policy.
    pub first_run: u64,
    /// Exit code of the last run that ended since it was asked to run.
    pub last_code: Option<i64>,
}

/// Where it is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    Running {
        leader: Leader,
        /// Those its output goes to.
        #[serde(default)]
        pipes: Vec<Pipe>,
    },
    /// Ended, to be started again by its restart policy.
    Waiting,
    Exited {
        code: i64,
    },
}

impl Record {
    pub fn state(&self) -> InstanceState {
        match self.phase {
            Phase::Running { .. } => InstanceState::Running,
            Phase::Waiting => InstanceState::Restarting,
            Phase::Exited { code } => InstanceState::Exited { code },
        }
    }

    pub fn made_with(&self) -> MadeWith {
        MadeWith {
            environment: self.launch.env.clone(),
            inputs: self.inputs.clone(),
        }
    }

    /// Code of the last end since it was started on purpose; `None` while there was none.
    pub fn ended(&self) -> Option<i64> {
        match self.phase {
            Phase::Exited { code } => Some(code),
            Phase::Running { .. } | Phase::Waiting => self.last_code,
        }
    }
}

/// What follows when a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    StartIn(Duration),
}

/// The first pause before it is started again; it doubles with each run that was short.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run this long counts as a success: the pauses begin anew. As Docker has it.
const LONG: Duration = Duration::from_secs(10);

/// The pauses of one thing that is kept running.
#[derive(Debug, Default)]
pub struct Backoff {
    short_runs: u32,
}

impl Backoff {
    pub fn next(&mut self, restart: Restart, code: i64, ran: Duration) -> Next {
        let again = match restart {
            Restart::No => false,
            Restart::OnFailure => code != 0,
            Restart::UnlessStopped => true,
        };
        if !again {
            return Next::Stay;
        }
        if ran >= LONG {
            self.short_runs = 0;
        }
        let pause = FIRST_PAUSE * 2u32.saturating_pow(self.short_runs.min(16));
        self.short_runs += 1;
        Next::StartIn(pause.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_and_pauses_double_until_a_long_run() {
        let short = Duration::from_millis(5);
        for (restart, code, again) in [
            (Restart::No, 1, false),
            (Restart::OnFailure, 0, false),
            (Restart::OnFailure, 1, true),
            (Restart::UnlessStopped, 0, true),
        ] {
            let next = Backoff::default().next(restart, code, short);
            assert_eq!(next != Next::Stay, again, "{restart:?} {code}");
        }
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let Next::StartIn(pause) = backoff.next(Restart::UnlessStopped, 1, short) else {
                panic!("it is kept running");
            };
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[10..], [60_000, 60_000]);
        let next = backoff.next(Restart::UnlessStopped, 1, LONG);
        assert_eq!(next, Next::StartIn(FIRST_PAUSE));
    }
}
