//! docker compose as a side: one project, from a file that is made here.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{
    Error, process,
    scene::{Leftover, Scene, prefix},
};

pub struct Compose {
    binary: PathBuf,
    file: PathBuf,
}

impl Compose {
    /// Writes the file (JSON is YAML); the project is taken down with its data at the end.
    pub fn new(
        binary: &Path,
        folder: &Path,
        content: &Value,
        scene: &Scene,
    ) -> Result<Self, Error> {
        let file = folder.join("compose.yaml");
        // A lone dollar would be compose's own variable.
        fs::write(&file, content.to_string().replace('$', "$$"))?;
        let compose = Self {
            binary: binary.to_owned(),
            file,
        };
        let args = compose.args(&["down", "--volumes", "--timeout", "1"]);
        scene.will_leave(Leftover::Command {
            program: compose.binary.clone(),
            args,
        });
        Ok(compose)
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let file = self.file.to_string_lossy();
        let project = ["--file", &file, "--project-name", &prefix()].map(str::to_owned);
        project
            .into_iter()
            .chain(args.iter().map(|arg| (*arg).to_owned()))
            .collect()
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let args = self.args(args);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        process::command(&self.binary, &args)
    }

    pub async fn up(&self) -> Result<Duration, Error> {
        process::timed(self.command(&["up", "--detach"])).await
    }

    pub async fn up_and_wait(&self) -> Result<Duration, Error> {
        process::timed(self.command(&["up", "--detach", "--wait"])).await
    }

    pub async fn peak_memory_of_up(&self) -> Result<u64, Error> {
        process::peak_memory(self.command(&["up", "--detach", "--wait"]).into_std()).await
    }

    pub async fn down(&self) -> Result<(), Error> {
        let down = process::output(self.command(&["down", "--volumes", "--timeout", "1"])).await;
        match down {
            // The engine may lose count of a network's endpoints: it keeps the empty network, which the next `up` finds.
            Err(error) if error.to_string().contains("has active endpoints") => {
                eprintln!("warning: {error}");
                Ok(())
            }
            down => down.map(drop),
        }
    }
}
