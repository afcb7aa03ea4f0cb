//! Results of tasks: replayed and restored wherever the same task has the same inputs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Project, Ran, Signal, wait_until, write_program};

/// A script whose runs are counted outside of the project, so that a count is no input.
struct Counted {
    project: Project,
    runs: tempfile::NamedTempFile,
}

impl Counted {
    /// `RUN` in the file stands for a command that counts.
    fn new(config: &str) -> Self {
        let runs = tempfile::NamedTempFile::new().expect("a file");
        let count = format!("echo run >> {}", runs.path().display());
        let config = format!("[project]\nname = \"tasks\"\n\n{config}").replace("RUN", &count);
        let project = Project::in_folder("main", &config);
        Self { project, runs }
    }

    fn in_git(config: &str) -> Self {
        let counted = Self::new(config);
        git(counted.project.path(), &["init", "--quiet", "-b", "main"]);
        counted
    }

    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.runs.path()).expect("readable");
        runs.lines().count()
    }

    fn run(&self) -> Ran {
        self.project.ok(&["run", "one"])
    }

    /// The cache's folder.
    fn results(&self) -> PathBuf {
        self.project.join(".devenv/cache/results")
    }
}

#[track_caller]
fn git(dir: &Path, args: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
        .args(args)
        .current_dir(dir)
        .output()
        .expect("git");
    assert!(output.status.success(), "git {args:?}: {output:?}");
}

/// `devenv` in a folder that is another project's worktree.
fn run_in(project: &Project, dir: &Path, args: &[&str]) -> Ran {
    let output = project.command(args).current_dir(dir).output();
    Ran::from(output.expect("devenv runs"), dir)
}

const COPY: &str = r#"[task.one]
run = "RUN; mkdir -p dist/sub && cp in.txt dist/sub/out.txt && ln -sf sub/out.txt dist/link && cp in.txt tool && chmod 755 tool; echo said $(cat in.txt); echo complained >&2"
inputs = ["in.txt"]
outputs = ["dist", "tool"]
"#;

#[test]
fn a_hit_says_what_was_said_and_restores_what_was_left() {
    let counted = Counted::new(COPY);
    let project = &counted.project;
    project.write("in.txt", "1");
    counted.run();
    project.write("in.txt", "2");
    counted.run();
    assert_eq!(counted.runs(), 2);

    // As it was: nothing to do, and its output is shown all the same.
    let kept = counted.run();
    for part in [
        "said 2",
        "complained",
        "Nothing to do",
        "what it printed when it ran",
    ] {
        assert!(kept.stderr.contains(part), "{part}: {}", kept.all());
    }

    project.write("in.txt", "1");
    project.write("dist/made-by-hand", "x");
    project.write("beside", "x");
    fs::remove_file(project.join("dist/link")).expect("removed");
    fs::remove_file(project.join("tool")).expect("removed");
    let plan = project.ok(&["plan", "task.one"]);
    for part in [
        "task.one  restore",
        "`in.txt` changed",
        "`dist/link` is missing",
        "1 to restore",
    ] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.all());
    }
    let hit = counted.run();
    for part in [
        "said 1",
        "complained",
        "Reused the result of",
        "restored 2 files",
    ] {
        assert!(hit.stderr.contains(part), "{part}: {}", hit.all());
    }
    assert_eq!(counted.runs(), 2);
    assert_eq!(project.read("dist/sub/out.txt"), "1");
    assert_eq!(project.read("dist/link"), "1");
    let mode = project
        .join("tool")
        .metadata()
        .expect("there")
        .permissions();
    assert_eq!(
        (project.read("tool").as_str(), mode.mode() & 0o777),
        ("1", 0o755)
    );
    assert!(project.join("dist/made-by-hand").exists() && project.join("beside").exists());
    let plan = project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());

    fs::remove_dir_all(project.join("dist/sub")).expect("removed");
    counted.run();
    assert_eq!(
        (counted.runs(), project.read("dist/link").as_str()),
        (2, "1")
    );

    project.ok(&["run", "one", "--force"]);
    assert_eq!(counted.runs(), 3);
}

