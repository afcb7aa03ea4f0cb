//! Which host ports a step's ports want, which of them other steps come first for, and what is remembered of them.
//!
//! Several steps may want the same port, and start at the same time: who gets it is decided here, by the ids of the steps.

use std::collections::BTreeMap;

use super::{
    Cx, Steps,
    address::{POSTGRES_PORT, POSTGRES_PORT_NAME},
};
use crate::{
    config::{Config, Port, Postgres, Service, StepId, StepKind},
    event::{Explain, Fault},
    runtime::{Identity, SpecPort, Started},
    store::Ports,
};

/// Which host ports services get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPorts {
    /// Those of the file, or where they once had to move.
    Wanted,
    /// Free ones of the project's range: the others may be wanted by the worktree itself.
    Free,
}

/// Every port that a step of the file publishes, in the order in which they come first: by step, then by name.
pub fn published(config: &Config) -> Vec<(StepId, String, Port)> {
    let postgres = config
        .postgres
        .iter()
        .map(|(name, postgres)| (StepId::new(StepKind::Postgres, name), of_postgres(postgres)));
    let of_service =
        |kind, name: &str, service: &Service| (StepId::new(kind, name), service.ports.clone());
    let services = config.service.iter();
    let services = services.map(|(name, service)| of_service(StepKind::Service, name, service));
    let apps = config.app.iter();
    let apps = apps.map(|(name, app)| of_service(StepKind::App, name, &app.service));
    let steps = postgres.chain(services).chain(apps);
    steps
        .flat_map(|(id, ports)| {
            let ports = ports.into_iter();
            ports.map(move |(name, port)| (id.clone(), name, port))
        })
        .collect()
}

/// The only port of a Postgres.
pub(super) fn of_postgres(postgres: &Postgres) -> BTreeMap<String, Port> {
    let port = Port {
        container: POSTGRES_PORT,
        host: postgres.port,
    };
    BTreeMap::from([(POSTGRES_PORT_NAME.to_owned(), port)])
}

/// Host port → the step that comes first for it. What a port had before stays with it; else it goes to the first that wants it.
fn claims(published: &[(StepId, String, Port)], remembered: &Ports) -> BTreeMap<u16, StepId> {
    let mut claims = BTreeMap::new();
    let had = |(id, name, port): &(StepId, String, Port)| {
        remembered.get(&port_key(id, name, *port)).copied()
    };
    for port in published {
        if let Some(host) = had(port) {
            claims.entry(host).or_insert_with(|| port.0.clone());
        }
    }
    for port in published.iter().filter(|port| had(port).is_none()) {
        claims.entry(port.2.host).or_insert_with(|| port.0.clone());
    }
    claims
}

/// The wanted port is part of the key: when the file wants another one, the old choice is forgotten.
fn port_key(step: &StepId, name: &str, port: Port) -> String {
    format!("{step}/{name}/{}", port.host)
}

impl Steps {
    /// Port name → the host port that a step had when it last ran.
    pub(super) fn remembered_ports(&self, step: &StepId) -> BTreeMap<String, u16> {
        let remembered = self.store.ports();
        let published = published(&self.config).into_iter();
        let own = published.filter(|(id, _, _)| id == step);
        own.filter_map(|(id, name, port)| {
            let host = remembered.get(&port_key(&id, &name, port))?;
            Some((name, *host))
        })
        .collect()
    }
}

impl Cx<'_> {
    /// Ports with the remembered host port first: it stays the same from run to run.
    pub(super) fn spec_ports(&self, ports: &BTreeMap<String, Port>) -> Vec<SpecPort> {
        let remembered = self.steps.store.ports();
        let mut others = claims(&published(self.config()), &remembered);
        others.retain(|_, step| step != self.id());
        ports
            .iter()
            .map(|(name, port)| {
                let sticky = remembered.get(&port_key(self.id(), name, *port));
                let mut wanted: Vec<u16> = sticky.copied().into_iter().collect();
                let asks = self.steps.host_ports == HostPorts::Wanted;
                if asks && !wanted.contains(&port.host) {
                    wanted.push(port.host);
                }
                SpecPort {
                    name: name.clone(),
                    container: port.container,
                    wanted,
                    others: others.clone(),
                    range: self.config().project.ports,
                }
            })
            .collect()
    }

    /// Remembers the host ports and says which ones had to move, and what else is to be known of a start.
    pub(super) fn settle_ports(
        &self,
        ports: &BTreeMap<String, Port>,
        started: &Started,
    ) -> Result<(), Fault> {
        for moved in &started.moved {
            self.events.notice(moved.clone());
        }
        for volume in &started.former_volumes {
            // With that name in the file, the project is the one that has them.
            let known = self.steps.store.add_former(&volume.identity);
            known.map_err(|error| error.explain())?;
            let name = Identity::name_of(&volume.identity);
            self.events.notice(format!(
                "its data is new; volume `{}` has data of a project `{name}` in this folder: to use it, set `name = \"{name}\"` and run `devenv up`",
                volume.name
            ));
        }
        let taken = ports.iter().filter_map(|(name, port)| {
            let host = started.ports.get(name)?;
            Some((port_key(self.id(), name, *port), *host))
        });
        self.steps
            .store
            .save_ports(&taken.collect())
            .map_err(|error| error.explain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(list: &[(&str, &str, u16)]) -> Vec<(StepId, String, Port)> {
        let port = |(step, name, host): &(&str, &str, u16)| {
            let port = Port {
                container: 80,
                host: *host,
            };
            (step.parse().expect("a step id"), (*name).to_owned(), port)
        };
        list.iter().map(port).collect()
    }

    #[track_caller]
    fn check(list: &[(&str, &str, u16)], remembered: &[(&str, u16)], expected: &[(u16, &str)]) {
        let remembered = remembered
            .iter()
            .map(|(key, port)| ((*key).to_owned(), *port));
        let claims = claims(&wanted(list), &remembered.collect());
        let claims: Vec<_> = claims
            .iter()
            .map(|(port, step)| (*port, step.to_string()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(port, step)| (*port, (*step).to_owned()))
            .collect();
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_port_goes_to_the_first_that_wants_it_and_stays() {
        let both = [("service.a", "http", 8080), ("app.b", "http", 8080)];
        check(&both, &[], &[(8080, "service.a")]);
        let moved = [("app.b/http/8080", 20007)];
        check(&both, &moved, &[(8080, "service.a"), (20007, "app.b")]);
        // It had the port before the other came into the file.
        let had = [("app.b/http/8080", 8080)];
        check(&both, &had, &[(8080, "app.b")]);
        // Its choice for another wanted port counts no more.
        let other = [("app.b/http/9090", 8080)];
        check(&both, &other, &[(8080, "service.a")]);
    }
}
