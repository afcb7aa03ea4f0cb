//! `postgres.*`: a server that answers a query on the app's database as the app's user.
//!
//! A fresh server starts on a prepared data directory, made once per image and kept in the cache: no initdb, no double start.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Cx, Steps,
    address::{self, POSTGRES_PORT_NAME, Viewpoint},
    blocking,
    container::{self, Found},
    ports, secrets, service,
};
use crate::{
    config::{Postgres, Restart, StepId},
    database::{self, Bootstrap, NotReady, ProvisionError, Target, pgdata, pgdata::Prepared},
    event::{Explain, Fault, FaultClass},
    plan::{Acted, Action, Decision, Digest, Inputs, Output, Outputs, Reason, Verdict, image_step},
    runtime::{Exec, Instance, OneShot, Runtime, Spec, SpecFile, SpecMount},
    sys::terminal::Stdio,
};

/// How long a check of a server that should be up may take.
const CHECK: Duration = Duration::from_secs(1);

/// A clean shutdown writes all dirty pages first.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Short name of the volume that holds a server's data.
pub fn volume(id: &StepId) -> String {
    format!("{}-data", id.name)
}

/// Where the app's database is reached from this machine.
pub async fn target(steps: &Steps, id: &StepId, output: &Output) -> Result<Target, Fault> {
    let postgres = steps
        .config
        .postgres
        .get(&id.name)
        .expect("checked when the file was read: the database exists");
    let secrets = secrets::read(secrets::names([&postgres.password]), steps).await?;
    let outputs = Outputs::from([(id.clone(), output.clone())]);
    let viewpoint = Viewpoint::Host {
        host: steps.runtime()?.host(),
        outputs: &outputs,
    };
    let password = address::resolve(&postgres.password, &steps.config, &viewpoint, &secrets)?;
    let port = output.values.get(&format!("port.{POSTGRES_PORT_NAME}"));
    let port = port.and_then(|port| port.parse().ok()).ok_or_else(|| {
        Fault::new(format!("`{id}` is not running, its port is not known"))
            .help("run `devenv up` first")
    })?;
    Ok(Target {
        host: steps.runtime()?.host().to_owned(),
        port,
        user: postgres.user.clone(),
        password,
        database: postgres.database.clone(),
    })
}

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let (known, instance) = (cx.known_inputs(), cx.instance().await?);
    let instance = match container::judge(instance.as_ref(), &known) {
        Found::Differs(action, reasons) => return Ok(Verdict::act(action, reasons)),
        Found::Running(instance) => instance,
    };
    let output = container::output(&instance.ports);
    let target = target(cx.steps, cx.id(), &output).await?;
    let wanted = wanted(table(cx), &target);
    let what = match database::provisioned(&wanted, CHECK, &cx.cancel).await {
        Ok(true) => return Ok(Verdict::Keep(output)),
        Ok(false) => "it runs without all that its table says of its database".to_owned(),
        Err(error) => format!("it runs but does not answer: {error}"),
    };
    let mut reasons = changed_contents(cx);
    reasons.extend(cx.changed_secrets(secrets::names([&table(cx).password])));
    if reasons.is_empty() {
        reasons.push(Reason::State { what });
    }
    Ok(Verdict::act(Action::Start, reasons))
}

/// What is made inside the server, which does not make it another one.
fn contents(postgres: &Postgres) -> Inputs {
    let mut contents = Inputs::default();
    contents
        .text("database", &postgres.database)
        .text("user", &postgres.user);
    for extension in &postgres.extensions {
        contents.text(format!("extensions.{extension}"), "created");
    }
    contents
}

/// What the file says of it otherwise than when it was last ready.
fn changed_contents(cx: &Cx<'_>) -> Vec<Reason> {
    match cx.steps.store.record(cx.id()) {
        Some(record) => contents(table(cx)).changes_since(&record.inputs),
        None => Vec::new(),
    }
}

/// One quick look, unless it takes a command of the user's to get the password.
pub(super) async fn does_not_answer(cx: &Cx<'_>, instance: &Instance) -> bool {
    if !secrets::names([&table(cx).password]).is_empty() {
        return false;
    }
    let target = target(cx.steps, cx.id(), &container::output(&instance.ports)).await;
    let Ok(target) = target else { return false };
    match database::ready(&target, CHECK, &cx.cancel).await {
        // A busy machine is silent as well.
        Err(NotReady::Timeout { reason, .. }) => reason != database::Reason::Silent,
        Err(NotReady::Cancelled { .. }) | Ok(()) => false,
    }
}

/// What the server is to hold.
fn wanted(postgres: &Postgres, target: &Target) -> database::Wanted {
    database::Wanted {
        app: target.clone(),
        extensions: postgres.extensions.clone(),
    }
}

