//! A project in a temporary folder, driven through the real binary. Everything it made is removed when it is dropped.

mod dockerd;
pub mod engine;
pub mod git;
mod home;
pub mod http;
pub mod image;
mod nobody;
mod registry;
mod running;
mod server;
mod state;
pub mod terminal;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

pub use dockerd::Dockerd;
pub use home::Home;
pub use registry::Registry;
pub use running::{Running, Signal};
pub use server::{Reply, Server};

/// Writes an executable, through another process: a child that another test forks while this process writes would hold the
/// file open, and then it cannot be run.
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    use std::io::Write;
    let mut install = Command::new("install")
        .args(["-D", "-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("coreutils");
    let mut stdin = install.stdin.take().expect("a pipe");
    stdin.write_all(content.as_ref()).expect("written");
    drop(stdin);
    assert!(install.wait().expect("it ends").success());
}

/// For a state that nothing tells of.
pub fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A throw-away project.
pub struct Project {
    /// Removed with it.
    _dir: Arc<tempfile::TempDir>,
    root: PathBuf,
    /// As `DEVENV_RUNTIME` says, if it is set.
    runtime: Option<&'static str>,
    /// As `DOCKER_HOST` says, if it is another than the machine's, and the file of its network.
    engine: Option<(String, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An empty project folder with this devenv.toml.
    pub fn new(config: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-test-")
            .tempdir()
            .expect("a temporary folder");
        let project = Self::at(dir, "");
        project.write("devenv.toml", config);
        project
    }

    fn at(dir: tempfile::TempDir, folder: &str) -> Self {
        // Without a trailing slash, also when there is no folder.
        let root = dir.path().join(folder).components().collect();
        Self {
            _dir: Arc::new(dir),
            root,
            runtime: None,
            engine: None,
        }
    }

    /// In a folder of this name.
    pub fn in_folder(folder: &str, config: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-test-")
            .tempdir()
            .expect("a temporary folder");
        let project = Self::at(dir, folder);
        project.write("devenv.toml", config);
        project
    }

    /// The same project, for this runtime.
    pub fn on(&self, runtime: &'static str) -> Self {
        Self {
            _dir: self._dir.clone(),
            root: self.root.clone(),
            runtime: Some(runtime),
            engine: self.engine.clone(),
        }
    }

    /// The same project, on this engine.
    pub fn on_engine(&self, engine: &Dockerd) -> Self {
        let mut project = self.on("docker");
        project.engine = Some((engine.address(), engine.network()));
        project
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.join(path);
        fs::create_dir_all(path.parent().expect("a file in the project")).expect("its folder");
        fs::write(path, text).expect("a written file");
        self
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).expect("a readable file")
    }

    /// A program where the ports of the project's engine are.
    pub fn command_beside(&self, program: &str) -> Command {
        match &self.engine {
            None => Command::new(program),
            Some((_, network)) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net={network}"))
                    .args(["--", program]);
                command
            }
        }
    }

    /// `devenv` in the project's folder, with an environment that does not depend on who runs the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_beside(env!("CARGO_BIN_EXE_devenv"));
        command
            .args(args)
            .current_dir(self.path())
            .env_remove("DEVENV_OUTPUT")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITHUB_STEP_SUMMARY")
            .env_remove("GITHUB_BASE_REF")
            .env_remove("GITHUB_EVENT_PATH")
            .env_remove("GITLAB_CI")
            .env_remove("DEVENV_RUNTIME")
            .envs(self.runtime.map(|runtime| ("DEVENV_RUNTIME", runtime)))
            .envs(
                self.engine
                    .iter()
                    .map(|(address, _)| ("DOCKER_HOST", address)),
            )
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("devenv runs");
        Ran::from(output, self.path())
    }

    /// Runs it and insists on success.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "devenv {}:\n{}", args.join(" "), ran.all());
        ran
    }
}

impl Ran {
    pub fn from(output: Output, root: &Path) -> Self {
        let text = |bytes: Vec<u8>| {
            String::from_utf8_lossy(&bytes).replace(&root.display().to_string(), "[ROOT]")
        };
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if Arc::strong_count(&self._dir) > 1 {
            return;
        }
        // Best effort: a project that never started anything has nothing to remove.
        let _ = self.command(&["down", "--volumes", "--images"]).output();
    }
}
