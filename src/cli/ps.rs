//! `devenv ps`: what runs, where it answers, where its image came from.

use std::{collections::BTreeMap, process::ExitCode, time::SystemTime};

use futures_util::future::{join_all, try_join_all};
use serde::Serialize;

use super::{context::Context, down};
use crate::{
    config::{Config, StepId, StepKind},
    event::{Explain, Fault},
    plan::{self, Plan},
    report::{self, Table},
    runtime::{AnyRuntime, Identity, Instance, InstanceState, Runtime, RuntimeKind},
    steps::image_tag,
    sys::terminal,
};

/// Show what runs.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// One row, as `--output json` shows it.
#[derive(Debug, Serialize)]
pub struct Row {
    pub step: StepId,
    /// The runtime's own id.
    pub id: Option<String>,
    /// `running`, `not ready`, `restarting (3 times)`, `exited (1)`, `absent`, …
    pub state: String,
    /// How often its restart policy has brought it back since it was started on purpose.
    pub restarts: u64,
    /// Port name → host port.
    pub ports: BTreeMap<String, u16>,
    /// Where it answers, if it speaks HTTP.
    pub url: Option<String>,
    pub image: Option<String>,
    /// `debian`, `dockerfile`, `artifact`, `registry`, `local`.
    pub origin: Option<String>,
    pub age_seconds: Option<u64>,
}

pub async fn run(cx: &Context, _args: Args) -> Result<ExitCode, Fault> {
    cx.needs_no_lock()?;
    let rows = rows(cx).await?;
    cx.answer(&rows, || text(&rows));
    if down::is_left_apart(cx)? {
        let left = "a killed `devenv ci` or hook has left what it ran: `devenv down` removes that";
        anstream::eprintln!("{}", report::note(left));
    }
    Ok(ExitCode::SUCCESS)
}

async fn rows(cx: &Context) -> Result<Vec<Row>, Fault> {
    let (config, plan, runtime) = (cx.config()?, cx.plan()?, cx.runtime()?);
    let listing = runtime.list().await.map_err(|error| error.explain())?;
    let (images, identity) = (cx.images()?, cx.identity()?);
    let images = listing.instances.iter().map(async |i| match &images {
        Some(images) => images.inspect(&i.image_id).await,
        None => Ok(None),
    });
    let steps = cx.steps(cx.silent_events())?;
    let looks = listing.instances.iter().map(|i| steps.is_not_ready(i));
    let (images, not_ready) = tokio::join!(try_join_all(images), join_all(looks));
    let images = images.map_err(|error| error.explain())?;
    let mut rows = Vec::new();
    for ((instance, image), not_ready) in listing.instances.iter().zip(images).zip(not_ready) {
        let mut row = row(&config, &runtime, instance);
        if not_ready && !instance.keeps_restarting() {
            row.state = "not ready".into();
        }
        // One that devenv neither built nor pulled was there: loaded, or built by hand.
        row.origin = image.map(|image| image.origin.unwrap_or_else(|| "local".into()));
        row.image = match runtime.kind() {
            RuntimeKind::Docker => {
                reference(&config, &identity, &instance.step).or(row.image.take())
            }
            RuntimeKind::Process => None,
        };
        rows.push(row);
    }
    let absent = running_steps(&plan).filter(|step| {
        !listing
            .instances
            .iter()
            .any(|instance| instance.step == **step)
    });
    rows.extend(absent.map(absent_row));
    rows.sort_by(|a, b| a.step.cmp(&b.step));
    Ok(rows)
}

fn running_steps(plan: &Plan) -> impl Iterator<Item = &StepId> {
    plan.steps.keys().filter(|id| id.kind.is_running_service())
}

fn row(config: &Config, runtime: &AnyRuntime, instance: &Instance) -> Row {
    Row {
        step: instance.step.clone(),
        id: Some(instance.id.clone()),
        state: state(instance),
        restarts: instance.restarts,
        ports: instance.ports.clone(),
        url: url(config, runtime.host(), &instance.step, &instance.ports),
        image: Some(instance.image.clone()),
        origin: None,
        age_seconds: SystemTime::now()
            .duration_since(instance.created)
            .ok()
            .map(|age| age.as_secs()),
    }
}

fn absent_row(step: &StepId) -> Row {
    Row {
        step: step.clone(),
        id: None,
        state: "absent".into(),
        restarts: 0,
        ports: BTreeMap::new(),
        url: None,
        image: None,
        origin: None,
        age_seconds: None,
    }
}

/// What people call the image of a step; the container only knows its id.
fn reference(config: &Config, identity: &Identity, step: &StepId) -> Option<String> {
    match step.kind {
        StepKind::Postgres => Some(config.postgres.get(&step.name)?.image.clone()),
        StepKind::Service => config.service.get(&step.name)?.image.clone(),
        StepKind::App => Some(image_tag(identity, &step.name)),
        _ => None,
    }
}

/// The address of a step's `http` port. An orphan has none: the file does not say what its ports are.
pub fn url(
    config: &Config,
    host: &str,
    step: &StepId,
    ports: &BTreeMap<String, u16>,
) -> Option<String> {
    let known = config.app.contains_key(&step.name) || config.service.contains_key(&step.name);
    let port = ports.get("http").filter(|_| known)?;
    Some(format!("http://{host}:{port}"))
}

fn state(instance: &Instance) -> String {
    match instance.state {
        _ if instance.keeps_restarting() => {
            format!("restarting ({})", plan::times(instance.restarts))
        }
        InstanceState::Created => "created".into(),
        InstanceState::Running => "running".into(),
        InstanceState::Restarting => "restarting".into(),
        InstanceState::Paused => "paused".into(),
        InstanceState::Exited { code } => format!("exited ({code})"),
        InstanceState::Dead => "dead".into(),
    }
}

/// With what has happened to it before.
fn shown_state(row: &Row) -> String {
    match row.state.as_str() {
        "running" if row.restarts > 0 => {
            format!("running (restarted {})", plan::times(row.restarts))
        }
        state => state.to_owned(),
    }
}

/// What a container left by an earlier file runs is known by its id alone.
fn short(image: &str) -> String {
    match image.strip_prefix("sha256:") {
        Some(id) => id.chars().take(12).collect(),
        None => image.to_owned(),
    }
}

/// `12s`: what counts whole seconds shows no fractions.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        _ => report::duration(seconds * 1000),
    }
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "Nothing to run: devenv.toml has no postgres, service or app\n".into();
    }
    let mut table = Table::new(["STEP", "STATE", "PORTS", "URL", "IMAGE", "FROM", "AGE"]);
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    for row in rows {
        let ports: Vec<_> = row
            .ports
            .iter()
            .map(|(name, port)| format!("{name} {port}"))
            .collect();
        table.row([
            row.step.to_string(),
            shown_state(row),
            dash((!ports.is_empty()).then(|| ports.join(", "))),
            dash(row.url.clone()),
            dash(row.image.as_deref().map(short)),
            dash(row.origin.clone()),
            dash(row.age_seconds.map(age)),
        ]);
    }
    if rows.iter().all(|row| row.image.is_none()) {
        table = table.without("IMAGE").without("FROM");
    }
    match terminal::output_columns() {
        Some(columns) => table.fit(columns, &["FROM", "IMAGE", "URL"]).to_string(),
        None => table.to_string(),
    }
}
