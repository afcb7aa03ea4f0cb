//! SIGKILL leaves what the killed command had started on this machine running: the next command ends it before it starts anything,
//! and nothing else.

use std::{fs, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Home, Project, wait_until, write_program};

/// A task that goes on with a grandchild beside it, unless it may end.
const SLOW: &str = "test ! -f go || exit 0; sleep 1000 > /dev/null 2>&1 & echo $$ $! > pids.new; mv pids.new pids; wait";

fn project(task: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"children\"\n\n[task.slow]\nrun = '''{task}'''\n"
    ))
}

/// Starts the command, and kills it once its children have written their pids.
fn kill(project: &Project, args: &[&str]) -> Vec<Pid> {
    kill_command(project, project.command(args))
}

fn kill_command(project: &Project, mut command: std::process::Command) -> Vec<Pid> {
    let _ = fs::remove_file(project.join("pids"));
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut devenv = quiet.spawn().expect("devenv starts");
    wait_until(|| project.join("pids").exists());
    devenv.kill().expect("it runs");
    devenv.wait().expect("it ends");
    let pids = pids(project, "pids");
    assert!(pids.iter().all(is_alive), "nothing is left to end");
    pids
}

fn pids(project: &Project, file: &str) -> Vec<Pid> {
    let text = project.read(file);
    let pids = text.split_whitespace();
    pids.map(|pid| Pid::from_raw(pid.parse().expect("a number")).expect("a pid"))
        .collect()
}

/// One that has ended counts as such also while nobody has asked how.
fn is_alive(pid: &Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Ended with the test, however that ends.
struct Ended(Vec<Pid>);

impl Drop for Ended {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

/// Commands whose last run was not seen to end.
fn known(project: &Project) -> usize {
    let files = fs::read_dir(project.join(".devenv/commands"));
    files.map_or(0, Iterator::count)
}

#[test]
fn the_next_command_ends_them_says_so_and_converges() {
    for command in ["up", "run"] {
        let project = project(SLOW);
        let left = kill(&project, &[command, "task.slow"]);
        assert_eq!((left.len(), known(&project)), (2, 1));
        project.write("go", "");
        let next = project.ok(&["up", "task.slow"]);
        let note = format!("note: ended what the killed `devenv {command}` left running: `sh`");
        assert_eq!(next.stderr.matches(&note).count(), 1, "{}", next.all());
        assert!(!left.iter().any(is_alive));
        assert_eq!(known(&project), 0);
    }
}

#[test]
fn down_ends_them_too() {
    let project = project(SLOW);
    let left = kill(&project, &["run", "slow"]);
    let down = project.ok(&["down"]);
    assert!(
        down.stderr.contains("killed `devenv run`"),
        "{}",
        down.all()
    );
    assert!(!left.iter().any(is_alive));
}

#[test]
fn what_one_leaves_that_came_to_its_end_is_not_looked_for() {
    let project = project("sleep 1000 > /dev/null 2>&1 & echo $! > pids; test -f go || kill $!");
    project.write("go", "");
    project.ok(&["run", "slow"]);
    let left = Ended(pids(&project, "pids"));
    assert_eq!(known(&project), 0);
    fs::remove_file(project.join("go")).expect("removed");
    let next = project.ok(&["run", "slow"]);
    assert!(!next.stderr.contains("note:"), "{}", next.all());
    assert!(left.0.iter().all(is_alive));
}

#[test]
fn a_session_of_its_own_is_left_alone() {
    let daemon = "echo $$ > daemon.new; mv daemon.new daemon; exec sleep 1000";
    let begun = "until test -f daemon; do sleep 0.01; done";
    let project = project(&format!("setsid sh -c '{daemon}' & {begun}; {SLOW}"));
    let left = kill(&project, &["run", "slow"]);
    let daemon = Ended(pids(&project, "daemon"));
    project.ok(&["down"]);
    assert!(!left.iter().any(is_alive));
    assert!(daemon.0.iter().all(is_alive));
}

#[test]
fn those_of_another_worktree_are_left_alone() {
    let (one, other) = (project(SLOW), project(SLOW));
    let left = kill(&one, &["run", "slow"]);
    let others = kill(&other, &["run", "slow"]);
    one.ok(&["down"]);
    assert!(!left.iter().any(is_alive) && others.iter().all(is_alive));
    other.ok(&["down"]);
    assert!(!others.iter().any(is_alive));
}

#[test]
fn those_of_an_install_and_of_a_generator_are_ended_too() {
    let slow = "if test -f go; then echo slow 1.0; exit; fi; echo $$ > pids.new; mv pids.new pids; exec sleep 1000";
    let home = Home::with_programs(&[("slow", slow)]);
    let project = Project::new(
        "[project]\nname = \"children\"\n\n[toolchain.slow]\nfrom = \"system\"\ncommand = \"slow\"\nversion = \"1\"\n\n[proto.x]\nplugin.slow = { command = \"./slow.sh\", out = \"slow\" }\n",
    );
    project.write("proto/x.proto", "syntax = \"proto3\";\npackage x;\n");
    write_program(
        &project.join("slow.sh"),
        format!("#!/bin/sh\ncat > /dev/null\nexec > /dev/null\n{slow}\n"),
    );
    let install = kill_command(&project, home.command(&project, &["install"]));
    project.write("go", "");
    let next = home.ok(&project, &["install"]);
    assert!(
        next.stderr.contains("killed `devenv install`"),
        "{}",
        next.all()
    );
    assert!(!install.iter().any(is_alive));
    fs::remove_file(project.join("go")).expect("removed");
    let proto = kill_command(&project, home.command(&project, &["proto"]));
    project.write("go", "");
    let next = home.ok(&project, &["proto"]);
    assert!(
        next.stderr
            .contains("note: ended what the killed `devenv proto`"),
        "{}",
        next.all()
    );
    assert!(!proto.iter().any(is_alive));
}
