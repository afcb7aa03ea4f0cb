//! A project on disk, beside a model of all that its task depends on and of what the task makes of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::Random;
use crate::{
    config::{self, StepId},
    event::{Events, Fault},
    lockfile::Lock,
    plan::{self, Digest, FileCache, Locked, Output, Outputs, Plan, Verdict},
    runtime::Identity,
    steps::{HostPorts, Steps},
    store::Store,
    toolchain::Toolchain,
};

pub const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub const TARGETS: usize = 3;
const LISTS: [&str; 3] = [
    r#"["src/*.in", "maybe.txt"]"#,
    r#"["maybe.txt", "src/*.in", "other/*.in"]"#,
    r#"["src/**/*.in", "maybe.txt"]"#,
];

/// What is at `src/<name>.in`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    File {
        content: usize,
        executable: bool,
    },
    /// To `targets/<number>`, which no input names.
    Link(usize),
}

/// All that the task depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Model {
    pub files: BTreeMap<&'static str, Entry>,
    pub targets: [usize; TARGETS],
    /// `maybe.txt`, named without wildcards.
    pub maybe: Option<usize>,
    pub script: usize,
    pub level: Option<usize>,
    pub list: usize,
    /// What the tool is, and the lock's pin of it.
    pub tool: usize,
    pub upstream: usize,
}

impl Model {
    pub fn random(random: &mut Random) -> Self {
        let mut model = Self::default();
        for _ in 0..12 {
            model.mutate(random);
        }
        model
    }

    /// Changes one thing that matters.
    pub fn mutate(&mut self, random: &mut Random) {
        let before = self.key();
        while self.key() == before {
            self.try_mutate(random);
        }
    }

    fn try_mutate(&mut self, random: &mut Random) {
        let name = *random.pick(&NAMES);
        match random.below(11) {
            0 | 1 => {
                let entry = Entry::File {
                    content: random.below(3),
                    executable: random.coin(),
                };
                self.files.insert(name, entry);
            }
            2 => drop(self.files.insert(name, Entry::Link(random.below(TARGETS)))),
            3 => drop(self.files.remove(name)),
            4 => {
                let to = *random.pick(&NAMES);
                if let Some(entry) = self.files.remove(name) {
                    self.files.insert(to, entry);
                }
            }
            5 => self.targets[random.below(TARGETS)] = random.below(3),
            6 => self.maybe = random.coin().then(|| random.below(2)),
            7 => self.script = random.below(2),
            8 => self.level = random.coin().then(|| random.below(2)),
            9 => self.list = random.below(LISTS.len()),
            _ if random.coin() => self.tool = random.below(2),
            _ => self.upstream = random.below(2),
        }
    }

    /// Without what no link leads to.
    pub fn key(&self) -> Self {
        let mut key = self.clone();
        for (number, target) in key.targets.iter_mut().enumerate() {
            if !self
                .files
                .values()
                .any(|entry| *entry == Entry::Link(number))
            {
                *target = 0;
            }
        }
        key
    }

    /// What the task writes.
    pub fn result(&self) -> String {
        let level = self
            .level
            .map_or("none".to_owned(), |level| level.to_string());
        let mut text = format!("script {} level {level}\n", self.script);
        for (name, entry) in &self.files {
            let (content, mode) = match entry {
                Entry::File {
                    content,
                    executable,
                } => (*content, if *executable { 'x' } else { '-' }),
                Entry::Link(target) => (self.targets[*target], '-'),
            };
            let _ = writeln!(text, "src/{name}.in {mode} content {content}");
        }
        if let Some(content) = self.maybe {
            let _ = writeln!(text, "maybe.txt - content {content}");
        }
        text
    }

    /// The file, its keys and tables in an order of the seed's, with comments.
    pub fn toml(&self, random: &mut Random) -> String {
        let script = format!(
            "[ -d out ] || mkdir out; echo script {} level $LEVEL > out/r; for f in src/*.in maybe.txt; do [ -f $f ] || continue; \
             x=-; [ -x $f ] && x=x; IFS= read -r c < $f; echo \"$f $x $c\" >> out/r; done",
            self.script
        );
        let mut keys = vec![
            format!("run = '''{script}'''"),
            format!("inputs = {}", LISTS[self.list]),
            r#"outputs = ["out"]"#.to_owned(),
            r#"env = { LEVEL = "${env.TASK_LEVEL_OF_TEST:-none}" }"#.to_owned(),
            r#"needs = ["task.up"]"#.to_owned(),
        ];
        shuffle(&mut keys, random);
        let comment = |random: &mut Random| match random.coin() {
            true => format!("# note {}\n\n", random.below(1000)),
            false => String::new(),
        };
        let mut one = "[task.one]\n".to_owned();
        for key in keys {
            let _ = writeln!(one, "{}{key}", comment(random));
        }
        let mut tables = vec![
            "[project]\nname = \"x\"\n".to_owned(),
            "[toolchain.gen]\nfrom = \"system\"\ncommand = \"sh\"\n".to_owned(),
            "[task.up]\nrun = \"true\"\n".to_owned(),
            one,
        ];
        shuffle(&mut tables, random);
        tables.join(&format!("\n{}", comment(random)))
    }
}

fn shuffle<T>(all: &mut [T], random: &mut Random) {
    for at in (1..all.len()).rev() {
        all.swap(at, random.below(at + 1));
    }
}

/// The project of a model.
pub struct World {
    dir: tempfile::TempDir,
    pub root: PathBuf,
    pub model: Model,
    moves: usize,
}

