//! A command inside what runs ends with the devenv that runs it, in either runtime; of a devenv that was killed, with the next command.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use rustix::process::{Pid, Signal as Sent, kill_process};

use crate::support::{Project, Ran, Signal, image, wait_until};

/// One service, which only waits.
struct One {
    project: Project,
    _image: Arc<image::BusyboxImage>,
}

impl One {
    fn new(runtime: &'static str) -> Self {
        Self::of(runtime, image::busybox())
    }

    fn of(runtime: &'static str, image: Arc<image::BusyboxImage>) -> Self {
        let project = Project::new(&format!(
            "[project]\nname = \"one\"\n\n[service.one]\nimage = \"{}\"\ncommand = [\"sleep\", \"1000\"]\nprocess = {{ command = [\"sleep\", \"1000\"] }}\nstop_grace = \"0s\"\n",
            image.reference
        ))
        .on(runtime);
        project.ok(&["up"]);
        Self {
            project,
            _image: image,
        }
    }
}

/// A time to sleep that no other process has.
pub fn long() -> String {
    let unique = image::unique().replace('-', "");
    format!("1{}", &unique[unique.len().saturating_sub(8)..])
}

/// Whether anything on this machine sleeps for so long, in a container or not.
pub fn sleeps(time: &str) -> bool {
    let wanted = format!("sleep\0{time}\0").into_bytes();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let mut lines = processes.map(|entry| fs::read(entry.path().join("cmdline")));
    lines.any(|line| line.is_ok_and(|line| line == wanted))
}

fn exec(script: &str) -> [&str; 6] {
    ["exec", "one", "--", "sh", "-c", script]
}

/// Each of these functions is a test in either runtime.
macro_rules! in_both {
    ($($name:ident),* $(,)?) => {
        mod docker {
            $(#[test] fn $name() { super::$name(super::One::new("docker")); })*
        }
        mod process {
            $(#[test] fn $name() { super::$name(super::One::new("process")); })*
        }
    };
}

in_both!(
    a_signal_ends_the_command_and_all_it_started,
    a_second_signal_kills_one_that_does_not_obey,
    a_terminal_that_is_closed_ends_the_command,
    a_session_of_its_own_is_left_alone,
    what_a_killed_one_left_is_ended_by_the_next_command,
);

fn a_signal_ends_the_command_and_all_it_started(one: One) {
    for (signal, code) in [
        (Signal::Terminate, 143),
        (Signal::Hangup, 129),
        (Signal::Interrupt, 130),
    ] {
        let (a, b) = (long(), long());
        let script = format!("sleep {a} & env -i sleep {b} & echo ready; wait");
        let mut running = one.project.start(&exec(&script), &[]);
        running.wait_for_line("ready");
        wait_until(|| sleeps(&a) && sleeps(&b));
        running.signal(signal);
        let ran = running.wait();
        assert_eq!(ran.code, code, "{}", ran.all());
        assert!(!sleeps(&a) && !sleeps(&b));
    }
    // What it says and how it ends is its own.
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let mut running = one.project.start(&exec(script), &[]);
    running.wait_for_line("ready");
    running.signal(Signal::Terminate);
    let ran = running.wait();
    assert_eq!((ran.code, ran.stdout.as_str()), (7, "ready\nbye\n"));
    assert_eq!(one.project.state("service.one"), "running");
}

fn a_second_signal_kills_one_that_does_not_obey(one: One) {
    let time = long();
    let script = format!("trap 'echo no' TERM; echo ready; while :; do sleep {time}; done");
    let mut running = one.project.start(&exec(&script), &[]);
    running.wait_for_line("ready");
    wait_until(|| sleeps(&time));
    running.signal(Signal::Terminate);
    running.wait_for_line("no");
    running.signal(Signal::Terminate);
    let ran = running.wait();
    assert_eq!(ran.code, 137, "{}", ran.all());
    assert!(!sleeps(&time));
}

fn a_terminal_that_is_closed_ends_the_command(one: One) {
    let time = long();
    let devenv = env!("CARGO_BIN_EXE_devenv");
    let inner = format!("{devenv} exec one -- sh -c 'echo ready; exec sleep {time}'");
    let like = one.project.command(&[]);
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &inner, "/dev/null"]);
    script.current_dir(one.project.path());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = script.spawn().expect("`script` of util-linux");
    let mut lines = BufReader::new(terminal.stdout.take().expect("piped")).lines();
    let said = lines.next().expect("a line").expect("UTF-8");
    assert_eq!(said.trim(), "ready");
    wait_until(|| sleeps(&time));
    terminal.kill().expect("it runs");
    terminal.wait().expect("it ends");
    wait_until(|| !sleeps(&time));
}

