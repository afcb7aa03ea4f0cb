//! devenv as a side: one project, driven by its binary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error, process,
    scene::{Leftover, Scene},
};

pub struct Devenv {
    binary: PathBuf,
    project: PathBuf,
    runtime: Runtime,
}

/// What keeps its services running.
#[derive(Debug, Clone, Copy)]
pub enum Runtime {
    Docker,
    Process,
}

impl Runtime {
    fn arg(self) -> &'static str {
        match self {
            Runtime::Docker => "--runtime=docker",
            Runtime::Process => "--runtime=process",
        }
    }
}

/// A row of `devenv ps --output json`.
#[derive(Debug, Deserialize)]
pub struct Running {
    pub step: String,
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    pub image: Option<String>,
}

/// What an `up` said of itself.
pub struct Up {
    pub finished: Instant,
    /// Step → milliseconds, of those that ran.
    pub steps: BTreeMap<String, f64>,
}

impl Devenv {
    /// The project is taken down with its data and images at the end.
    pub fn new(binary: &Path, project: &Path, runtime: Runtime, scene: &Scene) -> Self {
        let args = [
            runtime.arg(),
            "-C",
            &project.to_string_lossy(),
            "down",
            "--volumes",
            "--images",
        ];
        scene.will_leave(Leftover::Command {
            program: binary.to_owned(),
            args: args.map(str::to_owned).to_vec(),
        });
        Self {
            binary: binary.to_owned(),
            project: project.to_owned(),
            runtime,
        }
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = process::command(&self.binary, args);
        command.arg(self.runtime.arg()).current_dir(&self.project);
        command
    }

    pub async fn up(&self) -> Result<Duration, Error> {
        process::timed(self.command(&["up"])).await
    }

    pub async fn up_with_events(&self) -> Result<Up, Error> {
        let text = process::output(self.command(&["up", "--output", "json"])).await?;
        Ok(Up {
            finished: Instant::now(),
            steps: step_times(&text)?,
        })
    }

    pub async fn peak_memory_of_up(&self) -> Result<u64, Error> {
        process::peak_memory(self.command(&["up"]).into_std()).await
    }

    /// Keeps the data.
    pub async fn down(&self) -> Result<Duration, Error> {
        process::timed(self.command(&["down"])).await
    }

    /// Down, without its data.
    pub async fn remove(&self) -> Result<(), Error> {
        process::output(self.command(&["down", "--volumes"]))
            .await
            .map(drop)
    }

    pub async fn running(&self, step: &str) -> Result<Running, Error> {
        let text = process::output(self.command(&["ps", "--output", "json"])).await?;
        let rows: Vec<Running> = serde_json::from_str(&text)?;
        let row = rows.into_iter().find(|row| row.step == step);
        row.ok_or_else(|| format!("`devenv ps` does not show `{step}`").into())
    }
}

/// How long each step that did something took, from `up --output json`.
fn step_times(lines: &str) -> Result<BTreeMap<String, f64>, Error> {
    let mut steps = BTreeMap::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line)?;
        let (step, ms) = (event["step"].as_str(), event["duration_ms"].as_f64());
        let finished = event["event"] == "step-finished" && event["outcome"]["outcome"] == "done";
        if let (true, Some(step), Some(ms)) = (finished, step, ms) {
            steps.insert(step.to_owned(), ms);
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_of_steps_that_ran() {
        let lines = r#"{"at_ms":0,"event":"run-started","command":"up","project":"x","steps":[],"plan":"0"}
{"at_ms":1,"event":"step-started","step":"postgres.db","action":"start","reasons":[]}
{"at_ms":9,"event":"step-finished","step":"toolchain.rust","outcome":{"outcome":"skipped"},"duration_ms":1}
{"at_ms":99,"event":"step-finished","step":"postgres.db","outcome":{"outcome":"done","summary":"Started"},"duration_ms":98}
{"at_ms":99,"event":"run-finished","outcome":{"outcome":"done","summary":"x"},"duration_ms":99}"#;
        assert_eq!(
            step_times(lines).unwrap(),
            BTreeMap::from([("postgres.db".to_owned(), 98.0)])
        );
        assert!(step_times("no JSON").is_err());
    }
}
