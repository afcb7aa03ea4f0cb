//! `devenv run`: tasks are skipped, forced, fail, take too long, and write what they say.

use crate::support::Project;

const HEAD: &str = "[project]\nname = \"tasks\"\n";

fn project(task: &str) -> Project {
    Project::new(&format!("{HEAD}\n[task.one]\n{task}"))
}

fn runs(project: &Project) -> usize {
    let runs = std::fs::read_to_string(project.join("runs.txt")).unwrap_or_default();
    runs.lines().count()
}

#[test]
fn is_skipped_while_nothing_it_reads_or_writes_changed() {
    let project = project(
        "run = \"echo run >> runs.txt; cp in.txt out.txt\"\ninputs = [\"in.txt\"]\noutputs = [\"out.txt\"]\n",
    );
    project.write("in.txt", "1");
    project.ok(&["run", "one"]);
    let skipped = project.ok(&["run", "task.one"]);
    assert!(
        skipped.stderr.contains("Nothing to do"),
        "{}",
        skipped.all()
    );
    assert_eq!(runs(&project), 1);

    project.ok(&["run", "one", "--force"]);
    assert_eq!(runs(&project), 2);

    project.write("in.txt", "2");
    let plan = project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("`in.txt` changed"), "{}", plan.all());
    project.ok(&["run", "one"]);
    assert_eq!((runs(&project), project.read("out.txt")), (3, "2".into()));

    std::fs::remove_file(project.join("out.txt")).unwrap();
    let plan = project.ok(&["plan", "task.one"]);
    assert!(
        plan.stdout.contains("`out.txt` is missing") || plan.stdout.contains("out.txt is missing"),
        "{}",
        plan.all()
    );
    assert!(plan.stdout.contains("restore"), "{}", plan.all());
    project.ok(&["run", "one"]);
    assert_eq!((runs(&project), project.read("out.txt")), (3, "2".into()));
}

#[test]
fn without_inputs_it_runs_every_time_and_shows_its_output() {
    let project = project("run = \"echo run >> runs.txt; echo all is well\"\n");
    for count in 1..=2 {
        let run = project.ok(&["run", "one"]);
        assert!(run.stderr.contains("all is well"), "{}", run.all());
        assert_eq!(run.stdout, "");
        assert_eq!(runs(&project), count);
    }
}

#[test]
fn one_that_fails_is_an_exit_code_of_1_and_runs_again() {
    let project = project(
        "run = \"echo run >> runs.txt; echo it is broken >&2; test -f mended\"\ninputs = [\"in.txt\"]\n",
    );
    project.write("in.txt", "1");
    for count in 1..=2 {
        let run = project.run(&["run", "one"]);
        assert_eq!(run.code, 1, "{}", run.all());
        for part in ["it is broken", "failed with code 1", "devenv.toml:5:"] {
            assert!(run.stderr.contains(part), "{part} in {}", run.all());
        }
        assert_eq!(runs(&project), count);
    }
    project.write("mended", "");
    project.ok(&["run", "one"]);
    project.ok(&["run", "one"]);
    assert_eq!(runs(&project), 3);

    // What it last succeeded with is not forgotten when it fails.
    std::fs::remove_file(project.join("mended")).unwrap();
    project.write("in.txt", "2");
    assert_eq!(project.run(&["run", "one"]).code, 1);
    let plan = project.ok(&["plan", "task.one"]);
    for reason in ["`in.txt` changed", "its last run failed or did not finish"] {
        assert!(plan.stdout.contains(reason), "{}", plan.all());
    }
    project.write("in.txt", "1");
    let plan = project.ok(&["plan", "task.one"]);
    assert!(!plan.stdout.contains("in.txt"), "{}", plan.all());
    project.write("mended", "");
    project.ok(&["run", "one"]);
    let plan = project.ok(&["plan", "task.one"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.all());
}

#[test]
fn one_that_takes_too_long_is_ended_with_all_it_started() {
    let project = project("run = \"sleep 600 & echo $! > pid.txt; wait\"\ntimeout = \"1s\"\n");
    let run = project.run(&["run", "one"]);
    assert_eq!(run.code, 1, "{}", run.all());
    for part in ["took longer than 1s", "devenv.toml:6:1"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.all());
    }
    let pid = project.read("pid.txt");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // Gone, or a zombie that nobody has collected yet.
    assert!(state.is_err() || state.unwrap().contains(") Z "));
}

#[test]
fn an_output_it_did_not_write_is_an_error() {
    let project = project("run = \"true\"\noutputs = [\"out/app\"]\n");
    let run = project.run(&["run", "one"]);
    assert_eq!(run.code, 1, "{}", run.all());
    for part in ["`task.one` did not write `out/app`", "devenv.toml:6:1"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.all());
    }
}

#[test]
fn what_depends_on_one_that_fails_does_not_run() {
    let project = Project::new(&format!(
        "{HEAD}\n[task.one]\nrun = \"false\"\n\n[task.two]\nrun = \"touch two.txt\"\nneeds = [\"task.one\"]\n\n[task.three]\nrun = \"touch three.txt\"\n"
    ));
    let run = project.run(&["run", "two"]);
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(!project.join("two.txt").exists());
    project.ok(&["run", "three"]);
    assert!(project.join("three.txt").exists());
}

#[test]
fn an_unknown_name_is_a_usage_error() {
    let project = project("run = \"true\"\n");
    for args in [&["run", "on"][..], &["up", "app.on"], &["plan", "app.on"]] {
        let run = project.run(args);
        assert_eq!(run.code, 2, "{}", run.all());
        assert!(run.stderr.contains("`task.one`"), "{}", run.all());
    }
    assert_eq!(project.run(&["run"]).code, 2);
}

#[test]
fn up_leaves_tasks_alone() {
    let project = project("run = \"touch ran.txt\"\n");
    project.ok(&["up"]);
    assert!(!project.join("ran.txt").exists());
}

/// The task itself looks at what its parent, devenv, has needed at most.
#[test]
fn one_that_prints_without_end_costs_neither_memory_nor_disk() {
    let project = project(
        "run = \"yes line-$(printf %0400d 7) | head -n 100000; grep VmHWM /proc/$PPID/status > peak.txt\"\n",
    );
    let run = project.ok(&["run", "one"]);
    let shown = run.stderr.matches("line-0").count();
    assert_eq!(shown, 100_000);
    assert!(run.stderr.contains("1 step done"));

    let peak = project.read("peak.txt");
    let kilobytes: u64 = peak
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("VmHWM: 12345 kB");
    assert!(kilobytes < 80_000, "{peak}");

    let runs = std::fs::read_dir(project.join(".devenv/runs")).expect("the logs");
    let logs: Vec<_> = runs.map(|log| log.expect("a log").path()).collect();
    let log = std::fs::read_to_string(&logs[0]).expect("the log");
    assert!(log.len() < 33 << 20, "{}", log.len());
    let last: Vec<_> = log.lines().rev().take(3).collect();
    for (line, part) in last
        .iter()
        .zip(["run-finished", "step-finished", "not in this log"])
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_file_that_is_read_and_written_is_one_reason() {
    let project = project("run = \"true\"\ninputs = [\"f\"]\noutputs = [\"f\"]\n");
    project.write("f", "a\n");
    project.ok(&["run", "one"]);
    project.write("f", "b\n");
    let plan = project.ok(&["plan", "task.one"]).stdout;
    assert!(plan.contains("`f` changed"), "{plan}");
    assert!(!plan.contains("was changed since"), "{plan}");
}
