//! What `${kind.name.field}` becomes: the same reference is a network address inside a container and a published port on the host.

use std::collections::BTreeMap;

use crate::{
    config::{Config, Part, Postgres, StepId, StepKind, Template},
    database,
    event::{Fault, FaultClass},
    plan::Output,
    runtime::{AnyRuntime, Runtime},
};

/// Port on which a Postgres listens in its container.
pub const POSTGRES_PORT: u16 = 5432;

/// The name of a Postgres' only port, in labels, `ps` and sticky ports.
pub const POSTGRES_PORT_NAME: &str = "sql";

/// Where a value is used.
pub enum Viewpoint<'a> {
    /// On the project's network: service names and container ports. Known before anything runs.
    Container,
    /// On this machine: published ports, known once the step runs.
    Host {
        host: &'a str,
        outputs: &'a BTreeMap<StepId, Output>,
    },
    /// A program that the process runtime keeps on this machine.
    Process {
        runtime: &'a AnyRuntime,
        outputs: &'a BTreeMap<StepId, Output>,
    },
}

/// The name other containers reach a step by.
pub fn alias(step: &StepId) -> String {
    step.name.clone()
}

/// A template's text, references and secrets resolved. The result may hold secrets.
pub fn resolve(
    template: &Template,
    config: &Config,
    viewpoint: &Viewpoint,
    secrets: &BTreeMap<String, String>,
) -> Result<String, Fault> {
    template.resolve(|part| match part {
        Part::Text(text) => Ok(text.clone()),
        Part::Secret { name } => secrets.get(name).cloned().ok_or_else(|| {
            Fault::new(format!("secret `{name}` was not read before it was used"))
                .class(FaultClass::Bug)
        }),
        Part::Field { step, field } => field_value(step, field, config, viewpoint, secrets),
    })
}

/// As [`resolve`], of a whole table, such as a program's environment.
pub fn resolve_table(
    table: &BTreeMap<String, Template>,
    config: &Config,
    viewpoint: &Viewpoint,
    secrets: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Fault> {
    let values = table.iter().map(|(name, template)| {
        let value = resolve(template, config, viewpoint, secrets)?;
        Ok((name.clone(), value))
    });
    values.collect()
}

fn field_value(
    step: &StepId,
    field: &str,
    config: &Config,
    viewpoint: &Viewpoint,
    secrets: &BTreeMap<String, String>,
) -> Result<String, Fault> {
    let unknown = || {
        Fault::new(format!("`{step}` has no field `{field}`"))
            .class(FaultClass::Usage)
            .at_key(step.key_path())
    };
    if step.kind == StepKind::Postgres {
        let postgres = config.postgres.get(&step.name).ok_or_else(unknown)?;
        return postgres_field(step, field, postgres, config, viewpoint, secrets);
    }
    let service = match step.kind {
        StepKind::Service => config.service.get(&step.name),
        StepKind::App => config.app.get(&step.name).map(|app| &app.service),
        _ => None,
    };
    let service = service.ok_or_else(unknown)?;
    let ports = &service.ports;
    let only_port = || match ports.len() {
        1 => ports.keys().next(),
        _ => None,
    };
    let port = |name: &str| {
        let container = ports.get(name).ok_or_else(unknown)?.container;
        port_from(step, name, container, viewpoint)
    };
    match field {
        "host" => Ok(host_from(step, viewpoint)),
        "listen" => port(only_port().ok_or_else(unknown)?).map(|port| listen(port, viewpoint)),
        "port" => port(only_port().ok_or_else(unknown)?).map(|port| port.to_string()),
        "url" => Ok(format!(
            "http://{}:{}",
            host_from(step, viewpoint),
            port("http")?
        )),
        field => match field.split_once('.') {
            Some(("port", name)) => port(name).map(|port| port.to_string()),
            Some(("listen", name)) => port(name).map(|port| listen(port, viewpoint)),
            Some(("volume", name)) => {
                let target = service.folder(name).ok_or_else(unknown)?;
                folder_from(step, name, target, viewpoint)
            }
            _ => Err(unknown()),
        },
    }
}

/// Where a program is to listen: a container is reached from outside of it, a process only from this machine.
fn listen(port: u16, viewpoint: &Viewpoint) -> String {
    match viewpoint {
        Viewpoint::Container => format!("0.0.0.0:{port}"),
        Viewpoint::Host { host, .. } => format!("{host}:{port}"),
        Viewpoint::Process { runtime, .. } => format!("{}:{port}", runtime.host()),
    }
}

fn folder_from(
    step: &StepId,
    name: &str,
    target: &str,
    viewpoint: &Viewpoint,
) -> Result<String, Fault> {
    let folder = match viewpoint {
        Viewpoint::Container => return Ok(target.to_owned()),
        Viewpoint::Host { .. } => None,
        Viewpoint::Process { runtime, .. } => runtime.volume_folder(name),
    };
    let folder = folder.ok_or_else(|| {
        Fault::new(format!("volume `{name}` of `{step}` has no folder here"))
            .class(FaultClass::Usage)
            .help(format!(
                "use `devenv exec {step} -- …` to work with what is in it"
            ))
    })?;
    Ok(folder.display().to_string())
}

fn postgres_field(
    step: &StepId,
    field: &str,
    postgres: &Postgres,
    config: &Config,
    viewpoint: &Viewpoint,
    secrets: &BTreeMap<String, String>,
) -> Result<String, Fault> {
    let host = host_from(step, viewpoint);
    let port = || port_from(step, POSTGRES_PORT_NAME, POSTGRES_PORT, viewpoint);
    let password = || resolve(&postgres.password, config, &Viewpoint::Container, secrets);
    match field {
        "host" => Ok(host),
        "port" => port().map(|port| port.to_string()),
        "user" => Ok(postgres.user.clone()),
        "database" => Ok(postgres.database.clone()),
        "password" => password(),
        "url" => Ok(database::Target {
            host,
            port: port()?,
            user: postgres.user.clone(),
            password: password()?,
            database: postgres.database.clone(),
        }
        .url()),
        _ => Err(Fault::new(format!("`{step}` has no field `{field}`"))
            .class(FaultClass::Usage)
            .at_key(step.key_path())),
    }
}

fn host_from(step: &StepId, viewpoint: &Viewpoint) -> String {
    match viewpoint {
        Viewpoint::Container => alias(step),
        Viewpoint::Host { host, .. } => (*host).to_owned(),
        Viewpoint::Process { runtime, .. } => runtime.host().to_owned(),
    }
}

fn port_from(
    step: &StepId,
    name: &str,
    container: u16,
    viewpoint: &Viewpoint,
) -> Result<u16, Fault> {
    match viewpoint {
        Viewpoint::Container => Ok(container),
        Viewpoint::Host { outputs, .. } | Viewpoint::Process { outputs, .. } => outputs
            .get(step)
            .and_then(|output| output.values.get(&format!("port.{name}"))?.parse().ok())
            .ok_or_else(|| {
                Fault::new(format!("`{step}` is not running, its port is not known"))
                    .class(FaultClass::Environment)
                    .help("run `devenv up` first")
            }),
    }
}
