//! What programs last said, for the failure that it may explain.

use futures_util::TryStreamExt;

use super::{Cx, HostPorts};
use crate::{
    config::{RAISE_TIMEOUT, StepId},
    event::{Explain, Fault, FaultClass},
    runtime::{LogOptions, Runs, Runtime},
};

/// Lines of each.
const LINES: u64 = 15;

impl Cx<'_> {
    /// A failure of what this step runs.
    pub(super) async fn with_last_log(&self, mut fault: Fault) -> Fault {
        if fault.class == FaultClass::Interrupted {
            return fault;
        }
        fault.notes.push(match self.last_log(self.id()).await {
            Ok(lines) if lines.is_empty() => "it has printed nothing".to_owned(),
            Ok(lines) => format!("its last output:\n{}", lines.join("\n")),
            Err(error) => format!("its log cannot be read: {error}"),
        });
        let more = self.where_more_is(self.id());
        fault.help = Some(match fault.help {
            None => more,
            Some(help) if help == RAISE_TIMEOUT => format!("{more}, or {help}"),
            Some(help) => help,
        });
        fault
    }

    /// A failure of what asks those of these steps that keep running.
    pub(super) async fn with_logs_of(
        &self,
        mut fault: Fault,
        steps: impl IntoIterator<Item = &StepId>,
    ) -> Fault {
        let steps = steps.into_iter().filter(|id| id.kind.is_running_service());
        let steps: Vec<_> = steps.cloned().collect();
        // They may have been started by another run, whose secrets were never read in this one.
        self.steps.mask_secrets(&steps).await;
        for id in &steps {
            fault.notes.push(match self.last_log(id).await {
                Ok(lines) if lines.is_empty() => format!("`{id}` has printed nothing"),
                Ok(lines) => format!("last output of `{id}`:\n{}", lines.join("\n")),
                Err(error) => format!("the log of `{id}` cannot be read: {error}"),
            });
        }
        if let (None, [first, ..]) = (&fault.help, steps.as_slice()) {
            fault.help = Some(self.where_more_is(first));
        }
        fault
    }

    /// What is made for one run is gone when its failures are read.
    fn where_more_is(&self, id: &StepId) -> String {
        match self.steps.host_ports {
            HostPorts::Wanted => format!("see `devenv logs {id}`"),
            HostPorts::Free => format!("run `devenv up {id}`, then see `devenv logs {id}`"),
        }
    }

    async fn last_log(&self, id: &StepId) -> Result<Vec<String>, Fault> {
        let options = LogOptions {
            tail: Some(LINES),
            runs: Runs::SinceStart,
            ..LogOptions::default()
        };
        let lines = self.steps.runtime()?.logs(id, options);
        let lines = lines.map_ok(|line| line.text).try_collect().await;
        lines.map_err(|error| error.explain())
    }
}