pub(super) async fn act(cx: &Cx<'_>, decision: &Decision, slot: impl Send) -> Result<Acted, Fault> {
    let postgres = table(cx);
    let secrets = cx.secrets([&postgres.password]).await?;
    let image = cx
        .output_of(&image_step(cx.config(), &postgres.image))
        .digest
        .clone();
    let prepared = match postgres.prepared {
        true => Some(prepare(cx, postgres, &image).await?),
        false => {
            check_entrypoint(cx, postgres, &image).await?;
            None
        }
    };
    let spec = spec(cx, postgres, image, prepared.as_ref()).await?;
    let started = service::start(cx, &spec, decision).await?;
    cx.settle_ports(&ports::of_postgres(postgres), &started)?;
    let output = container::output(&started.ports);
    let target = target(cx.steps, cx.id(), &output).await?;
    drop(slot);
    let bootstrap = prepared.as_ref().map(|prepared| Bootstrap {
        password: &prepared.bootstrap_password,
        is_new: started.new_volumes.contains(&volume(cx.id())),
    });
    wait(cx, postgres, &target, bootstrap).await?;
    cx.stays_up(decision).await?;
    cx.remember_secrets(&secrets)?;
    cx.record(contents(postgres), BTreeMap::new(), output.clone())?;
    let port = target.port;
    Ok(Acted {
        output,
        summary: format!("Postgres {} answers on port {port}", postgres.version),
    })
}

/// The prepared data directory for this image, made now if the cache has none.
async fn prepare(cx: &Cx<'_>, postgres: &Postgres, image: &str) -> Result<Prepared, Fault> {
    let cache = pgdata::Cache::of_user().map_err(|error| error.explain())?;
    let key = pgdata::key(image, &postgres.version, &postgres.initdb);
    if let Some(prepared) = cached(&cache, &key).await {
        return Ok(prepared);
    }
    cx.events
        .message("preparing a data directory (once per image)");
    let bootstrap = pgdata::bootstrap_password().map_err(|error| error.explain())?;
    let one_shot = OneShot {
        image: image.to_owned(),
        argv: vec![
            "/bin/sh".into(),
            "-c".into(),
            pgdata::init_script(&postgres.version, &postgres.initdb),
        ],
        env: BTreeMap::from([(pgdata::BOOTSTRAP_ENV.to_owned(), bootstrap.clone())]),
        user: Some("root".into()),
        fetch: Some(pgdata::MOUNT.to_owned()),
    };
    let result = tokio::select! {
        result = cx.steps.runtime()?.one_shot(one_shot) => result.map_err(|error| error.explain())?,
        () = cx.cancel.cancelled() => return Err(super::cancelled(cx)),
    };
    if result.code == pgdata::NO_SUCH_VERSION {
        return Err(no_such_version(cx, postgres, &result.output));
    }
    let Some(archive) = result.archive.filter(|_| result.code == 0) else {
        let help = match has_entrypoint(cx, image).await? {
            true => {
                "is this an image with Postgres in the stated version? `prepared = false` uses the image's own entrypoint"
            }
            false => "name an image with Postgres in the stated version",
        };
        return Err(Fault::new(format!(
            "initdb failed with code {} in image `{}`",
            result.code, postgres.image
        ))
        .note(format!("its output:\n{}", result.output.trim_end()))
        .help(help));
    };
    blocking(move || cache.put(&key, &archive, &bootstrap)).await
}

fn no_such_version(cx: &Cx<'_>, postgres: &Postgres, found: &str) -> Fault {
    let Postgres { image, version, .. } = postgres;
    Fault::new(format!("image `{image}` has no Postgres {version}"))
        .class(FaultClass::Usage)
        .at_key(cx.key("version"))
        .note(found.trim_end())
        .help("set `version` to the one that the image has, or `image` to one with this version")
}

/// Without a prepared data directory it is the image's entrypoint that makes the data and drops root.
async fn check_entrypoint(cx: &Cx<'_>, postgres: &Postgres, image: &str) -> Result<(), Fault> {
    if has_entrypoint(cx, image).await? {
        return Ok(());
    }
    let fault = Fault::new(format!(
        "image `{}` has no entrypoint, which `prepared = false` leaves the data to",
        postgres.image
    ));
    Err(fault
        .class(FaultClass::Usage)
        .at_key(cx.key("prepared"))
        .help("leave `prepared` out: devenv then makes the data itself; or name an image with an entrypoint, such as the official `postgres`"))
}

async fn has_entrypoint(cx: &Cx<'_>, image: &str) -> Result<bool, Fault> {
    let image = cx.steps.images().await?.inspect(image).await;
    let image = image.map_err(|error| error.explain())?;
    let entrypoint = image
        .as_ref()
        .and_then(|image| image.config.get("Entrypoint")?.as_array());
    Ok(entrypoint.is_some_and(|words| !words.is_empty()))
}

