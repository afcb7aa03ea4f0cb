//! Names and labels: what belongs to whom, and how a listing is read back from them.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use crate::{
    config::StepId,
    plan::Inputs,
    runtime::{Identity, Instance, InstanceState, Link},
};

pub const PROJECT: &str = "dev.devenv.project";
pub const IDENTITY: &str = "dev.devenv.identity";
/// What Compose calls the project of a container.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
pub const ROOT: &str = "dev.devenv.root";
pub const STEP: &str = "dev.devenv.step";
/// JSON of [`Inputs`].
pub const INPUTS: &str = "dev.devenv.inputs";
/// JSON: port name → host port.
pub const PORTS: &str = "dev.devenv.ports";
/// On a one-shot container: the devenv that waits for it, as `sys::mark::Owner` writes it.
pub const ONE_SHOT: &str = "dev.devenv.one-shot";

/// The labels that everything of a worktree has.
pub struct Labels {
    identity: String,
    root: String,
    common: [(&'static str, String); 3],
}

impl Labels {
    pub fn of(identity: &Identity) -> Self {
        Self {
            identity: identity.id.clone(),
            root: identity.root.clone(),
            common: [
                (PROJECT, identity.project.clone()),
                (IDENTITY, identity.id.clone()),
                (ROOT, identity.root.clone()),
            ],
        }
    }

    /// For the engine's `label` filter.
    pub fn identity_filter(&self) -> String {
        format!("{IDENTITY}={}", self.identity)
    }

    /// As [`Labels::identity_filter`], whatever the project of this folder was called.
    pub fn root_filter(&self) -> String {
        format!("{ROOT}={}", self.root)
    }

    pub fn with(
        &self,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> HashMap<String, String> {
        self.common
            .iter()
            .cloned()
            .chain(more)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    pub fn are_on(&self, labels: Option<&HashMap<String, String>>) -> bool {
        labels.and_then(|labels| labels.get(IDENTITY)) == Some(&self.identity)
    }
}

pub fn container_name(identity: &str, step: &StepId) -> String {
    format!("{identity}-{}-{}", step.kind, step.name)
}

pub fn volume_name(identity: &str, short: &str) -> String {
    format!("{identity}-{short}")
}

/// Names of a container without the engine's leading slash.
pub fn names(container: &ContainerSummary) -> impl Iterator<Item = &str> {
    container
        .names
        .iter()
        .flatten()
        .map(|name| name.trim_start_matches('/'))
}

pub fn get<'a>(container: &'a ContainerSummary, key: &str) -> Option<&'a str> {
    Some(container.labels.as_ref()?.get(key)?)
}

/// Rebuilds an instance from the listing alone. `None` for containers that are no step, such as one-shots.
pub fn instance(container: &ContainerSummary) -> Option<Instance> {
    Some(Instance {
        id: container.id.clone()?,
        step: get(container, STEP)?.parse().ok()?,
        state: state(container),
        ports: ports(container),
        image: container.image.clone().unwrap_or_default(),
        image_id: container.image_id.clone().unwrap_or_default(),
        created: SystemTime::UNIX_EPOCH
            + Duration::from_secs(container.created.unwrap_or_default().max(0).unsigned_abs()),
        started: None,
        restarts: 0,
        link: Link::Up,
        inputs: inputs(container.labels.as_ref()),
    })
}

pub fn inputs(labels: Option<&HashMap<String, String>>) -> Inputs {
    labels
        .and_then(|labels| labels.get(INPUTS))
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

pub fn ports(container: &ContainerSummary) -> BTreeMap<String, u16> {
    get(container, PORTS)
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

pub fn state(container: &ContainerSummary) -> InstanceState {
    use ContainerSummaryStateEnum::{
        CREATED, DEAD, EMPTY, EXITED, PAUSED, REMOVING, RESTARTING, RUNNING, STOPPING,
    };
    match container.state.unwrap_or(EMPTY) {
        CREATED => InstanceState::Created,
        RUNNING | STOPPING => InstanceState::Running,
        RESTARTING => InstanceState::Restarting,
        PAUSED => InstanceState::Paused,
        EXITED => InstanceState::Exited {
            code: exit_code(container.status.as_deref().unwrap_or_default()),
        },
        REMOVING | DEAD | EMPTY => InstanceState::Dead,
    }
}

/// The listing has the code only in its text, "Exited (137) 3 minutes ago", on Docker and Podman alike. -1 without one.
fn exit_code(status: &str) -> i64 {
    status
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok())
        .unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: ContainerSummaryStateEnum, status: &str) -> ContainerSummary {
        ContainerSummary {
            id: Some("abc".into()),
            state: Some(state),
            status: Some(status.into()),
            created: Some(1_700_000_000),
            labels: Some(HashMap::from([
                (STEP.into(), "app.hello".into()),
                (PORTS.into(), r#"{"http":8080}"#.into()),
                (INPUTS.into(), r#"{"image":{"text":"x"}}"#.into()),
            ])),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn an_instance_is_rebuilt_from_the_listing() {
        let instance = instance(&container(
            ContainerSummaryStateEnum::EXITED,
            "Exited (137) 3 minutes ago",
        ))
        .unwrap();
        assert_eq!(instance.state, InstanceState::Exited { code: 137 });
        assert_eq!(instance.step.to_string(), "app.hello");
        assert_eq!(instance.ports["http"], 8080);
        assert_eq!(instance.inputs.0.len(), 1);
    }

    #[test]
    fn a_status_without_a_code_is_no_success() {
        for status in ["", "Exited", "Exited (x) ago", "Exited (", "weird"] {
            assert_eq!(exit_code(status), -1, "{status}");
        }
    }

    #[test]
    fn labels_that_cannot_be_read_make_an_instance_with_nothing_known() {
        let mut container = container(ContainerSummaryStateEnum::RUNNING, "Up");
        let labels = container.labels.as_mut().unwrap();
        labels.insert(INPUTS.into(), "{".into());
        labels.insert(PORTS.into(), "[]".into());
        let read = instance(&container).unwrap();
        assert!(read.inputs.0.is_empty() && read.ports.is_empty());
        container
            .labels
            .as_mut()
            .unwrap()
            .insert(STEP.into(), "nonsense".into());
        assert_eq!(instance(&container), None);
    }
}