fn a_session_of_its_own_is_left_alone(one: One) {
    let (own, daemon) = (long(), long());
    let setsid = "/bin/busybox setsid";
    let script = format!("{setsid} sleep {daemon} > /dev/null 2>&1 & echo ready; exec sleep {own}");
    let mut running = one.project.start(&exec(&script), &[]);
    running.wait_for_line("ready");
    wait_until(|| sleeps(&own) && sleeps(&daemon));
    running.signal(Signal::Terminate);
    assert_eq!(running.wait().code, 143);
    assert!(!sleeps(&own) && sleeps(&daemon));
    // With what it was started in it ends.
    one.project.ok(&["down"]);
    assert!(!sleeps(&daemon));
}

fn what_a_killed_one_left_is_ended_by_the_next_command(one: One) {
    for next in [["up"].as_slice(), &["restart", "one"]] {
        let time = long();
        let script = format!("echo ready; exec sleep {time}");
        let mut running = one.project.start(&exec(&script), &[]);
        running.wait_for_line("ready");
        wait_until(|| sleeps(&time));
        running.signal(Signal::Kill);
        running.wait();
        assert!(sleeps(&time), "nothing is left to end");
        let next = one.project.ok(next);
        let note = "note: ended what the killed `devenv exec` left running: `sleep`";
        assert!(next.stderr.contains(note), "{}", next.all());
        assert!(!sleeps(&time));
        let commands = fs::read_dir(one.project.join(".devenv/commands"));
        assert_eq!(commands.map_or(0, Iterator::count), 0);
    }
    let again = one.project.ok(&["up"]);
    assert!(!again.stderr.contains("killed"), "{}", again.all());
}

/// Starts it where the engine's processes are not to be seen, as with one on another machine, and ends it once it is ready.
fn signalled_from_afar(project: &Project, args: &[&str], is_ready: impl FnMut() -> bool) -> Ran {
    let like = project.command(args);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--"]);
    command.arg(like.get_program()).args(like.get_args());
    command.current_dir(project.path());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let afar = command.spawn().expect("`unshare` of util-linux, as root");
    wait_until(is_ready);
    let children = format!("/proc/{0}/task/{0}/children", afar.id());
    let children = fs::read_to_string(children).expect("its child");
    let devenv = children.trim().parse().expect("one pid");
    kill_process(Pid::from_raw(devenv).expect("a pid"), Sent::TERM).expect("it runs");
    Ran::from(afar.wait_with_output().expect("its end"), project.path())
}

#[test]
fn a_shell_of_the_image_ends_it_where_its_processes_are_not_to_be_seen() {
    let one = One::new("docker");
    for user in [[].as_slice(), &["--user", "guest"]] {
        let (a, b) = (long(), long());
        let script = format!("sleep {a} & env -i sleep {b} & wait");
        let args = [&["exec"][..], user, &exec(&script)[1..]].concat();
        let ran = signalled_from_afar(&one.project, &args, || sleeps(&a) && sleeps(&b));
        assert_eq!(ran.code, 143, "{}", ran.all());
        assert!(!sleeps(&a) && !sleeps(&b));
    }
    // Not so the one that has to be asked a second time.
    let time = long();
    let script = format!("trap '' TERM; sleep {time}");
    let ran = signalled_from_afar(&one.project, &exec(&script), || sleeps(&time));
    assert_eq!(ran.code, 137, "{}", ran.all());
    assert!(!sleeps(&time));
}

#[test]
fn without_a_shell_in_the_image_it_is_ended_from_this_machine_or_told() {
    let image = Arc::new(image::BusyboxImage::without_a_shell());
    let one = One::of("docker", image);
    let time = long();
    let running = one
        .project
        .start(&["exec", "one", "--", "sleep", &time], &[]);
    wait_until(|| sleeps(&time));
    running.signal(Signal::Terminate);
    assert_eq!(running.wait().code, 143);
    assert!(!sleeps(&time));

    let args = ["exec", "one", "--", "sleep", &time];
    let ran = signalled_from_afar(&one.project, &args, || sleeps(&time));
    assert_eq!(ran.code, 3, "{}", ran.all());
    for part in [
        format!("cannot end `sleep {time}` in `service.one`"),
        "its image has no `sh`".to_owned(),
        "help: `devenv restart service.one` ends it, too".to_owned(),
    ] {
        assert!(ran.stderr.contains(&part), "{part} in {}", ran.all());
    }
    assert!(sleeps(&time));
    one.project.ok(&["restart", "one"]);
    assert!(!sleeps(&time));
}