const DOCS: &str = r#"[task.one]
run = "RUN; for f in src/*; do cp $f docs/; done"
inputs = ["src/**"]
outputs = ["docs"]
"#;

#[test]
fn what_the_task_did_not_write_in_its_folder_is_neither_restored_nor_removed() {
    let counted = Counted::new(DOCS);
    let project = &counted.project;
    project
        .write("src/api.md", "1")
        .write("docs/guide.md", "by hand");
    counted.run();
    let mine = || {
        project.write("docs/new-chapter.md", "x");
        project.write("docs/guide.md", "edited");
    };
    mine();
    let plan = project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());

    // Another result and back, in both directions, with files that only one of them has.
    project.write("src/api.md", "2").write("src/old.md", "2");
    counted.run();
    assert_eq!(counted.runs(), 2);
    mine();
    project.write("src/api.md", "1");
    fs::remove_file(project.join("src/old.md")).expect("removed");
    let hit = counted.run();
    let removed = "removed docs/old.md: the task did not write it";
    assert!(hit.stderr.contains(removed), "{}", hit.all());
    assert_eq!(hit.stderr.matches("removed docs/").count(), 1);
    assert!(!project.join("docs/old.md").exists());
    let read =
        ["api.md", "guide.md", "new-chapter.md"].map(|name| project.read(&format!("docs/{name}")));
    assert_eq!(read, ["1", "edited", "x"]);
    assert_eq!(counted.runs(), 2);

    // What it wrote and is gone comes back.
    fs::remove_file(project.join("docs/api.md")).expect("removed");
    counted.run();
    assert_eq!(
        (counted.runs(), project.read("docs/api.md").as_str()),
        (2, "1")
    );
}

#[test]
fn what_somebody_edited_is_not_restored_over() {
    let counted = Counted::new(DOCS);
    let project = &counted.project;
    project.write("src/api.md", "1").write("docs/guide.md", "x");
    counted.run();
    project.write("docs/api.md", "edited");
    let plan = project.ok(&["plan", "task.one"]);
    for part in ["task.one  run", "`docs/api.md` was changed since"] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.all());
    }
    counted.run();
    assert_eq!(
        (counted.runs(), project.read("docs/api.md").as_str()),
        (2, "1")
    );

    // A file of an earlier run that was edited since is the user's.
    project.write("src/old.md", "2");
    counted.run();
    project.write("docs/old.md", "edited");
    fs::remove_file(project.join("src/old.md")).expect("removed");
    counted.run();
    assert_eq!(
        (counted.runs(), project.read("docs/old.md").as_str()),
        (3, "edited")
    );

    // Without what the run relied on, it is not all that it left.
    fs::remove_file(project.join("docs/guide.md")).expect("removed");
    fs::remove_file(project.join("docs/api.md")).expect("removed");
    counted.run();
    assert_eq!(
        (counted.runs(), project.read("docs/api.md").as_str()),
        (4, "1")
    );
}

#[test]
fn another_branch_and_back_and_another_worktree_are_hits() {
    let counted = Counted::in_git(COPY);
    let project = &counted.project;
    project
        .write("in.txt", "1")
        .write(".gitignore", "dist\ntool\n");
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "--quiet", "-m", "one"]);
    counted.run();
    git(project.path(), &["checkout", "--quiet", "-b", "other"]);
    project.write("in.txt", "2");
    git(project.path(), &["commit", "--quiet", "-am", "two"]);
    counted.run();
    git(project.path(), &["checkout", "--quiet", "main"]);
    counted.run();
    assert_eq!((counted.runs(), project.read("tool").as_str()), (2, "1"));
    assert!(!counted.results().exists());

    git(
        project.path(),
        &["worktree", "add", "--quiet", "../second", "other"],
    );
    let second = project.path().with_file_name("second");
    let plan = run_in(project, &second, &["plan", "task.one"]);
    assert!(plan.stdout.contains("task.one  restore"), "{}", plan.all());
    let hit = run_in(project, &second, &["run", "one"]);
    assert_eq!(hit.code, 0, "{}", hit.all());
    assert!(hit.stderr.contains("said 2"), "{}", hit.all());
    let tool = fs::read_to_string(second.join("tool")).expect("restored");
    assert_eq!((counted.runs(), tool.as_str()), (2, "2"));
}

