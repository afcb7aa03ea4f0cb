//! Another user of this machine, who may not use the engine's socket.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    process::Command,
};

use super::{Project, Ran};

/// Of user and group.
const NOBODY: u32 = 65534;

impl Project {
    /// The folder and all in it become the other user's, who has a home there.
    pub fn give_to_nobody(&self) {
        fs::create_dir_all(self.join("home")).expect("a folder");
        let own = |path: &str| chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
        self.files().keys().for_each(|path| own(path));
        own(&self.path().display().to_string());
    }

    pub fn command_of_nobody(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .env("HOME", self.join("home"));
        for name in [
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
            "DOCKER_HOST",
            "XDG_RUNTIME_DIR",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub fn as_nobody(&self, args: &[&str]) -> Ran {
        let output = self.command_of_nobody(args).output().expect("devenv runs");
        Ran::from(output, self.path())
    }

    /// Runs it and insists on success.
    #[track_caller]
    pub fn ok_as_nobody(&self, args: &[&str]) -> Ran {
        let ran = self.as_nobody(args);
        assert_eq!(ran.code, 0, "devenv {}:\n{}", args.join(" "), ran.all());
        ran
    }
}
