//! A server that is a plain process: programs of this machine on a data directory of the project's own.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use super::{Known, STOP_GRACE, Server, cached, volume};
use crate::{
    config::{Postgres, Restart, ToolSource},
    database::{
        self, Target,
        native::{self, Installation, NativeError},
        pgdata::{self, Prepared},
    },
    event::{Explain, Fault, FaultClass},
    runtime::{Runtime, Spec, SpecMount},
    steps::{Cx, address::POSTGRES_PORT_NAME, blocking, ports},
    sys::{remembered::Remembered, volume::closed_to},
    toolchain,
};

/// What it depends on: other programs are another server.
pub(super) async fn known(cx: &Cx<'_>) -> Result<Known, Fault> {
    match find(cx, super::table(cx)).await {
        Ok(found) => Ok(known_with(cx, &found)),
        Err(fault) => {
            let known = cx.known_inputs();
            match known.waiting.is_empty() {
                true => Err(fault),
                // What brings them runs first.
                false => Ok(known),
            }
        }
    }
}

fn known_with(cx: &Cx<'_>, found: &Installation) -> Known {
    let mut known = cx.known_inputs();
    let programs = format!("{} in {}", found.release, found.bin.display());
    known.inputs.text("programs", programs);
    known
}

pub(super) async fn server(cx: &Cx<'_>, postgres: &Postgres) -> Result<Server, Fault> {
    let found = find(cx, postgres).await?;
    let inputs = known_with(cx, &found).inputs;
    let found = within_reach(found).await?;
    let prepared = prepare(cx, postgres, &found).await?;
    let runtime = cx.steps.runtime()?;
    let name = volume(cx.id());
    let folder = runtime
        .volume_folder(&name)
        .expect("volumes of processes are folders");
    // Nothing is put anywhere by who may not start it.
    let ports = cx.spec_ports(&ports::of_postgres(postgres));
    let own = runtime.reserve(cx.id(), &ports).await;
    let own = own.map_err(|error| error.explain())?.unwrap_or_default();
    let port = own.get(POSTGRES_PORT_NAME).copied();
    let port = port.expect("a Postgres has this port");
    let (data, identity) = (prepared.clone(), cx.steps.identity.id.clone());
    let (folder, is_new) = blocking(move || native::place(&data, &folder, &identity)).await?;
    let sockets = native::sockets(&folder, &cx.steps.identity.id);
    let sockets = sockets.map_err(|error| error.explain())?;
    let user = native::server_user().map_err(|error| error.explain())?;
    let spec = Spec {
        step: cx.id().clone(),
        image: String::new(),
        entrypoint: Some(found.server_command(&folder, port, &sockets, &postgres.settings)),
        command: None,
        env: environment(cx, &found, &sockets, port),
        ports,
        mounts: vec![SpecMount::Volume {
            name,
            target: folder.display().to_string(),
        }],
        files: Vec::new(),
        tmpfs: Default::default(),
        user: user.map(|user| user.name),
        workdir: Some(folder.display().to_string()),
        restart: Restart::UnlessStopped,
        stop_signal: Some("SIGINT".into()),
        stop_grace: STOP_GRACE,
        aliases: Vec::new(),
        inputs,
    };
    Ok(Server {
        spec,
        prepared: Some(prepared),
        is_new,
    })
}

/// The server's own programs come first on its PATH, and find it as they do in a container, over its socket, which trusts who may open
/// it: `devenv exec db -- psql -U postgres` works.
fn environment(
    cx: &Cx<'_>,
    found: &Installation,
    sockets: &Path,
    port: u16,
) -> BTreeMap<String, String> {
    let mut env = cx.program_env();
    let path = env.remove("PATH").unwrap_or_default();
    env.extend([
        ("PATH".to_owned(), format!("{}:{path}", found.bin.display())),
        ("PGHOST".to_owned(), sockets.display().to_string()),
        ("PGPORT".to_owned(), port.to_string()),
    ]);
    env
}

