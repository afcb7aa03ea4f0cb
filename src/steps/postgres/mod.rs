//! `postgres.*`: a server that answers a query on the app's database as the app's user.
//!
//! A fresh server starts on a prepared data directory, made once and kept in the cache: no initdb, no double start. How it is had and
//! what is started are in `container` and `native`; when it is ready, and what it holds then, is the same for both.

mod container;
mod native;

use std::{collections::BTreeMap, time::Duration};

use super::{
    Cx, Steps,
    address::{self, POSTGRES_PORT_NAME, Viewpoint},
    container::{Found, judge, output},
    inputs::Known,
    ports, secrets, service,
};
use crate::{
    config::{Postgres, StepId},
    database::{
        self, Bootstrap, NotReady, ProvisionError, Target,
        pgdata::{self, Prepared},
    },
    event::{Explain, Fault},
    plan::{Acted, Action, Decision, Digest, Inputs, Output, Outputs, Reason, Verdict},
    runtime::{Instance, Runtime, RuntimeKind, Spec},
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

pub(super) use native::package_not_needed;

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let (known, instance) = (known(cx).await?, cx.instance().await?);
    let instance = match judge(instance.as_ref(), &known, cx.steps.kind()) {
        Found::Differs(action, reasons) => return Ok(Verdict::act(action, reasons)),
        Found::Running(instance) => instance,
    };
    let output = output(&instance.ports);
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

/// What is to be started.
struct Server {
    spec: Spec,
    /// The data directory that a fresh server starts on; `None` when the image's entrypoint makes it.
    prepared: Option<Prepared>,
    /// Its data were put in place just now, before the start.
    is_new: bool,
}

async fn known(cx: &Cx<'_>) -> Result<Known, Fault> {
    match cx.steps.kind() {
        RuntimeKind::Docker => Ok(cx.known_inputs()),
        RuntimeKind::Process => native::known(cx).await,
    }
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
    let target = target(cx.steps, cx.id(), &output(&instance.ports)).await;
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
    let server = match cx.steps.kind() {
        RuntimeKind::Docker => container::server(cx, postgres).await?,
        RuntimeKind::Process => native::server(cx, postgres).await?,
    };
    let spec = &server.spec;
    let started = service::start(cx, spec, decision).await?;
    cx.settle_ports(&ports::of_postgres(postgres), &started)?;
    let output = output(&started.ports);
    let target = target(cx.steps, cx.id(), &output).await?;
    drop(slot);
    let bootstrap = server.prepared.as_ref().map(|prepared| Bootstrap {
        password: &prepared.bootstrap_password,
        is_new: server.is_new || started.new_volumes.contains(&volume(cx.id())),
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

async fn cached(cache: &pgdata::Cache, key: &Digest) -> Option<Prepared> {
    let (cache, key) = (cache.clone(), *key);
    tokio::task::spawn_blocking(move || cache.get(&key))
        .await
        .expect("reading a file does not panic")
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

/// A password changed in the file is set over the local socket, which is trusted: in a container that takes a command inside.
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
    match cx.steps.kind() {
        RuntimeKind::Docker => container::rescue(cx, postgres, target).await?,
        RuntimeKind::Process => native::rescue(cx, target).await?,
    }
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
