//! The tools, each as its own documentation configures "run this command before a push".

use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Devenv,
    Lefthook,
    Prek,
    PreCommit,
    Hk,
}

impl Tool {
    pub fn chosen() -> Self {
        let name = std::env::var("DEVENV_PREPUSH_TOOL");
        let name = name.as_deref().unwrap_or("devenv");
        let all = [
            Self::Devenv,
            Self::Lefthook,
            Self::Prek,
            Self::PreCommit,
            Self::Hk,
        ];
        let found = all.into_iter().find(|tool| tool.name() == name);
        found.unwrap_or_else(|| panic!("no tool is called `{name}`"))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Devenv => "devenv",
            Self::Lefthook => "lefthook",
            Self::Prek => "prek",
            Self::PreCommit => "pre-commit",
            Self::Hk => "hk",
        }
    }

    /// Writes its configuration into the folder of a repository: `check` is run before each push.
    pub fn configure(self, world: &World, folder: &str, check: &str) {
        let (file, text) = match self {
            Self::Devenv => (
                "devenv.toml",
                format!(
                    "[project]\nname = \"pushed\"\n[task.check]\nrun = \"{check}\"\n[hook.pre-push]\nrun = [\"task.check\"]\n"
                ),
            ),
            Self::Lefthook => (
                "lefthook.yml",
                format!("pre-push:\n  jobs:\n    - name: check\n      run: {check}\n"),
            ),
            Self::Prek | Self::PreCommit => (
                ".pre-commit-config.yaml",
                format!(
                    "repos:\n  - repo: local\n    hooks:\n      - id: check\n        name: check\n        language: system\n        \
                     entry: {check}\n        pass_filenames: false\n        always_run: true\n        stages: [pre-push]\n"
                ),
            ),
            Self::Hk => (
                "hk.pkl",
                format!(
                    "amends \"Config.pkl\"\nhooks {{ [\"pre-push\"] {{ steps {{ [\"check\"] {{ check = \"{check}\" }} }} }} }}\n"
                ),
            ),
        };
        world.git.write(&format!("{folder}/{file}"), &text);
        world
            .git
            .write(&format!("{folder}/.gitignore"), ".devenv/\n");
    }

    /// Lets git call it.
    #[track_caller]
    pub fn install(self, world: &World, folder: &str) {
        let args: &[&str] = match self {
            Self::Devenv => &["hooks", "install"],
            Self::Lefthook | Self::Hk => &["install"],
            Self::Prek | Self::PreCommit => &["install", "--hook-type", "pre-push"],
        };
        let ran = world.git.run(folder, self.name(), args);
        assert_eq!(ran.code, 0, "{} install: {}", self.name(), ran.all());
    }
}
