//! A real Postgres for this module's tests: one private server per test process, one database per test.
//!
//! A shell waits for the end of the test process, however it ends, then stops the server and removes its folder.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Target, ready};
use crate::{
    config::{StepId, StepKind},
    event::{Events, Record, StepEvents},
    sys::user::is_root,
};

/// The server's superuser and its password.
const ADMIN: (&str, &str) = ("admin", "it's \\ \"secret\" %@/é");

struct Server {
    port: u16,
    /// Its open standard input keeps the server up: it ends with this process.
    _watch: std::process::Child,
}

/// A new empty database on the shared server, owned by the superuser.
pub async fn database() -> Target {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let admin = admin().await;
    let client = admin.connect("test", |_| {}).await.unwrap();
    client
        .batch_execute(&format!("create database {name} template template0"))
        .await
        .unwrap();
    Target {
        database: name,
        ..admin
    }
}

/// The shared server's maintenance database as its superuser.
async fn admin() -> Target {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| start(&Cluster::init(ADMIN.0, ADMIN.1)));
    let target = Target {
        host: "127.0.0.1".into(),
        port: server.port,
        user: ADMIN.0.into(),
        password: ADMIN.1.into(),
        database: "postgres".into(),
    };
    wait(&target).await;
    target
}

async fn wait(target: &Target) {
    ready(target, Duration::from_secs(60), &CancellationToken::new())
        .await
        .unwrap();
}

/// Runs a script as this database's user.
pub async fn execute(target: &Target, sql: &str) {
    wait(target).await;
    let client = target.connect("test", |_| {}).await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

/// The first column of the first row, as text.
pub async fn value(target: &Target, sql: &str) -> String {
    let client = target.connect("test", |_| {}).await.unwrap();
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Events of a step, and where they arrive.
pub fn events() -> (StepEvents, tokio::sync::mpsc::UnboundedReceiver<Record>) {
    let (events, receiver) = Events::channel();
    (events.of(&StepId::new(StepKind::Migrate, "db")), receiver)
}

/// A server of its own, on a data directory made by the text that runs in containers.
pub struct Private {
    server: Server,
    dir: PathBuf,
}

impl Private {
    /// Runs `init_script` with the bootstrap password and starts a server on what it made.
    pub fn start(bootstrap: &str) -> Self {
        let cluster = Cluster::by_script(bootstrap);
        Self {
            server: start(&cluster),
            dir: cluster.dir,
        }
    }

    /// What the server has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    pub fn target(&self, user: &str, password: &str, database: &str) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: self.server.port,
            user: user.into(),
            password: password.into(),
            database: database.into(),
        }
    }
}

struct Cluster {
    dir: PathBuf,
    data: PathBuf,
}

impl Cluster {
    fn init(user: &str, password: &str) -> Self {
        let dir = folder();
        let data = dir.join("data");
        fs::write(dir.join("password"), password).unwrap();
        give_away(&dir);
        run(unprivileged(&binary("initdb"))
            .args([
                "--no-sync",
                "--wal-segsize=1",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--auth=scram-sha-256", "--username", user])
            .arg(format!("--pwfile={}", dir.join("password").display()))
            .arg(format!("--pgdata={}", data.display())));
        Self { dir, data }
    }

    fn by_script(bootstrap: &str) -> Self {
        let dir = folder();
        let data = dir.join("data");
        give_away(&dir);
        let script = super::pgdata::script(
            &data.display().to_string(),
            "15",
            &["--locale=C".into()],
            super::pgdata::USER,
        );
        run(unprivileged(Path::new("/bin/sh"))
            .args(["-c", &script])
            .env("TMPDIR", &dir)
            .env(super::pgdata::BOOTSTRAP_ENV, bootstrap));
        Self { dir, data }
    }
}

fn start(cluster: &Cluster) -> Server {
    let port = free_port();
    // The shell reads until this process is gone, then ends the server and removes the folder.
    let script = r#"
        dir=$1; shift
        "$@" </dev/null >"$dir/log" 2>&1 &
        cat >/dev/null
        kill -QUIT $!
        wait $!
        rm -rf "$dir""#;
    let server = unprivileged(&binary("postgres"));
    let mut watch = Command::new("/bin/sh");
    watch.args(["-c", script, "watch"]).arg(&cluster.dir);
    watch.arg(server.get_program()).args(server.get_args());
    watch
        .arg("-D")
        .arg(&cluster.data)
        .args(["-p", &port.to_string()]);
    watch.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    watch.args(["-c", "unix_socket_directories=", "-c", "max_connections=50"]);
    let child = std::os::unix::process::CommandExt::process_group(&mut watch, 0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_port(port, &cluster.dir);
    Server {
        port,
        _watch: child,
    }
}

/// Blocks until something listens; tests of readiness use servers of their own.
fn wait_for_port(port: u16, dir: &Path) {
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(
            Instant::now() < end,
            "Postgres did not start:\n{}",
            fs::read_to_string(dir.join("log")).unwrap_or_default()
        );
        std::thread::yield_now();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn folder() -> PathBuf {
    tempfile::Builder::new()
        .prefix("devenv-test-pg-")
        .tempdir()
        .unwrap()
        .keep()
}

/// Postgres refuses to run as root: then everything of it belongs to `nobody`.
fn give_away(dir: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", "nobody"]).arg(dir));
    }
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--clear-groups", "--"])
        .arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// On PATH, or where Debian puts them.
fn binary(name: &str) -> PathBuf {
    if let Ok(path) = which::which(name) {
        return path;
    }
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    debian
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .max()
        .unwrap_or_else(|| {
            panic!("these tests need Postgres' server, `{name}` is missing: apt-get install postgresql-15")
        })
}