#[test]
fn a_failure_is_not_kept() {
    let counted =
        Counted::new("[task.one]\nrun = \"RUN; test -f mended\"\ninputs = [\"in.txt\"]\n");
    counted.project.write("in.txt", "1");
    for runs in 1..=2 {
        assert_eq!(counted.project.run(&["run", "one"]).code, 1);
        assert_eq!(counted.runs(), runs);
    }
    assert!(!counted.results().exists());
}

#[test]
fn variables_are_inputs_and_others_are_not_seen() {
    let counted = Counted::new(
        r#"[task.one]
run = "RUN; echo level=$LEVEL profile=$PROFILE hidden=$HIDDEN ci=$CI home=$HOME"
inputs = ["in.txt"]
env = { LEVEL = "${env.THE_LEVEL:-none}" }
pass = ["PROFILE"]

[task.two]
run = "echo hidden=$HIDDEN"
"#,
    );
    let project = &counted.project;
    project.write("in.txt", "1");
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = project.command(args);
        command
            .env("HIDDEN", "seen")
            .env("CI", "1")
            .env("HOME", "/nowhere");
        let output = command.envs(env.iter().copied()).output().expect("devenv");
        Ran::from(output, project.path())
    };
    let first = run(&["run", "one"], &[]);
    assert!(
        first
            .stderr
            .contains("level=none profile= hidden= ci= home=/nowhere"),
        "{}",
        first.all()
    );
    // A variable that it does not see changes nothing.
    run(&["run", "one"], &[("HIDDEN", "other")]);
    assert_eq!(counted.runs(), 1);

    let changed = [("PROFILE", "sesame"), ("THE_LEVEL", "debug")];
    let plan = run(&["plan", "task.one"], &changed);
    for part in ["env.LEVEL changed: `none` → `debug`", "env.PROFILE changed"] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.all());
    }
    assert!(!plan.stdout.contains("sesame"), "{}", plan.all());
    let second = run(&["run", "one"], &changed);
    assert!(
        second.stderr.contains("level=debug profile=sesame hidden="),
        "{}",
        second.all()
    );
    assert_eq!(counted.runs(), 2);
    run(&["run", "one"], &[]);
    assert_eq!(counted.runs(), 2);

    let uncached = run(&["run", "two"], &[]);
    assert!(
        uncached.stderr.contains("hidden=seen"),
        "{}",
        uncached.all()
    );
}

#[test]
fn what_chooses_a_tool_is_an_input_and_no_part_of_the_plan() {
    let counted =
        Counted::new("[task.one]\nrun = \"RUN; echo java=$JAVA_HOME\"\ninputs = [\"in.txt\"]\n");
    let project = &counted.project;
    project.write("in.txt", "1");
    let run = |args: &[&str], home: Option<&str>| {
        let mut command = project.command(args);
        for name in ["JAVA_HOME", "PKG_CONFIG_PATH", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        let output = command.envs(home.map(|home| ("JAVA_HOME", home))).output();
        Ran::from(output.expect("devenv"), project.path())
    };
    run(&["run", "one"], None);
    let hash = run(&["plan", "--hash"], None).stdout;
    for (home, state, runs) in [
        (Some("/opt/one"), "added", 2),
        (Some("/opt/two"), "changed", 3),
        // All three are kept.
        (None, "removed", 3),
        (Some("/opt/two"), "added", 3),
    ] {
        assert_eq!(run(&["plan", "--hash"], home).stdout, hash);
        let plan = run(&["plan", "task.one"], home);
        let reason = format!("env.JAVA_HOME {state}");
        assert!(plan.stdout.contains(&reason), "{reason}: {}", plan.all());
        let ran = run(&["run", "one"], home);
        let said = format!("java={}\n", home.unwrap_or_default());
        assert!(ran.stderr.contains(&said), "{said}: {}", ran.all());
        assert_eq!(counted.runs(), runs, "{reason}");
    }
}

#[test]
fn what_must_always_run_does() {
    let counted = Counted::new(
        "[task.one]\nrun = \"RUN; echo $HIDDEN\"\ninputs = [\"in.txt\"]\ncache = false\n",
    );
    counted.project.write("in.txt", "1");
    for runs in 1..=2 {
        counted.run();
        assert_eq!(counted.runs(), runs);
    }
    let plan = counted.project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("`cache = false`"), "{}", plan.all());
}

