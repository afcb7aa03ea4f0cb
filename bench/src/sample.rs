//! The sample project twice: as devenv runs it, and as a compose file with the same images.

use std::{
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    Error,
    compose::Compose,
    devenv::{Devenv, Runtime},
    process,
    rows::Tools,
    scene::{Leftover, Scene, prefix},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Answers 200 once the database works.
pub const READY: &str = "/readyz";

pub struct Sample {
    pub devenv: Devenv,
    pub compose: Compose,
    /// Where each side's app answers.
    pub devenv_port: u16,
    pub compose_port: u16,
}

impl Sample {
    /// A clone of this repository's last commit, up under devenv; the compose project is only written.
    pub async fn prepare(tools: &Tools, scene: &Scene) -> Result<Self, Error> {
        eprintln!("preparing: clone, images, build of the app");
        let folder = scene.folder()?;
        let project = clone_project(&folder).await?;
        let devenv = Devenv::new(&tools.devenv, &project, Runtime::Docker, scene);
        devenv.up().await?;
        let app = devenv.running("app.hello").await?;
        let devenv_port = *app.ports.get("http").ok_or("the app has no port `http`")?;
        let database = devenv.running("postgres.db").await?;
        let app_image = tag(app.image.as_deref(), "app", scene).await?;
        let database_image = tag(database.image.as_deref(), "db", scene).await?;

        let compose_port = free_port()?;
        let official = has_entrypoint(&database_image).await?;
        let file = compose_file(
            &Images {
                app: app_image,
                database: database_image,
                official,
            },
            &project,
            compose_port,
        );
        let compose = Compose::new(&tools.compose, &folder, &file, scene)?;
        Ok(Self {
            devenv,
            compose,
            devenv_port,
            compose_port,
        })
    }
}

/// A clone of this repository's last commit in the folder.
pub async fn clone_project(folder: &Path) -> Result<PathBuf, Error> {
    let project = folder.join("hello");
    let mut clone = process::command(Path::new("git"), &["clone", "--quiet", ROOT]);
    clone.arg(&project);
    process::output(clone).await?;
    // The dependencies that this program was built with are not compiled again.
    let target = Path::new(ROOT).canonicalize()?.join("target");
    if target.is_dir() {
        symlink(target, project.join("target"))?;
    }
    Ok(project)
}

struct Images {
    app: String,
    database: String,
    /// The database image sets itself up, as the official one does.
    official: bool,
}

/// Gives the image a name of this run: compose takes no bare ids.
async fn tag(image: Option<&str>, name: &str, scene: &Scene) -> Result<String, Error> {
    let image = image.ok_or("`devenv ps` shows no image")?;
    let tag = format!("{}-{name}:run", prefix());
    scene.will_leave(Leftover::Image(tag.clone()));
    process::output(process::command(Path::new("docker"), &["tag", image, &tag])).await?;
    Ok(tag)
}

async fn has_entrypoint(image: &str) -> Result<bool, Error> {
    let args = [
        "image",
        "inspect",
        "--format",
        "{{json .Config.Entrypoint}}",
        image,
    ];
    let entrypoint = process::output(process::command(Path::new("docker"), &args)).await?;
    Ok(entrypoint.contains("docker-entrypoint"))
}

/// Of this machine.
pub fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Health-gated as compose users write it: db healthy, then migrate completed, then app. The check runs every second.
fn compose_file(images: &Images, project: &Path, port: u16) -> Value {
    let mut database = json!({
        "image": images.database,
        "environment": { "POSTGRES_USER": "hello", "POSTGRES_PASSWORD": "hello", "POSTGRES_DB": "hello" },
        "volumes": ["data:/var/lib/postgresql/data"],
        "stop_signal": "SIGINT",
        "healthcheck": {
            "test": ["CMD-SHELL", "pg_isready -q -h 127.0.0.1 -U hello -d hello"],
            "interval": "1s",
            "retries": 120,
        },
    });
    if !images.official {
        database["user"] = "0:0".into();
        database["entrypoint"] = json!(["sh", "-ec", SERVE]);
    }
    json!({
        "services": {
            "db": database,
            "migrate": {
                "image": images.database,
                "entrypoint": ["sh", "-ec", MIGRATE],
                "environment": { "PGHOST": "db", "PGUSER": "hello", "PGPASSWORD": "hello", "PGDATABASE": "hello" },
                "volumes": [format!("{}:/migrations:ro", project.join("migrations").display())],
                "depends_on": { "db": { "condition": "service_healthy" } },
            },
            "app": {
                "image": images.app,
                "environment": { "DATABASE_URL": "postgres://hello:hello@db:5432/hello" },
                "ports": [format!("127.0.0.1:{port}:8080")],
                "depends_on": { "migrate": { "condition": "service_completed_successfully" } },
            },
        },
        "volumes": { "data": {} },
    })
}

/// What the official image's entrypoint does, for an image of Debian's packages.
const SERVE: &str = r#"
bin=$(ls -d /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
mkdir -p /run/postgresql
chown postgres:postgres "$data" /run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
  as "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  as "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=''" -w start
  as psql -q -U postgres -c "create role hello login password 'hello'" -c 'create database hello owner hello'
  as "$bin/pg_ctl" -D "$data" -m fast -w stop
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$data" -c 'listen_addresses=*'
"#;

/// Applies what was not applied yet, each file in a transaction: nothing on the second run.
pub const MIGRATE: &str = r#"
psql -q -c 'create table if not exists applied (file text primary key)' 2>/dev/null
applied=$(psql -At -c 'select file from applied')
for file in $(ls "${migrations:-/migrations}" | sort -V); do
  echo "$applied" | grep -qx "$file" ||
    psql -q -1 -v ON_ERROR_STOP=1 -f "${migrations:-/migrations}/$file" -c "insert into applied values ('$file')"
done
"#;
