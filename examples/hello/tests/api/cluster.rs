//! A private Postgres server in a temporary folder. It ends with the value, and with the test process if that is killed.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tokio_postgres::{Client, NoTls};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Where Debian's postgresql-15 keeps what it does not put on PATH.
const DEBIAN_BIN: &str = "/usr/lib/postgresql/15/bin";
/// Debian's `nobody` and `nogroup`: Postgres refuses to run as root.
const UNPRIVILEGED: u32 = 65534;

pub struct Cluster {
    dir: tempfile::TempDir,
    server: Option<Child>,
    pub port: u16,
}

impl Cluster {
    /// A running server without the app's database.
    pub async fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hello-test-")
            .tempdir()
            .expect("a temporary folder");
        if getuid().is_root() {
            chown(dir.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))
                .expect("root may give files away");
        }
        let mut initdb = unprivileged("initdb");
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        initdb.arg("--pgdata").arg(dir.path().join("data"));
        let output = initdb.output().expect("initdb runs");
        assert!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );

        let mut cluster = Self {
            dir,
            server: None,
            port: 0,
        };
        // The free port found may be taken by another before the server has it.
        for _ in 0..5 {
            cluster.port = free_port();
            if cluster.try_start().await {
                return cluster;
            }
        }
        panic!("postgres does not start: {}", cluster.log());
    }

    /// A running server with the app's database and all migrations.
    pub async fn migrated() -> Self {
        let cluster = Self::empty().await;
        cluster.create_database().await;
        cluster.migrate().await;
        cluster
    }

    pub async fn create_database(&self) {
        let client = self.connect("postgres").await.expect("a running server");
        client
            .batch_execute("create database hello")
            .await
            .expect("a new database");
    }

    /// Applies the folder's files in the order of their versions, each in a transaction.
    pub async fn migrate(&self) {
        let client = self.client().await;
        for path in migrations() {
            let sql = fs::read_to_string(&path).expect("a readable migration");
            if let Err(error) = client
                .batch_execute(&format!("begin;\n{sql}\n;commit"))
                .await
            {
                panic!("{}: {error:?}", path.display());
            }
        }
    }

    /// A connection to the app's database.
    pub async fn client(&self) -> Client {
        self.connect("hello").await.expect("the database `hello`")
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/hello", self.port)
    }

    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // A fast shutdown: it removes its shared memory, which a kill would leave behind.
        let pid = Pid::from_child(&server);
        let _ = kill_process(pid, Signal::INT);
        let _ = server.wait();
    }

    pub async fn start_again(&mut self) {
        assert!(
            self.try_start().await,
            "postgres does not start again: {}",
            self.log()
        );
    }

    /// False when the server ended instead of answering.
    async fn try_start(&mut self) -> bool {
        let log = fs::File::create(self.dir.path().join("log")).expect("a log file");
        let mut postgres = unprivileged("postgres");
        postgres.arg("-D").arg(self.dir.path().join("data"));
        postgres.arg("-k").arg(self.dir.path());
        postgres.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-F"]);
        postgres.stdout(Stdio::null()).stderr(log);
        let server = self.server.insert(postgres.spawn().expect("postgres runs"));

        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if server.try_wait().expect("a child of ours").is_some() {
                self.server = None;
                return false;
            }
            // Another's server could hold the port: ours says the folder it serves.
            if let Ok(client) = connect(self.port, "postgres").await {
                let row = client.query_one("show data_directory", &[]).await;
                let served: String = row.expect("an answer").get(0);
                return Path::new(&served) == self.dir.path().join("data");
            }
            assert!(Instant::now() < deadline, "postgres does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        connect(self.port, database).await
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn connect(port: u16, database: &str) -> Result<Client, tokio_postgres::Error> {
    let url =
        format!("host=127.0.0.1 port={port} user=postgres dbname={database} connect_timeout=5");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A Postgres program as a user that is not root, ended when this thread ends.
fn unprivileged(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if getuid().is_root() {
        let id = UNPRIVILEGED.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.arg("--").arg(binary(program)).current_dir("/");
    command
}

fn binary(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from(DEBIAN_BIN)])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("`{program}` is needed by this test: `apt-get install postgresql-15`")
        })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

fn migrations() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = fs::read_dir(dir).expect("the migrations folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort_by_key(|file| version(file));
    assert!(!files.is_empty(), "no migrations");
    files
}

/// The `2` of `V2__add_index.sql`.
fn version(file: &Path) -> u64 {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a UTF-8 name");
    name.strip_prefix('V')
        .and_then(|rest| rest.split_once("__"))
        .and_then(|(version, _)| version.parse().ok())
        .unwrap_or_else(|| panic!("`{name}` is not named V<n>__<name>.sql"))
}