impl World {
    pub fn new(model: Model, random: &mut Random) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("project");
        for folder in ["src", "targets", "other", ".git"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        let world = Self {
            dir,
            root,
            model: Model::default(),
            moves: 0,
        };
        world.write(".gitignore", "/src/ignored*\n/out\n");
        world.write(".git/HEAD", "ref: refs/heads/main\n");
        for target in 0..TARGETS {
            world.write(&format!("targets/{target}"), "content 0\n");
        }
        world.write_config(&model, random);
        let mut world = world;
        world.become_model(model, random);
        world
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).expect("written");
    }

    pub fn write_config(&self, model: &Model, random: &mut Random) {
        self.write(config::FILE, &model.toml(random));
    }

    /// Changes on disk what differs, and nothing else.
    pub fn become_model(&mut self, model: Model, random: &mut Random) {
        for name in NAMES {
            let (old, new) = (self.model.files.get(name), model.files.get(name));
            if old != new {
                self.place(&format!("src/{name}.in"), new);
            }
        }
        for (target, content) in model.targets.iter().enumerate() {
            if self.model.targets[target] != *content {
                self.write(
                    &format!("targets/{target}"),
                    &format!("content {content}\n"),
                );
            }
        }
        if self.model.maybe != model.maybe {
            let entry = model.maybe.map(|content| Entry::File {
                content,
                executable: false,
            });
            self.place("maybe.txt", entry.as_ref());
        }
        if self.model.level != model.level {
            let level = model
                .level
                .map(|level| format!("TASK_LEVEL_OF_TEST={level}\n"));
            self.write(".env", &level.unwrap_or_default());
        }
        if (self.model.script, self.model.list) != (model.script, model.list) {
            self.write_config(&model, random);
        }
        self.model = model;
    }

    fn place(&self, path: &str, entry: Option<&Entry>) {
        let path = self.root.join(path);
        if path.is_symlink() || entry.is_none() || matches!(entry, Some(Entry::Link(_))) {
            let _ = fs::remove_file(&path);
        }
        match entry {
            None => {}
            Some(Entry::Link(target)) => {
                symlink(format!("../targets/{target}"), path).expect("a link");
            }
            Some(Entry::File {
                content,
                executable,
            }) => {
                fs::write(&path, format!("content {content}\n")).expect("written");
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
            }
        }
    }

    /// Another place for the whole project.
    pub fn go_elsewhere(&mut self) {
        self.moves += 1;
        let elsewhere = self.dir.path().join(format!("moved {}", self.moves));
        fs::rename(&self.root, &elsewhere).expect("moved");
        self.root = elsewhere;
    }

    /// A copy in another place, with other inodes and times; it goes on there.
    pub fn copy(&mut self) {
        self.moves += 1;
        let copy = self.dir.path().join(format!("copy{}", self.moves));
        copy_all(&self.root, &copy);
        self.root = copy;
    }

    pub fn session(&self) -> Session {
        let config = Arc::new(config::load(&self.root).expect("a good file"));
        let store = Store::new(&self.root);
        let files = Arc::new(FileCache::load(&self.root, &store.file_cache()));
        let sources = plan::sources(&self.root, &config, &files).expect("readable");
        let tool: StepId = "toolchain.gen".parse().expect("an id");
        let pin = |number: usize| Digest::of(format!("tool {number}")).to_hex();
        let locked = Locked::from([(tool.clone(), "the same".to_owned())]);
        let output = |digest| Output {
            digest,
            ..Output::default()
        };
        let outputs = Outputs::from([
            (tool, output(pin(self.model.tool))),
            (
                "task.up".parse().expect("an id"),
                output(pin(10 + self.model.upstream)),
            ),
        ]);
        let steps = Steps {
            root: self.root.clone(),
            toolchain: Toolchain::new(&self.root, &config.toolchain, Lock::default()),
            plan: Arc::new(Plan::build(&config, &locked, &sources)),
            config,
            store,
            engine: Err(Fault::new("no engine")),
            identity: Identity::new("x", &self.root.display().to_string()),
            lock: Lock::default(),
            events: Events::channel().0,
            mode: Default::default(),
            since: Default::default(),
            forced: Default::default(),
            host_ports: HostPorts::Wanted,
            files,
            writers: Default::default(),
            listing: Default::default(),
            given: Default::default(),
        };
        Session { steps, outputs }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("known"));
        let to = to.join(entry.file_name());
        if kind.is_dir() {
            copy_all(&path, &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(path).expect("a link"), to).expect("a link");
        } else {
            fs::copy(path, to).expect("copied");
        }
    }
}

/// One command's look at the project.
pub struct Session {
    pub steps: Steps,
    outputs: Outputs,
}

impl Session {
    pub async fn decide(&self) -> Verdict {
        let (id, never) = (one(), CancellationToken::new());
        let verdict = self.steps.decide(&id, &self.outputs, &never).await;
        verdict.expect("it can tell")
    }

    /// Does what was decided, as a run does.
    pub async fn act(&self, verdict: &Verdict) {
        if let Verdict::Act(decision) = verdict {
            let (id, never) = (one(), CancellationToken::new());
            let steps = &self.steps;
            let acted = steps.act(&id, decision, &self.outputs, &never, ()).await;
            acted.expect("it succeeds");
        }
        self.steps.files.save().expect("saved");
    }
}

fn one() -> StepId {
    "task.one".parse().expect("an id")
}
