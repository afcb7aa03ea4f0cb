//! Host ports of containers: which are free, who holds the others, and what a refused start was about.

use std::{
    cell::LazyCell,
    collections::{BTreeSet, HashMap},
};

use bollard::{errors::Error, models::ContainerSummary};

use super::{
    Docker,
    label::{self, COMPOSE_PROJECT, ONE_SHOT, PROJECT, ROOT, STEP},
};
use crate::{
    runtime::{
        RuntimeError, Spec, Started,
        ports::{self, Occupancy},
    },
    sys::net::{PortHolders, port_is_free},
};

impl Docker {
    /// Ports that a failed start was about. Engines have no status for this: their words, or the port being taken now.
    pub(super) fn refused_ports(&self, error: &Error, started: &Started) -> Vec<u16> {
        let Error::DockerResponseServerError { message, .. } = error else {
            return Vec::new();
        };
        let about_ports =
            message.contains("already allocated") || message.contains("already in use");
        let named = |port: u16| about_ports && message.contains(&format!(":{port}"));
        let taken = |port: u16| self.engine().is_local() && !port_is_free(port);
        let ports = started.ports.values().copied();
        ports.filter(|port| named(*port) || taken(*port)).collect()
    }

    /// Chooses host ports and keeps them from other steps that start now, until the guard is dropped.
    pub(super) fn choose_ports(
        &self,
        spec: &Spec,
        all: &[ContainerSummary],
        refused: &BTreeSet<u16>,
    ) -> Result<(Started, Reserved<'_>), RuntimeError> {
        let published = published(all);
        let mut reserved = self
            .inner
            .reserved
            .lock()
            .expect("no panic while the lock is held");
        let is_free = |port: u16| {
            !refused.contains(&port)
                && !reserved.contains_key(&port)
                && !published.contains_key(&port)
                && (!self.engine().is_local() || port_is_free(port))
        };
        // Read when the first is asked for.
        let holders = LazyCell::new(PortHolders::read);
        let holder = |port: u16| match (published.get(&port), reserved.get(&port)) {
            (Some(container), _) => self.describe_holder(container),
            (None, Some(step)) => format!("`{step}`"),
            (None, None) => process(&holders, port),
        };
        let occupancy = Occupancy {
            is_free: &is_free,
            holder: &holder,
        };
        let started = ports::choose(&self.identity().id, &spec.step, &spec.ports, &occupancy)?;
        let chosen: Vec<u16> = started.ports.values().copied().collect();
        reserved.extend(chosen.iter().map(|port| (*port, spec.step.clone())));
        let guard = Reserved {
            docker: self,
            ports: chosen,
        };
        Ok((started, guard))
    }
}

impl Docker {
    /// A container of this worktree by its step, another by its name.
    fn describe_holder(&self, container: &ContainerSummary) -> String {
        let own = self.labels().are_on(container.labels.as_ref());
        match label::get(container, STEP).filter(|_| own) {
            Some(step) => format!("`{step}`"),
            None => describe(container),
        }
    }
}

/// Ports chosen but not bound yet; dropped when the container has started, or never will.
pub(super) struct Reserved<'a> {
    docker: &'a Docker,
    ports: Vec<u16>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let reserved = self.docker.inner.reserved.lock();
        let mut reserved = reserved.expect("no panic while the lock is held");
        self.ports
            .iter()
            .for_each(|port| drop(reserved.remove(port)));
    }
}

/// Host port → container that publishes it.
fn published(all: &[ContainerSummary]) -> HashMap<u16, &ContainerSummary> {
    all.iter()
        .flat_map(|container| {
            let ports = container.ports.iter().flatten();
            ports.filter_map(move |port| Some((port.public_port?, container)))
        })
        .collect()
}

fn describe(container: &ContainerSummary) -> String {
    let name = name(container);
    let once = label::get(container, ONE_SHOT).is_some();
    let project = label::get(container, PROJECT).filter(|_| !once);
    match project.or(label::get(container, COMPOSE_PROJECT)) {
        Some(project) => format!("container `{name}` of project `{project}`"),
        None => format!("container `{name}`"),
    }
}

fn name(container: &ContainerSummary) -> &str {
    label::names(container).next().unwrap_or("without a name")
}

/// The container that publishes a port of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Its name and its project's.
    pub description: String,
    /// The command that ends it.
    pub end: String,
}

impl Publisher {
    fn of(container: &ContainerSummary) -> Self {
        let compose = label::get(container, COMPOSE_PROJECT);
        Self {
            description: describe(container),
            end: match (label::get(container, ROOT), compose) {
                (Some(root), _) => format!("devenv -C {root} down"),
                (None, Some(project)) => format!("docker compose -p {project} down"),
                (None, None) => format!("docker stop {}", name(container)),
            },
        }
    }
}

impl Docker {
    /// Who publishes the port, whatever project it belongs to.
    pub async fn publisher(&self, port: u16) -> Result<Option<Publisher>, RuntimeError> {
        let all = self.engine().containers(&HashMap::new()).await?;
        let publishers = published(&all);
        Ok(publishers
            .get(&port)
            .map(|container| Publisher::of(container)))
    }
}

fn process(holders: &PortHolders, port: u16) -> String {
    match holders.of(port) {
        // The engine's own forwarder: its container has just started or just stopped.
        Some(holder) if holder.command.starts_with("docker-proxy") => "a container".to_owned(),
        Some(holder) => holder.to_string(),
        None => match holders.user_of(port) {
            Some(user) => format!("a program of user `{user}`"),
            None => "another program".to_owned(),
        },
    }
}