#[test]
fn what_another_task_made_is_an_input() {
    let counted = Counted::new(
        r#"[task.base]
run = "cp source.txt made.txt"
inputs = ["source.txt"]
outputs = ["made.txt"]

[task.one]
run = "RUN; cat made.txt"
inputs = ["in.txt"]
needs = ["task.base"]
"#,
    );
    let project = &counted.project;
    project.write("in.txt", "1").write("source.txt", "a");
    counted.run();
    project.write("source.txt", "b");
    let plan = project.ok(&["plan", "task.one"]);
    assert!(
        plan.stdout.contains("`task.base` runs first"),
        "{}",
        plan.all()
    );
    let run = counted.run();
    assert!(run.stderr.contains("task.one  | b"), "{}", run.all());
    assert_eq!(counted.runs(), 2);
    project.write("source.txt", "a");
    let run = counted.run();
    assert!(run.stderr.contains("task.one  | a"), "{}", run.all());
    assert_eq!(counted.runs(), 2);
}

#[test]
fn a_damaged_cache_is_a_miss() {
    let counted = Counted::new(COPY);
    let project = &counted.project;
    project.write("in.txt", "1");
    counted.run();
    let damage = |folder: &str, with: &[u8]| {
        for file in walk(&counted.results().join(folder)) {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
            fs::write(&file, with).expect("written");
        }
        fs::remove_dir_all(project.join("dist")).expect("removed");
        fs::remove_file(project.join("tool")).expect("removed");
    };
    for (runs, folder, with) in [
        (2, "objects", &b"other content"[..]),
        (3, "entries", b"devenv-result-1\nnonsense"),
        (4, "entries", b""),
    ] {
        damage(folder, with);
        counted.run();
        assert_eq!(
            (counted.runs(), project.read("tool").as_str()),
            (runs, "1"),
            "{folder}"
        );
        // And is whole again.
        fs::remove_file(project.join("tool")).expect("removed");
        counted.run();
        assert_eq!(
            (counted.runs(), project.read("tool").as_str()),
            (runs, "1"),
            "{folder}"
        );
    }
    for object in walk(&counted.results().join("objects")) {
        fs::remove_file(object).expect("removed");
    }
    fs::remove_file(project.join("tool")).expect("removed");
    counted.run();
    assert_eq!(counted.runs(), 5);
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a folder").flatten();
    let found = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => walk(&path),
        path => vec![path],
    });
    found.collect()
}

#[test]
fn what_a_link_leads_out_to_is_neither_kept_nor_touched() {
    let counted = Counted::new(
        "[task.one]\nrun = \"RUN; cp in.txt out/file\"\ninputs = [\"in.txt\"]\noutputs = [\"out\"]\n",
    );
    let project = &counted.project;
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("mine"), "x").expect("written");
    symlink(outside.path(), project.join("out")).expect("a link");
    project.write("in.txt", "1");
    let run = counted.run();
    assert!(run.stderr.contains("is not kept"), "{}", run.all());
    counted.run();
    assert_eq!(counted.runs(), 1);
    project.write("in.txt", "2");
    counted.run();
    project.write("in.txt", "1");
    counted.run();
    assert_eq!(counted.runs(), 3);
    assert!(outside.path().join("mine").exists());
}

#[test]
fn what_changes_while_it_runs_is_not_kept() {
    let counted = Counted::new(
        "[task.one]\nrun = \"RUN; cat in.txt; echo 2 > in.txt\"\ninputs = [\"in.txt\"]\n",
    );
    let project = &counted.project;
    project.write("in.txt", "1\n");
    let run = counted.run();
    assert!(
        run.stderr.contains("its result is not kept"),
        "{}",
        run.all()
    );
    project.write("in.txt", "1\n");
    let plan = project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("`in.txt` changed"), "{}", plan.all());
    counted.run();
    assert_eq!(counted.runs(), 2);
    // What it leaves as it is, it has read.
    counted.run();
    counted.run();
    assert_eq!(counted.runs(), 3);
}

