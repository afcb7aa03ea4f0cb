//! The supervisor of plain processes: what it leaves when it is killed, and what its programs do to get away.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use devenv::{
    config::Restart,
    runtime::{InstanceState, LogOptions, Runtime},
};
use rustix::process::{Pid, Signal, kill_process};

use super::world::{World, id, port};

fn run_folder(world: &World) -> PathBuf {
    PathBuf::from(&world.identity.root).join(".devenv/run")
}

/// The supervisor's own word in its lock.
fn supervisor(world: &World) -> Pid {
    let holder = fs::read_to_string(run_folder(world).join("supervisor.lock")).unwrap();
    pid(holder.trim_start_matches("pid "))
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// One that has ended counts as such also while nobody has asked how.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Pids that a script has printed, once there are so many.
async fn pids(world: &World, step: &str, count: usize) -> Vec<Pid> {
    let lines = world.lines(step, count).await;
    lines.iter().map(|line| pid(line)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_with_the_last_program_and_begins_again() {
    let world = World::process();
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    let first = supervisor(&world);
    assert!(is_alive(first));
    world.runtime.remove(&id("app.hello")).await.unwrap();
    until(|| !is_alive(first)).await;
    assert!(!run_folder(&world).join("supervisor.sock").exists());
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    assert_ne!(supervisor(&world), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_needed_to_start_does_not_stay_in_memory() {
    let world = World::process();
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    let status = format!("/proc/{}/status", supervisor(&world).as_raw_nonzero());
    // In kB.
    let memory = |field: &str| -> u64 {
        let status = fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    };
    // Once it has nothing more to answer.
    until(|| memory("VmRSS:") < memory("VmHWM:") * 3 / 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_user_can_talk_to_it() {
    let world = World::process();
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    let mode = |name: &str| {
        let metadata = fs::metadata(run_folder(&world).join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("supervisor.sock"), 0o600);
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("instances/app.hello.json"), 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_it_takes_its_programs_along_and_the_next_goes_on() {
    let world = World::process();
    // The second ignores what it is told, and has left for a session of its own.
    let script = "echo $$; setsid sh -c 'trap \"\" TERM INT; echo $$; while true; do sleep 0.1; done' & wait";
    let mut spec = world.script("app.hello", script);
    spec.stop_signal = Some("SIGTERM".into());
    spec.stop_grace = Duration::from_millis(200);
    world.start(&spec).await;
    let pids = pids(&world, "app.hello", 2).await;
    let first = supervisor(&world);
    kill_process(first, Signal::KILL).unwrap();
    until(|| !is_alive(first)).await;
    let instance = world.instance("app.hello").await.unwrap();
    assert_eq!(instance.state, InstanceState::Exited { code: 137 });

    world.start(&spec).await;
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
    let again = world.instance("app.hello").await.unwrap();
    assert_eq!(
        (again.id, again.state),
        (instance.id, InstanceState::Running)
    );

    let again = self::pids(&world, "app.hello", 4).await;
    kill_process(supervisor(&world), Signal::KILL).unwrap();
    world.runtime.remove(&spec.step).await.unwrap();
    world.runtime.clean().await.unwrap();
    until(|| again.iter().all(|pid| !is_alive(*pid))).await;
    assert_eq!(world.instance("app.hello").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_end_it_ends_its_programs_first() {
    let world = World::process();
    let mut spec = world.script(
        "app.hello",
        "trap 'echo bye; exit 3' TERM; echo $$; while true; do sleep 0.05; done",
    );
    spec.stop_signal = Some("SIGTERM".into());
    world.start(&spec).await;
    pids(&world, "app.hello", 1).await;
    let supervisor = supervisor(&world);
    kill_process(supervisor, Signal::TERM).unwrap();
    until(|| !is_alive(supervisor)).await;
    let lines = world.logs("app.hello", LogOptions::default()).await;
    assert_eq!(lines[1], "bye");
    let instance = world.instance("app.hello").await.unwrap();
    assert_eq!(instance.state, InstanceState::Exited { code: 3 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_forks_twice_ignores_signals_and_holds_the_pipe_ends_with_its_step() {
    let world = World::process();
    let script = "setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; echo $$; exec sleep 1000) & echo $$; sleep 1000' & wait";
    let mut spec = world.script("app.hello", script);
    spec.stop_signal = Some("SIGTERM".into());
    spec.stop_grace = Duration::from_millis(200);
    world.start(&spec).await;
    let pids = pids(&world, "app.hello", 2).await;
    world.runtime.remove(&spec.step).await.unwrap();
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_leaves_when_it_ends_by_itself_ends_too() {
    let world = World::process();
    let spec = world.script("app.hello", "setsid sleep 1000 & echo $!; exit 4");
    world.start(&spec).await;
    assert_eq!(world.runtime.exited(&spec.step).await.unwrap(), 4);
    let pids = pids(&world, "app.hello", 1).await;
    assert!(!is_alive(pids[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_started_again_as_its_policy_says() {
    let world = World::process();
    let mut spec = world.script("app.hello", "echo run; exit 1");
    spec.restart = Restart::OnFailure;
    world.start(&spec).await;
    let lines = world.lines("app.hello", 3).await;
    assert_eq!(lines, ["run"; 3]);
    // Stopped on purpose it stays down.
    world.runtime.remove(&spec.step).await.unwrap();
    assert_eq!(world.instance("app.hello").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reboot_the_pids_of_before_are_left_alone() {
    let world = World::process();
    let spec = world.script("app.hello", "exec sleep 1000");
    world.start(&spec).await;
    let first = supervisor(&world);
    kill_process(first, Signal::KILL).unwrap();
    until(|| !is_alive(first)).await;
    // As if another process had the pid now, this test's own, in a later boot.
    let path = run_folder(&world).join("instances/app.hello.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["phase"]["leader"]["pid"] = std::process::id().into();
    record["phase"]["leader"]["boot"] = "another".into();
    fs::write(&path, record.to_string()).unwrap();
    let socket = run_folder(&world).join("supervisor.sock");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "stale").unwrap();
    world.start(&spec).await;
    let instance = world.instance("app.hello").await.unwrap();
    assert_eq!(instance.state, InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_exist_says_so_in_its_log() {
    let world = World::process();
    let spec = world.spec("app.hello", &["/no/such/program", "x"]);
    world.start(&spec).await;
    assert_eq!(world.runtime.exited(&spec.step).await.unwrap(), 127);
    let lines = world.logs("app.hello", LogOptions::default()).await;
    assert_eq!(
        lines,
        ["cannot run `/no/such/program`: No such file or directory (os error 2)"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_the_process() {
    let world = World::process();
    let script = "echo $GREETING $PORT_HTTP $(pwd) $(id -u) $(id -G); exec sleep 1000";
    let mut spec = world.script("app.hello", script);
    spec.env = [("GREETING".to_owned(), "hello world".to_owned())].into();
    spec.workdir = Some("/tmp".into());
    spec.user = Some("65532".into());
    spec.ports = vec![port("http", 80, &[], (25000, 25999))];
    let started = world.start(&spec).await;
    let port = started.ports["http"];
    // Only root can become somebody else.
    assert_eq!(
        world.lines("app.hello", 1).await,
        [format!("hello world {port} /tmp 65532 65532")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_very_long_path_holds_a_socket_too() {
    let mut world = World::process();
    let deep = PathBuf::from(&world.identity.root).join("a-long-name".repeat(15));
    fs::create_dir(&deep).unwrap();
    world.move_to(&deep);
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    let instance = world.instance("app.hello").await.unwrap();
    assert_eq!(instance.state, InstanceState::Running);
}
