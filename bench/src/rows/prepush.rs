//! A pre-push hook that has nothing to do, in a repository of 10,000 files: devenv knows the tree, the others run one no-op hook.
//!
//! One sample is the hook's script, started as git does: in the checkout, with remote and address as arguments and a line of
//! refs as input, from spawn to exit.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{DEVENV, Tools, ms};
use crate::{
    Error,
    measure::{Measurement, Side, Unit, turns},
    process,
    scene::Scene,
};

const FILES: usize = 10_000;
const PER_FOLDER: usize = 100;
/// Rounds before those that count: programs and files are read from the disk, trees get known.
const WARM_UP: usize = 3;
/// Does nothing, as cheap as a hook can.
const BARE: &str = "bare hook";

/// A program on PATH that installs hooks, with what it installs them by.
const PEERS: [(&str, &[&str]); 4] = [
    ("prek", &["install", "--hook-type", "pre-push"]),
    ("pre-commit", &["install", "--hook-type", "pre-push"]),
    ("lefthook", &["install"]),
    ("hk", &["install"]),
];

/// What each tool reads: one hook that does nothing.
const CONFIGURATION: [(&str, &str); 5] = [
    (
        "devenv.toml",
        "[project]\nname = \"pushed\"\n[task.nothing]\nrun = \"true\"\n[hook.pre-push]\nrun = [\"task.nothing\"]\n",
    ),
    (".gitignore", ".devenv/\n"),
    (
        ".pre-commit-config.yaml",
        "repos:\n  - repo: local\n    hooks:\n      - id: nothing\n        name: nothing\n        language: system\n        \
         entry: \"true\"\n        pass_filenames: false\n        always_run: true\n        stages: [pre-push]\n",
    ),
    (
        "lefthook.yml",
        "pre-push:\n  jobs:\n    - name: nothing\n      run: \"true\"\n",
    ),
    (
        "hk.pkl",
        "amends \"Config.pkl\"\nhooks { [\"pre-push\"] { steps { [\"nothing\"] { check = \"true\" } } } }\n",
    ),
];

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Vec<Measurement>, Error> {
    let folder = scene.folder()?;
    let hooks = prepare(&folder, tools).await?;
    let mut sides: Vec<_> = hooks.iter().map(|hook| Side::new(hook.name)).collect();
    for (round, side) in turns(tools.rounds + WARM_UP, sides.len()) {
        let taken = process::timed(hooks[side].command(&folder)?).await?;
        if round >= WARM_UP {
            sides[side].samples.push(ms(taken));
        }
    }
    let bare = sides.iter().find(|side| side.name == BARE);
    let bare = bare.ok_or("a bare hook")?.samples.clone();
    let over = sides[0]
        .samples
        .iter()
        .zip(bare)
        .map(|(ours, bare)| ours - bare);
    let over = Side {
        name: DEVENV,
        samples: over.collect(),
    };
    Ok(vec![
        Measurement {
            row: "prepush",
            what: "a pre-push hook with nothing to do, 10,000 files, from spawn to exit",
            unit: Unit::Ms,
            sides,
            steps: BTreeMap::new(),
        },
        Measurement {
            row: "prepush-over-bare",
            what: "what it takes longer than a hook that is `exit 0`, round by round",
            unit: Unit::Ms,
            sides: vec![over],
            steps: BTreeMap::new(),
        },
    ])
}

/// A hook's script, in a clone of its own.
struct Hook {
    name: &'static str,
    clone: PathBuf,
    path: String,
}

impl Hook {
    fn command(&self, folder: &Path) -> Result<Command, Error> {
        let mut command = process::command(
            &self.clone.join(".git/hooks/pre-push"),
            &["origin", "remote"],
        );
        command
            .current_dir(&self.clone)
            .env("PATH", &self.path)
            .env("HOME", folder)
            .stdin(Stdio::from(File::open(folder.join("refs"))?));
        Ok(command)
    }
}

/// A repository with two commits, the first of which is pushed, and a clone with a hook for each side.
async fn prepare(folder: &Path, tools: &Tools) -> Result<Vec<Hook>, Error> {
    eprintln!("preparing: a repository of {FILES} files and a clone for each side");
    let origin = folder.join("origin");
    fs::create_dir(&origin)?;
    git(&origin, &["init", "-q", "-b", "main"]).await?;
    for (name, text) in CONFIGURATION {
        fs::write(origin.join(name), text)?;
    }
    for number in 0..FILES - CONFIGURATION.len() {
        let dir = origin.join(format!("src/{}", number / PER_FOLDER));
        fs::create_dir_all(&dir)?;
        fs::write(
            dir.join(format!("{number}.txt")),
            format!("file {number}\n"),
        )?;
    }
    commit(&origin).await?;
    git(folder, &["clone", "-q", "--bare", "origin", "remote.git"]).await?;
    fs::write(origin.join("src/0/0.txt"), "changed\n")?;
    commit(&origin).await?;
    let [new, old] = [
        git(&origin, &["rev-parse", "HEAD"]).await?,
        git(&origin, &["rev-parse", "HEAD~1"]).await?,
    ];
    let line = format!(
        "refs/heads/main {} refs/heads/main {}\n",
        new.trim(),
        old.trim()
    );
    fs::write(folder.join("refs"), line)?;

    let own = tools.devenv.parent().ok_or("devenv is in no folder")?;
    let path = format!("{}:{}", own.display(), std::env::var("PATH")?);
    let mut hooks = Vec::new();
    let devenv: (&'static str, &[&str]) = (DEVENV, &["hooks", "install"]);
    for (name, install) in [devenv, (BARE, &[])].into_iter().chain(PEERS) {
        let clone = folder.join(name.replace(' ', "-"));
        let target = clone.display().to_string();
        git(folder, &["clone", "-q", "origin", &target]).await?;
        git(&clone, &["remote", "set-url", "origin", "../remote.git"]).await?;
        git(
            &clone,
            &["update-ref", "refs/remotes/origin/main", old.trim()],
        )
        .await?;
        let hook = Hook {
            name,
            clone,
            path: path.clone(),
        };
        match hook.install(folder, install).await {
            Ok(()) => hooks.push(hook),
            Err(error) if PEERS.iter().any(|(peer, _)| *peer == name) => {
                eprintln!("without {name}: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(hooks)
}

impl Hook {
    async fn install(&self, folder: &Path, args: &[&str]) -> Result<(), Error> {
        if self.name == BARE {
            return bare(&self.clone.join(".git/hooks/pre-push"));
        }
        let mut command = process::command(Path::new(self.name), args);
        command
            .current_dir(&self.clone)
            .env("PATH", &self.path)
            .env("HOME", folder);
        process::output(command).await.map(drop)
    }
}

fn bare(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.parent().ok_or("a hook is in a folder")?)?;
    fs::write(path, "#!/bin/sh\nexit 0\n")?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}

async fn commit(repository: &Path) -> Result<(), Error> {
    git(repository, &["add", "-A"]).await?;
    let author = [
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.com",
    ];
    let commit = ["commit", "-q", "-m", "a commit"];
    git(repository, &[&author[..], &commit[..]].concat()).await?;
    Ok(())
}

async fn git(folder: &Path, args: &[&str]) -> Result<String, Error> {
    let mut command = process::command(Path::new("git"), args);
    command.current_dir(folder);
    process::output(command).await
}