#[test]
fn one_that_was_killed_leaves_no_result() {
    let counted = Counted::in_git(
        "[task.one]\nrun = \"RUN; echo half > out.txt; echo begun; while [ ! -f go ]; do sleep 0.1; done; cp in.txt out.txt\"\ninputs = [\"in.txt\"]\noutputs = [\"out.txt\"]\n",
    );
    let project = &counted.project;
    project.write("in.txt", "1");
    let mut running = project.start(&["run", "one", "--output", "json"], &[]);
    running.wait_for("step-log", "task.one");
    running.signal(Signal::Kill);
    drop(running);
    project.write("go", "");
    counted.run();
    assert_eq!((counted.runs(), project.read("out.txt").as_str()), (2, "1"));
}

#[test]
fn two_worktrees_at_once_keep_the_same_result() {
    let counted = Counted::in_git(COPY);
    let project = &counted.project;
    project
        .write("in.txt", "1")
        .write(".gitignore", "dist\ntool\n");
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "--quiet", "-m", "one"]);
    git(project.path(), &["worktree", "add", "--quiet", "../second"]);
    let second = project.path().with_file_name("second");
    for content in ["2", "3", "4"] {
        let dirs = [project.path(), &second];
        for dir in dirs {
            fs::write(dir.join("in.txt"), content).expect("written");
        }
        let running: Vec<_> = dirs
            .map(|dir| {
                let mut command = project.command(&["run", "one"]);
                command.current_dir(dir).spawn().expect("devenv")
            })
            .into();
        for mut child in running {
            assert!(child.wait().expect("it ends").success());
        }
        for dir in dirs {
            let tool = fs::read_to_string(dir.join("tool")).expect("written");
            assert_eq!(tool, content);
        }
    }
    let before = counted.runs();
    fs::write(second.join("in.txt"), "2").expect("written");
    let hit = run_in(project, &second, &["run", "one"]);
    assert!(hit.stderr.contains("Reused"), "{}", hit.all());
    assert_eq!(counted.runs(), before);
}

