//! A [`Spec`] as the engine wants to hear it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bollard::models::{
    ContainerConfig, ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount,
    MountType, NetworkingConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use super::label::{self, INPUTS, Labels, PORTS, STEP};
use crate::{
    config::Restart,
    runtime::{MadeWith, Spec, SpecMount},
};

/// What a container needs besides its spec.
pub struct Placement<'a> {
    pub identity: &'a str,
    pub labels: &'a Labels,
    /// Id of the network: names need not be unique on an engine.
    pub network: &'a str,
    /// Port name → host port.
    pub ports: &'a BTreeMap<String, u16>,
    pub publish_address: &'a str,
    pub log_config: Option<HostConfigLogConfig>,
}

/// The body of the request that creates the container.
pub fn body(spec: &Spec, placement: &Placement<'_>) -> ContainerCreateBody {
    let labels = placement.labels.with([
        (STEP, spec.step.to_string()),
        (INPUTS, json(&spec.inputs)),
        (PORTS, json(placement.ports)),
    ]);
    let aliases = std::iter::once(spec.step.name.clone()).chain(spec.aliases.iter().cloned());
    let endpoint = EndpointSettings {
        aliases: Some(aliases.collect()),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(environment(&spec.env)),
        user: spec.user.clone(),
        working_dir: spec.workdir.clone(),
        labels: Some(labels),
        exposed_ports: Some(spec.ports.iter().map(|port| tcp(port.container)).collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(whole_seconds(spec.stop_grace)),
        host_config: Some(host_config(spec, placement)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(placement.network.to_owned(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &Spec, placement: &Placement<'_>) -> HostConfig {
    HostConfig {
        network_mode: Some(placement.network.to_owned()),
        port_bindings: Some(port_bindings(spec, placement)),
        mounts: Some(mounts(&spec.mounts, placement.identity)),
        tmpfs: Some(spec.tmpfs.clone().into_iter().collect()),
        restart_policy: Some(restart_policy(spec.restart)),
        // Reaps what the program leaves behind and passes signals on.
        init: Some(true),
        log_config: placement.log_config.clone(),
        extra_hosts: Some(vec!["host.docker.internal:host-gateway".to_owned()]),
        ..HostConfig::default()
    }
}

fn port_bindings(spec: &Spec, placement: &Placement<'_>) -> PortMap {
    let mut bindings = PortMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: Some(placement.publish_address.to_owned()),
            host_port: placement.ports.get(&port.name).map(u16::to_string),
        };
        // Two names may publish the same port of the container.
        bindings
            .entry(tcp(port.container))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    bindings
}

pub fn mounts(mounts: &[SpecMount], identity: &str) -> Vec<Mount> {
    mounts.iter().map(|one| mount(one, identity)).collect()
}

fn mount(mount: &SpecMount, identity: &str) -> Mount {
    match mount {
        SpecMount::Volume { name, target } => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(label::volume_name(identity, name)),
            target: Some(target.clone()),
            ..Mount::default()
        },
        SpecMount::Bind {
            source,
            target,
            read_only,
        } => Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            ..Mount::default()
        },
    }
}

fn restart_policy(restart: Restart) -> RestartPolicy {
    RestartPolicy {
        name: Some(match restart {
            Restart::No => RestartPolicyNameEnum::NO,
            Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
            Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        }),
        maximum_retry_count: None,
    }
}

/// `NAME=value`, as the engine takes an environment.
pub fn environment(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// What an engine's own description of a container tells of it.
pub fn made_with(config: Option<ContainerConfig>) -> MadeWith {
    let config = config.unwrap_or_default();
    let variables = config.env.unwrap_or_default();
    let pairs = variables.iter().filter_map(|pair| pair.split_once('='));
    MadeWith {
        environment: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        inputs: label::inputs(config.labels.as_ref()),
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

/// The engine counts whole seconds; less than asked for would kill too early.
fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps of strings and numbers serialise")
}