/// Sets the superuser's password over the socket, which trusts whoever can open it.
pub(super) async fn rescue(cx: &Cx<'_>, target: &Target) -> Result<(), Fault> {
    let folder = cx.steps.runtime()?.volume_folder(&volume(cx.id()));
    let folder = folder.expect("volumes of processes are folders");
    let folder = folder.canonicalize().unwrap_or(folder);
    let sockets = native::sockets(&folder, &cx.steps.identity.id);
    let sockets = sockets.map_err(|error| error.explain())?;
    let done = database::rescue_at(&sockets, target.port, &target.password).await;
    done.map_err(|error| error.explain())
}

/// The package that is to bring Postgres, when that is on this machine already, from wherever.
pub(in crate::steps) async fn package_not_needed(cx: &Cx<'_>) -> Option<String> {
    let name = cx.id().name.as_str();
    let tool = cx.config().toolchain.get(name)?;
    if tool.from != ToolSource::Apt {
        return None;
    }
    let mut is_there = false;
    for postgres in cx.config().postgres.values() {
        if postgres.tool.as_deref() == Some(name) {
            look(cx, &postgres.version).await.ok()?;
            is_there = true;
        }
    }
    let package = tool.package.as_deref().unwrap_or(name);
    is_there.then(|| package.to_owned())
}

async fn find(cx: &Cx<'_>, postgres: &Postgres) -> Result<Installation, Fault> {
    let found = look(cx, &postgres.version).await;
    found.map_err(|error| error.explain().at_key(cx.key("version")))
}

/// The programs of this version, the project's own tools first.
async fn look(cx: &Cx<'_>, version: &str) -> Result<Installation, NativeError> {
    let env = cx.steps.host_env();
    let path = env.get("PATH").map(OsString::as_os_str).unwrap_or_default();
    let remembered = Remembered::of(&cx.steps.root);
    let user = native::server_user()?;
    let unfit = |bin: &Path| {
        let user = user.as_ref()?;
        let closed = closed_to(bin, user).filter(|_| !toolchain::is_stored(bin))?;
        let (user, closed) = (&user.name, closed.display());
        Some(format!(
            "user `{user}`, whom the server runs as, cannot enter `{closed}`"
        ))
    };
    native::find(version, path, &remembered, unfit).await
}

/// The same programs where the server's user can run them.
async fn within_reach(found: Installation) -> Result<Installation, Fault> {
    let user = native::server_user().map_err(|error| error.explain())?;
    let Some(user) = user else {
        return Ok(found);
    };
    let Installation { bin, release } = found;
    let (place, name) = (bin.clone(), user.name.clone());
    let reached = tokio::task::spawn_blocking(move || toolchain::within_reach(&bin, &user)).await;
    let bin = reached.expect("a copy does not panic").map_err(|error| {
        let doing = format!(
            "cannot copy `{}` to where user `{name}` can run it",
            place.display()
        );
        Fault::new(format!("{doing}: {error}")).class(FaultClass::Environment)
    })?;
    Ok(Installation { bin, release })
}

/// The prepared data directory of these programs, made now if the cache has none.
async fn prepare(
    cx: &Cx<'_>,
    postgres: &Postgres,
    found: &Installation,
) -> Result<Prepared, Fault> {
    let cache = pgdata::Cache::of_user().map_err(|error| error.explain())?;
    let key = found.key(&postgres.version, &postgres.initdb);
    if let Some(prepared) = cached(&cache, &key).await {
        return Ok(prepared);
    }
    cx.events
        .message("preparing a data directory (once per version)");
    let bootstrap = pgdata::bootstrap_password().map_err(|error| error.explain())?;
    let archive = found.prepare(&postgres.version, &postgres.initdb, &bootstrap, &cx.cancel);
    let archive = archive.await.map_err(|error| error.explain())?;
    blocking(move || cache.put(&key, &archive, &bootstrap)).await
}