async fn cached(cache: &pgdata::Cache, key: &Digest) -> Option<Prepared> {
    let (cache, key) = (cache.clone(), key.clone());
    tokio::task::spawn_blocking(move || cache.get(&key))
        .await
        .expect("reading a file does not panic")
}

async fn spec(
    cx: &Cx<'_>,
    postgres: &Postgres,
    image: String,
    prepared: Option<&Prepared>,
) -> Result<Spec, Fault> {
    let mut spec = Spec {
        step: cx.id().clone(),
        image,
        entrypoint: None,
        command: None,
        env: BTreeMap::new(),
        ports: cx.spec_ports(&ports::of_postgres(postgres)),
        mounts: vec![SpecMount::Volume {
            name: volume(cx.id()),
            target: pgdata::MOUNT.to_owned(),
        }],
        files: Vec::new(),
        tmpfs: BTreeMap::from([(pgdata::SOCKET_DIR.to_owned(), "mode=1777".to_owned())]),
        user: None,
        workdir: None,
        restart: Restart::UnlessStopped,
        stop_signal: Some("SIGINT".into()),
        stop_grace: STOP_GRACE,
        aliases: vec![address::alias(cx.id())],
        inputs: cx.known_inputs().inputs,
    };
    if let Some(prepared) = prepared {
        let file = |(number, part): (usize, &pgdata::Part)| SpecFile {
            path: format!("{}/{number}.tar", pgdata::ARCHIVES),
            mode: 0o600,
            packed: part.packed.clone(),
            size: part.size,
        };
        spec.files = prepared.parts.iter().enumerate().map(file).collect();
        spec.entrypoint = Some(pgdata::server_command(
            &postgres.version,
            &postgres.settings,
        ));
        spec.command = Some(Vec::new());
        spec.user = Some("root".into());
        return Ok(spec);
    }
    let secrets = cx.secrets([&postgres.password]).await?;
    let password = address::resolve(
        &postgres.password,
        cx.config(),
        &Viewpoint::Container,
        &secrets,
    )?;
    spec.env = BTreeMap::from([
        // As everywhere, init scripts run as the app's role and what they make is its own.
        ("POSTGRES_USER".into(), postgres.user.clone()),
        ("POSTGRES_PASSWORD".into(), password),
        ("POSTGRES_DB".into(), postgres.database.clone()),
        ("PGDATA".into(), pgdata::PGDATA.to_owned()),
        ("POSTGRES_INITDB_ARGS".into(), postgres.initdb.join(" ")),
    ]);
    let settings = postgres.settings.iter();
    spec.command = Some(
        ["postgres".to_owned()]
            .into_iter()
            .chain(settings.flat_map(|(name, value)| ["-c".into(), format!("{name}={value}")]))
            .collect(),
    );
    Ok(spec)
}

/// Ready: the app's user gets an answer from its database. A server that exits meanwhile is reported at once.
async fn wait(
    cx: &Cx<'_>,
    postgres: &Postgres,
    target: &Target,
    bootstrap: Option<Bootstrap<'_>>,
) -> Result<(), Fault> {
    cx.events.message("waiting for the first query");
    let ready = provision(cx, postgres, target, bootstrap);
    let fault = tokio::select! {
        ready = ready => match ready {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        },
        code = cx.steps.runtime()?.exited(cx.id()) => match code {
            Ok(code) => Fault::new(format!("`{}` exited with code {code} while it started", cx.id())),
            Err(error) => error.explain(),
        },
    };
    Err(cx.with_last_log(fault).await)
}

/// A password changed in the file is set from inside the container, where the local socket is trusted.
async fn provision(
    cx: &Cx<'_>,
    postgres: &Postgres,
    target: &Target,
    bootstrap: Option<Bootstrap<'_>>,
) -> Result<(), Fault> {
    let wanted = wanted(postgres, target);
    let timeout = postgres.ready.timeout;
    match database::provision(&wanted, bootstrap, timeout, &cx.cancel).await {
        Ok(_) => return Ok(()),
        Err(ProvisionError::Locked { .. }) if postgres.prepared => {}
        Err(error) => return Err(error.explain()),
    }
    let rescue = database::rescue(&postgres.version, &target.password);
    let exec = Exec {
        argv: rescue.argv,
        env: BTreeMap::from([rescue.env]),
        user: Some(pgdata::USER.to_owned()),
        ..Exec::default()
    };
    let runtime = cx.steps.runtime()?;
    runtime
        .exec(cx.id(), exec, Stdio::null())
        .await
        .map_err(|error| error.explain())?;
    database::provision(&wanted, None, timeout, &cx.cancel)
        .await
        .map(|_| ())
        .map_err(|error| error.explain())
}

fn table<'a>(cx: &'a Cx<'_>) -> &'a Postgres {
    cx.config()
        .postgres
        .get(&cx.id().name)
        .expect("the plan has only databases of the file")
}
