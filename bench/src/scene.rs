//! What a row makes on this machine, written down before it is made and removed at the end.

use std::{path::PathBuf, process::Stdio, sync::Mutex};

use tokio::process::Command;

/// Names everything of this run.
pub fn prefix() -> String {
    format!("devenv-bench-{}", std::process::id())
}

#[derive(Default)]
pub struct Scene {
    leftovers: Mutex<Vec<Leftover>>,
}

#[derive(Debug)]
pub enum Leftover {
    Folder(PathBuf),
    Image(String),
    /// A command that removes the rest: `down`.
    Command {
        program: PathBuf,
        args: Vec<String>,
    },
    /// Containers whose names begin so, then the network of that name.
    Engine(String),
}

impl Scene {
    pub fn will_leave(&self, leftover: Leftover) {
        self.leftovers
            .lock()
            .expect("no panic while it is held")
            .push(leftover);
    }

    /// A folder of this run.
    pub fn folder(&self) -> std::io::Result<PathBuf> {
        let path = tempfile::Builder::new()
            .prefix("devenv-bench-")
            .tempdir()?
            .keep();
        self.will_leave(Leftover::Folder(path.clone()));
        Ok(path)
    }

    /// Removes everything, the newest first.
    pub async fn clean(&self) {
        loop {
            let leftover = self
                .leftovers
                .lock()
                .expect("no panic while it is held")
                .pop();
            match leftover {
                Some(leftover) => remove(leftover).await,
                None => return,
            }
        }
    }
}

async fn remove(leftover: Leftover) {
    let failure = match &leftover {
        Leftover::Folder(path) => std::fs::remove_dir_all(path)
            .err()
            .map(|error| error.to_string()),
        Leftover::Image(tag) => run(Command::new("docker").args(["image", "rm", tag])).await,
        Leftover::Command { program, args } => run(Command::new(program).args(args)).await,
        Leftover::Engine(name) => crate::engine::remove(name)
            .await
            .err()
            .map(|error| error.to_string()),
    };
    if let Some(failure) = failure {
        eprintln!("warning: could not remove {leftover:?}: {failure}");
    }
}

/// What it said when it failed.
async fn run(command: &mut Command) -> Option<String> {
    match command.stdin(Stdio::null()).output().await {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}
