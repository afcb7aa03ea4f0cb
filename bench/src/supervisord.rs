//! supervisord as a side: Postgres and the app as its programs, and the two scripts that its users write around it.
//!
//! It knows neither migrations nor readiness, so [`UP`] does what they need, by polling.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Error, process,
    sample::{MIGRATE, READY, free_port},
    scene::{Leftover, Scene},
};

/// Where Debian has the programs of the sample's Postgres.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";

pub struct Supervisord {
    control: PathBuf,
    folder: PathBuf,
    /// Where the app answers.
    pub port: u16,
}

/// What is written into the files.
struct Layout<'a> {
    daemon: &'a Path,
    control: &'a Path,
    folder: &'a Path,
    migrations: &'a Path,
    app: &'a Path,
    is_root: bool,
    database_port: u16,
    http_port: u16,
    grpc_port: u16,
}

impl Supervisord {
    /// Writes the files into the folder; what runs is ended at the end. The app's program and the migrations are the sample's.
    pub fn new(daemon: &Path, folder: &Path, sample: &Path, scene: &Scene) -> Result<Self, Error> {
        if !Path::new(POSTGRES).is_dir() {
            return Err(format!("no `{POSTGRES}`; run `apt-get install postgresql-15`").into());
        }
        let control = daemon.with_file_name("supervisorctl");
        let layout = Layout {
            daemon,
            control: &control,
            folder,
            migrations: &sample.join("migrations"),
            app: &sample.join("target/release/hello"),
            // SAFETY: no arguments, cannot fail.
            is_root: unsafe { libc::geteuid() } == 0,
            database_port: free_port()?,
            http_port: free_port()?,
            grpc_port: free_port()?,
        };
        fs::create_dir_all(folder)?;
        fs::write(folder.join("supervisord.conf"), layout.config())?;
        fs::write(folder.join("up.sh"), layout.script(&up()))?;
        let down = folder.join("down.sh");
        fs::write(&down, layout.script(DOWN))?;
        scene.will_leave(Leftover::Command {
            program: "sh".into(),
            args: vec![down.display().to_string()],
        });
        Ok(Self {
            port: layout.http_port,
            control,
            folder: folder.to_owned(),
        })
    }

    fn script(&self, name: &str) -> tokio::process::Command {
        let path = self.folder.join(name);
        process::command(Path::new("sh"), &[&path.to_string_lossy()])
    }

    pub async fn up(&self) -> Result<Duration, Error> {
        process::timed_with_children(self.script("up.sh")).await
    }

    /// What supervisord does by itself when asked whether all is as its file says.
    pub async fn update(&self) -> Result<Duration, Error> {
        let config = self.folder.join("supervisord.conf");
        let args = ["-c", &config.to_string_lossy(), "update"];
        process::timed(process::command(&self.control, &args)).await
    }

    /// Ends everything, supervisord too.
    pub async fn down(&self) -> Result<Duration, Error> {
        process::timed_with_children(self.script("down.sh")).await
    }

    pub fn forget_data(&self) -> io::Result<()> {
        fs::remove_dir_all(self.folder.join("db"))
    }

    pub fn pid(&self) -> Result<u32, Error> {
        let pid = fs::read_to_string(self.folder.join("supervisord.pid"))?;
        Ok(pid.trim().parse()?)
    }
}

