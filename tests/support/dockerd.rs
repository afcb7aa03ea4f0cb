//! An engine of the test's own, beside the machine's: it can be killed and started again.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use bollard::query_parameters::ImportImageOptions;
use futures_util::TryStreamExt;

use super::{image::on_engine, wait_until};

/// Longer than a busy machine takes to start one.
const PATIENCE: Duration = Duration::from_secs(120);

/// First process of namespaces of its own: with it all that the engine started, mounted and connected is gone, however the test ends.
/// The network's, as a second engine takes the first one's bridge away.
const KEEPER: &str = r#"
dir=$1
shift
ip link set lo up || exit
dockerd "$@" 2>>"$dir/log" & engine=$!
while read -r word; do
  case $word in
  kill)
    kill -9 "$engine"
    wait "$engine"
    # It takes the containerd that it started with it.
    managed=$(cat "$dir/exec/containerd/containerd.pid" 2>/dev/null)
    while [ -n "$managed" ] && kill -9 "$managed" 2>/dev/null; do sleep 0.05; done
    rm -f "$dir/docker.sock"
    ;;
  start) dockerd "$@" 2>>"$dir/log" & engine=$! ;;
  esac
  echo "$word"
done
kill "$engine"
wait "$engine"
"#;

pub struct Dockerd {
    keeper: Child,
    answers: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Dockerd {
    /// Wants root.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-dockerd-")
            .tempdir()
            .expect("a temporary folder");
        let path = |name: &str| dir.path().join(name).display().to_string();
        // Of the machine's own settings only how it stores what containers write: another way may not work here.
        fs::write(dir.path().join("daemon.json"), storage()).expect("a written file");
        let name = dir.path().file_name().expect("a name").to_string_lossy();
        let mut keeper = Command::new("unshare")
            .args([
                "--pid",
                "--fork",
                "--kill-child",
                "--mount",
                "--mount-proc",
                "--net",
            ])
            .args(["--", "sh", "-c", KEEPER, "sh"])
            .arg(dir.path())
            .args(["--config-file", &path("daemon.json")])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--host"])
            .arg(format!("unix://{}", path("docker.sock")))
            // Where both share a containerd, they share nothing in it.
            .args(["--containerd-namespace", &name])
            .args(["--containerd-plugins-namespace", &format!("{name}-plugins")])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A shell tells of what it kills.
            .stderr(Stdio::null())
            .spawn()
            .expect("`unshare` of util-linux, as root");
        let answers = BufReader::new(keeper.stdout.take().expect("piped"));
        let dockerd = Self {
            keeper,
            answers,
            dir,
        };
        dockerd.wait();
        dockerd
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// As `DOCKER_HOST` has it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The file of its network: the ports it publishes are ports of that.
    pub fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    /// With SIGKILL: it gets to do nothing more.
    pub fn kill(&mut self) {
        self.tell("kill");
    }

    pub fn start_again(&mut self) {
        self.tell("start");
        self.wait();
    }

    fn tell(&mut self, word: &str) {
        let stdin = self.keeper.stdin.as_mut().expect("piped");
        writeln!(stdin, "{word}").expect("told");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("UTF-8");
        assert_eq!(answer.trim(), word);
    }

    /// Until it answers: it takes connections long before, while it still ends what one before it had started.
    fn wait(&self) {
        let begun = Instant::now();
        wait_until(|| {
            let log = || fs::read_to_string(self.dir.path().join("log"));
            assert!(begun.elapsed() < PATIENCE, "{}", log().expect("a log"));
            UnixStream::connect(self.socket()).is_ok() && self.answers()
        });
    }

    fn answers(&self) -> bool {
        let (own, (send, answer)) = (self.client(), channel());
        on_engine(move |_| async move {
            send.send(own.ping().await.is_ok()).expect("a listener");
        });
        answer.recv().expect("an answer")
    }

    /// Copies an image of the machine's engine.
    pub fn load(&self, reference: &str) {
        let (reference, own) = (reference.to_owned(), self.client());
        on_engine(move |engine| async move {
            let archive = engine.export_image(&reference);
            let loaded = own.import_image_stream(ImportImageOptions::default(), archive, None);
            let _: Vec<_> = loaded.try_collect().await.expect("a loaded image");
        });
    }

    fn client(&self) -> bollard::Docker {
        let socket = self.socket().display().to_string();
        bollard::Docker::connect_with_unix(
            &socket,
            PATIENCE.as_secs(),
            bollard::API_DEFAULT_VERSION,
        )
        .expect("the engine")
    }
}

/// The settings of an engine that stores as the machine's does.
fn storage() -> String {
    let (send, driver) = channel();
    on_engine(move |engine| async move {
        let info = engine.info().await.expect("what it is");
        send.send(info.driver.unwrap_or_default())
            .expect("a listener");
    });
    match driver.recv().expect("a driver").as_str() {
        driver @ ("overlay2" | "fuse-overlayfs" | "btrfs" | "zfs" | "vfs") => {
            format!("{{\"storage-driver\": \"{driver}\"}}")
        }
        _ => "{}".to_owned(),
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // The end of its input is the keeper's sign.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