#[test]
fn two_with_one_folder_take_turns_and_each_keeps_its_own() {
    let counted = Counted::new(
        r#"[task.a]
run = "mkdir -p out; test ! -e out/busy; touch out/busy; cp a.txt out/a; echo there; while [ ! -e go ]; do sleep 0.1; done; rm out/busy"
inputs = ["a.txt"]
outputs = ["out"]

[task.b]
run = "RUN; mkdir -p out; test ! -e out/busy; touch out/busy; cp b.txt out/b; rm out/busy"
inputs = ["b.txt"]
outputs = ["out/"]
"#,
    );
    let project = &counted.project;
    project.write("a.txt", "1").write("b.txt", "1");
    let mut running = project.start(&["run", "a", "b", "--output", "json"], &[]);
    running.wait_for("step-log", "task.a");
    project.write("go", "");
    let ran = running.wait();
    assert_eq!(ran.code, 0, "{}", ran.all());
    let span = |step| {
        (
            ran.position("step-started", step),
            ran.position("step-finished", step),
        )
    };
    let (a, b) = (span("task.a"), span("task.b"));
    assert!(a.1 < b.0 || b.1 < a.0, "{}", ran.all());

    let plan = project.ok(&["plan", "task.a", "task.b"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
    project.write("a.txt", "2");
    project.ok(&["run", "a", "b"]);
    project.write("a.txt", "1");
    fs::remove_file(project.join("out/b")).expect("removed");
    let plan = project.ok(&["plan", "task.a", "task.b"]);
    assert!(plan.stdout.contains("2 to restore"), "{}", plan.all());
    project.ok(&["run", "a", "b"]);
    assert_eq!(counted.runs(), 1);
    let read = (project.read("out/a"), project.read("out/b"));
    assert_eq!(read, ("1".to_owned(), "1".to_owned()));
}

/// Whoever looks on while a result comes back sees whole files.
#[test]
fn one_that_is_killed_while_it_restores_is_restored_by_the_next() {
    let counted = Counted::new(
        "[task.one]\nrun = \"RUN; mkdir -p out; i=0; while [ $i -lt 2000 ]; do echo $i-$(cat in.txt) > out/$i; i=$((i+1)); done\"\ninputs = [\"in.txt\"]\noutputs = [\"out\"]\n",
    );
    let project = &counted.project;
    for content in ["1", "2"] {
        project.write("in.txt", content);
        counted.run();
    }
    project.write("in.txt", "1");
    let running = project.start(&["run", "one", "--output", "json"], &[]);
    wait_until(|| project.read("out/0") == "0-1\n");
    running.signal(Signal::Kill);
    drop(running);
    counted.run();
    assert_eq!(counted.runs(), 2);
    for number in [0, 1, 1000, 1999] {
        let name = format!("out/{number}");
        assert_eq!(project.read(&name), format!("{number}-1\n"));
    }
    let left = fs::read_dir(project.join("out")).expect("a folder").count();
    assert_eq!(left, 2000);
}

/// Whoever calls, from wherever: what a cached task does not see changes neither its key nor the plan.
#[test]
fn variables_of_ci_the_user_and_the_host_are_no_part_of_the_key() {
    let counted = Counted::new("[task.one]\nrun = \"RUN; cat in.txt\"\ninputs = [\"in.txt\"]\n");
    let project = &counted.project;
    project.write("in.txt", "1");
    counted.run();
    let hash = project.ok(&["plan", "--hash"]).stdout;
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path().display().to_string();
    for (name, value) in [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REF", "refs/heads/x"),
        ("GITLAB_CI", "true"),
        ("HOME", &home),
        ("USER", "somebody"),
        ("HOSTNAME", "elsewhere"),
        ("LANG", "de_DE.UTF-8"),
        ("TZ", "Asia/Tokyo"),
        ("PWD", "/"),
    ] {
        let mut command = project.command(&["run", "one"]);
        let ran = command.env(name, value).output().expect("devenv");
        assert!(ran.status.success(), "{name}: {ran:?}");
        let mut command = project.command(&["plan", "--hash"]);
        let plan = command.env(name, value).output().expect("devenv");
        assert_eq!(String::from_utf8_lossy(&plan.stdout), hash, "{name}");
    }
    assert_eq!(counted.runs(), 1);
}

#[test]
fn another_program_of_the_same_version_is_another_tool() {
    let counted = Counted::new(
        "[toolchain.gen]\nfrom = \"system\"\n\n[task.one]\nrun = \"RUN; gen\"\ninputs = [\"in.txt\"]\n",
    );
    let project = &counted.project;
    project.write("in.txt", "1");
    let tools = tempfile::tempdir().expect("a folder");
    let path = format!(
        "{}:{}",
        tools.path().display(),
        std::env::var("PATH").expect("set")
    );
    let run = |says: &str, does: &str| {
        let script = format!(
            "#!/bin/sh\ncase $1 in --version) echo \"gen 1.0.0 ({says})\";; *) echo \"{does}\";; esac\n"
        );
        write_program(&tools.path().join("gen"), script);
        let mut command = project.command(&["run", "one"]);
        let ran = command.env("PATH", &path).output().expect("devenv");
        let ran = Ran::from(ran, project.path());
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.stderr.contains(&format!("| {does}")), "{}", ran.all());
    };
    run("a", "first");
    run("a", "first");
    assert_eq!(counted.runs(), 1);
    run("a", "second");
    assert_eq!(counted.runs(), 2);
    run("b", "second");
    assert_eq!(counted.runs(), 3);
    run("a", "first");
    assert_eq!(counted.runs(), 3);
}

#[test]
fn globs_that_name_no_file_are_told_in_each_run() {
    let counted =
        Counted::new("[task.one]\nrun = \"RUN\"\ninputs = [\"sorc/**\", \"maybe.txt\"]\n");
    let told = "note: `task.one`: its `inputs` match no file";
    for _ in 0..2 {
        let ran = counted.run();
        assert!(ran.stderr.contains(told), "{}", ran.all());
        assert_eq!(counted.runs(), 1);
    }
    counted.project.write("maybe.txt", "");
    let ran = counted.run();
    assert!(!ran.stderr.contains(told), "{}", ran.all());
    assert_eq!(counted.runs(), 2);
}
