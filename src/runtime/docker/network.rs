//! The worktree's network: one per identity, made by whoever needs it first.

use std::{collections::HashMap, time::Duration};

use bollard::{
    models::{Network, NetworkCreateRequest},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};

use super::{
    Docker,
    engine::{is_taken, status},
};
use crate::runtime::RuntimeError;

/// How often a network that still has endpoints is tried again: an engine detaches a removed container a little later.
const RETRIES: u32 = 40;
const RETRY_AFTER: Duration = Duration::from_millis(50);

impl Docker {
    /// Its id. Steps that start at the same time wait for one creation.
    pub(super) async fn network(&self) -> Result<String, RuntimeError> {
        let mut known = self.inner.network.lock().await;
        if let Some(id) = known.as_ref() {
            return Ok(id.clone());
        }
        let mut networks = self.own_networks().await?.into_iter();
        let id = match networks.next() {
            Some(network) => network.id.unwrap_or_default(),
            None => self.create_network().await?,
        };
        for other in networks {
            // Its own maker removes it too, unless it was killed.
            let other = other.id.unwrap_or_default();
            let _ = self.engine().client().remove_network(&other).await;
        }
        Ok(known.insert(id).clone())
    }

    /// The network turned out to be gone: somebody else removed it.
    pub(super) async fn forget_network(&self) {
        *self.inner.network.lock().await = None;
    }

    /// An engine may make two networks of one name when two processes ask at once: all agree on the same one then.
    async fn create_network(&self) -> Result<String, RuntimeError> {
        let name = &self.identity().id;
        let action = || format!("create network `{name}`");
        let request = NetworkCreateRequest {
            name: name.clone(),
            labels: Some(self.labels().with([])),
            ..NetworkCreateRequest::default()
        };
        let created = self.engine().client().create_network(request).await;
        let mine = match created {
            Ok(response) => Some(response.id),
            Err(error) if is_taken(&error) => None,
            Err(error) => return Err(self.engine().fail(action(), error)),
        };
        let networks = self.own_networks().await?;
        let keep = networks.first().and_then(|network| network.id.clone());
        let Some(keep) = keep else {
            return Err(RuntimeError::Foreign {
                what: "network",
                name: name.clone(),
            });
        };
        if let Some(mine) = mine.filter(|mine| *mine != keep) {
            let removed = self.engine().client().remove_network(&mine).await;
            self.engine().tolerate(removed, &[404], action)?;
        }
        Ok(keep)
    }

    /// Networks of this worktree, the one to use first. Normally one.
    async fn own_networks(&self) -> Result<Vec<Network>, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), vec![self.labels().identity_filter()])]);
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let networks = self.engine().client().list_networks(Some(options)).await;
        let mut networks = networks.map_err(|error| self.engine().fail("list networks", error))?;
        networks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(networks)
    }

    pub(super) async fn remove_networks(&self) -> Result<(), RuntimeError> {
        let mut known = self.inner.network.lock().await;
        *known = None;
        for network in self.own_networks().await? {
            self.remove_network(&network.id.unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn remove_network(&self, id: &str) -> Result<(), RuntimeError> {
        let action = || format!("remove network `{}`", self.identity().id);
        for _ in 0..RETRIES {
            match self.engine().client().remove_network(id).await {
                // "has active endpoints"
                Err(error) if matches!(status(&error), Some(403 | 409)) => {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                removed => return self.engine().tolerate(removed, &[404], action),
            }
        }
        let inspected = self
            .engine()
            .client()
            .inspect_network(id, None::<InspectNetworkOptions>)
            .await;
        let endpoints = match inspected {
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(self.engine().fail(action(), error)),
            Ok(network) => network.containers.unwrap_or_default(),
        };
        let mut containers: Vec<_> = endpoints.into_values().filter_map(|e| e.name).collect();
        if containers.is_empty() {
            // An engine that has lost count of its endpoints keeps an empty network until it restarts.
            // It costs nothing, the next run uses it, and the next `clean` tries again.
            return Ok(());
        }
        containers.sort();
        Err(RuntimeError::Attached {
            network: self.identity().id.clone(),
            containers,
        })
    }
}