impl Layout<'_> {
    /// `startsecs=0`: as it comes, it would wait a second to see whether a program stays up.
    fn config(&self) -> String {
        let folder = self.folder.display();
        let (database_port, user) = (self.database_port, self.database_user());
        let (app, http, grpc) = (self.app.display(), self.http_port, self.grpc_port);
        format!(
            "[supervisord]\n\
             logfile={folder}/supervisord.log\n\
             pidfile={folder}/supervisord.pid\n\
             childlogdir={folder}\n\
             \n\
             [unix_http_server]\n\
             file={folder}/supervisor.sock\n\
             \n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             \n\
             [supervisorctl]\n\
             serverurl=unix://{folder}/supervisor.sock\n\
             \n\
             [program:db]\n\
             command={POSTGRES}/postgres -D {folder}/db/data -p {database_port} \
             -c listen_addresses=127.0.0.1 -c unix_socket_directories=\n\
             {user}\
             stopsignal=INT\n\
             startsecs=0\n\
             priority=1\n\
             \n\
             [program:app]\n\
             command={app}\n\
             environment=DATABASE_URL=\"postgres://hello:hello@127.0.0.1:{database_port}/hello\",\
             HTTP_ADDR=\"127.0.0.1:{http}\",GRPC_ADDR=\"127.0.0.1:{grpc}\"\n\
             autostart=false\n\
             startsecs=0\n\
             priority=2\n"
        )
    }

    /// Postgres refuses to run as root.
    fn database_user(&self) -> &'static str {
        match self.is_root {
            true => "user=postgres\n",
            false => "",
        }
    }

    fn script(&self, body: &str) -> String {
        let as_database = match self.is_root {
            true => "setpriv --reuid=postgres --regid=postgres --init-groups",
            false => "",
        };
        format!(
            "set -eu\n\
             folder={}\n\
             daemon={}\n\
             control={}\n\
             migrations={}\n\
             bin={POSTGRES}\n\
             as_database={}\n\
             port={}\n\
             ready={}\n\
             {body}",
            quoted(&self.folder.to_string_lossy()),
            quoted(&self.daemon.to_string_lossy()),
            quoted(&self.control.to_string_lossy()),
            quoted(&self.migrations.to_string_lossy()),
            quoted(as_database),
            self.database_port,
            quoted(&format!("http://127.0.0.1:{}{READY}", self.http_port)),
        )
    }
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn up() -> String {
    UP.replace("@MIGRATE@", MIGRATE.trim())
}

/// From any state to an app that is ready. Does nothing twice.
const UP: &str = r#"
if [ ! -s "$folder/db/data/PG_VERSION" ]; then
  mkdir -p "$folder/db"
  [ -z "$as_database" ] || chown postgres:postgres "$folder/db"
  $as_database "$bin/initdb" -D "$folder/db/data" -U postgres --auth=trust --encoding=UTF8 --no-sync >/dev/null
fi
if kill -0 "$(cat "$folder/supervisord.pid" 2>/dev/null)" 2>/dev/null; then
  "$control" -c "$folder/supervisord.conf" update
else
  "$daemon" -c "$folder/supervisord.conf"
fi
export PATH="$bin:$PATH" PGHOST=127.0.0.1 PGPORT="$port"
until pg_isready -q; do sleep 0.05; done
if [ -z "$(psql -At -U postgres -c "select 1 from pg_database where datname = 'hello'")" ]; then
  psql -q -U postgres -c "create role hello login password 'hello'" -c 'create database hello owner hello'
fi
(
  export PGUSER=hello PGPASSWORD=hello PGDATABASE=hello
  @MIGRATE@
)
"$control" -c "$folder/supervisord.conf" start app
until curl -fso /dev/null "$ready"; do sleep 0.05; done
"#;

const DOWN: &str = r#"
pid=$(cat "$folder/supervisord.pid" 2>/dev/null) || exit 0
"$control" -c "$folder/supervisord.conf" shutdown
while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(is_root: bool) -> Layout<'static> {
        Layout {
            daemon: Path::new("supervisord"),
            control: Path::new("supervisorctl"),
            folder: Path::new("/tmp/it's"),
            migrations: Path::new("/src/migrations"),
            app: Path::new("/src/hello"),
            is_root,
            database_port: 5432,
            http_port: 8080,
            grpc_port: 50051,
        }
    }

    #[test]
    fn the_database_is_roots_never() {
        assert!(
            layout(true)
                .config()
                .contains("\nuser=postgres\nstopsignal=INT\n")
        );
        assert!(!layout(false).config().contains("user=postgres"));
        assert!(
            layout(true)
                .script("")
                .contains("\nas_database='setpriv --reuid=postgres")
        );
        assert!(layout(false).script("").contains("\nas_database=''\n"));
    }

    #[test]
    fn scripts_are_whole() {
        let script = layout(true).script(&up());
        assert!(script.contains("\nfolder='/tmp/it'\\''s'\n"), "{script}");
        assert!(script.contains("\nready='http://127.0.0.1:8080/readyz'\n"));
        assert!(script.contains("create table if not exists applied"));
        assert!(!script.contains('@'), "{script}");
        for script in [script, layout(false).script(DOWN)] {
            let checked = std::process::Command::new("sh")
                .args(["-nc", &script])
                .status();
            assert!(checked.expect("a shell").success(), "{script}");
        }
    }
}
