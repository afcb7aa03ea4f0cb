//! Real repositories in a folder, and git with an environment that does not depend on who runs the tests.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Ran;

/// A folder for repositories.
pub struct Git {
    _dir: tempfile::TempDir,
    root: PathBuf,
    /// What comes before everything else on PATH.
    path: String,
}

impl Git {
    /// `devenv` is the one under test.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("devenv-git-").tempdir();
        let dir = dir.expect("a temporary folder");
        let root = dir.path().canonicalize().expect("a folder");
        let devenv = Path::new(env!("CARGO_BIN_EXE_devenv"));
        let git = Self {
            path: format!("{}:", devenv.parent().expect("its folder").display()),
            _dir: dir,
            root,
        };
        let config = "[user]\nname = a\nemail = a@example.com\n[init]\ndefaultBranch = main\n\
            [protocol \"file\"]\nallow = always\n[advice]\ndetachedHead = false\n[gc]\nauto = 0\n";
        fs::write(git.root.join("gitconfig"), config).expect("written");
        git
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Any program, in this folder.
    pub fn command(&self, folder: &str, program: impl AsRef<OsStr>) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") || text.starts_with("DEVENV_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.join(folder))
            .env("HOME", &self.root)
            .env("XDG_DATA_HOME", self.join("data"))
            .env("XDG_CACHE_HOME", self.join("cache"))
            .env("GIT_CONFIG_GLOBAL", self.join("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("PATH", format!("{}{path}", self.path))
            .env("NO_COLOR", "1")
            .env_remove("CI")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, folder: &str, program: &str, args: &[&str]) -> Ran {
        let output = self.command(folder, program).args(args).output();
        Ran::from(output.expect("it runs"), &self.root)
    }

    /// `git`, which may fail.
    pub fn try_git(&self, folder: &str, args: &[&str]) -> Ran {
        self.run(folder, "git", args)
    }

    /// `git`, its standard output without the last line break.
    #[track_caller]
    pub fn git(&self, folder: &str, args: &[&str]) -> String {
        let ran = self.try_git(folder, args);
        assert_eq!(ran.code, 0, "git {}:\n{}", args.join(" "), ran.all());
        ran.stdout.trim_end().to_owned()
    }

    pub fn devenv(&self, folder: &str, args: &[&str]) -> Ran {
        self.run(folder, env!("CARGO_BIN_EXE_devenv"), args)
    }

    /// `devenv`, which must succeed.
    #[track_caller]
    pub fn ok(&self, folder: &str, args: &[&str]) -> Ran {
        let ran = self.devenv(folder, args);
        assert_eq!(ran.code, 0, "devenv {}:\n{}", args.join(" "), ran.all());
        ran
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).unwrap_or_default()
    }
}
