//! Host ports: ours already, free, or held by somebody, who is named.

use super::{Context, Finding};
use crate::{
    config::{Config, StepId, StepKind},
    runtime::{AnyRuntime, Listing, Runtime, docker::Publisher},
    sys::net::{PortHolders, port_is_free},
};

/// Wanted ports: ours already, free, or held by somebody.
pub async fn check(cx: &Context, config: &Config) -> Vec<Finding> {
    let runtime = cx.runtime().ok();
    let listing = match &runtime {
        Some(runtime) => runtime.list().await.unwrap_or_default(),
        None => Listing::default(),
    };
    // Read when the first is asked for.
    let mut holders = None;
    let mut findings = Vec::new();
    for (step, name, port) in wanted_ports(config) {
        let ours = listing.instances.iter().find(|i| i.step == step);
        let taken = ours.and_then(|instance| instance.ports.get(&name));
        findings.push(match taken {
            Some(taken) if *taken == port => {
                Finding::ok("port", format!("{port} serves {name} of {step}"))
            }
            Some(taken) => Finding::warning(
                "port",
                format!("{name} of {step} is on {taken}, {port} was not free when it started"),
                Some(format!(
                    "free port {port}, then `devenv down` and `devenv up`"
                )),
            ),
            None if port_is_free(port) => {
                Finding::ok("port", format!("{port} is free for {name} of {step}"))
            }
            None => {
                let held = format!("{port}, wanted for {name} of {step}, is held by");
                let publisher = match &runtime {
                    Some(AnyRuntime::Docker(docker)) => docker.publisher(port).await.ok().flatten(),
                    Some(AnyRuntime::Process(_)) | None => None,
                };
                let holders = holders.get_or_insert_with(PortHolders::read);
                let (holder, end) = holder(holders, port, publisher);
                let range = config.project.ports;
                let fix = format!(
                    "{end}, or let devenv take a port of {}-{}",
                    range.first, range.last
                );
                Finding::warning("port", format!("{held} {holder}"), Some(fix))
            }
        });
    }
    findings
}

/// Who holds the port, and how to end that.
fn holder(holders: &PortHolders, port: u16, publisher: Option<Publisher>) -> (String, String) {
    let program = "end that program".to_owned();
    match (publisher, holders.of(port)) {
        // The process that listens is the engine's: it says nothing about who wanted it.
        (Some(publisher), _) => (publisher.description, format!("run `{}`", publisher.end)),
        // Its engine is another one than this project's, or does not answer.
        (None, Some(holder)) if holder.command.starts_with("docker-proxy") => {
            let name = format!("a container (`docker-proxy`, pid {})", holder.pid);
            let find = format!("`docker ps --filter publish={port}` on its engine");
            (name, format!("stop that container, which {find} names"))
        }
        (None, Some(holder)) => (holder.to_string(), program),
        (None, None) => match holders.user_of(port) {
            Some(user) => (
                format!("a program of user `{user}`"),
                format!("end it as `{user}`"),
            ),
            None => ("another program".to_owned(), program),
        },
    }
}

fn wanted_ports(config: &Config) -> Vec<(StepId, String, u16)> {
    let postgres = config.postgres.iter().map(|(name, postgres)| {
        let id = StepId::new(StepKind::Postgres, name);
        (id, "sql".to_owned(), postgres.port)
    });
    let services = config
        .service
        .iter()
        .map(|(name, service)| (StepId::new(StepKind::Service, name), service))
        .chain(
            config
                .app
                .iter()
                .map(|(name, app)| (StepId::new(StepKind::App, name), &app.service)),
        );
    let declared = services.flat_map(|(id, service)| {
        let ports = service.ports.iter();
        ports.map(move |(name, port)| (id.clone(), name.clone(), port.host))
    });
    postgres.chain(declared).collect()
}
