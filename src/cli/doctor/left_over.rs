//! Things of worktrees that are no more: their folder was removed or moved without `devenv down`.

use std::path::Path;

use super::Finding;
use crate::{
    event::count,
    runtime::docker::{self, Holding},
    sys::docker_host::Endpoint,
};

/// One for each such worktree. None of an engine elsewhere: its folders cannot be seen from here.
pub async fn findings() -> Vec<Finding> {
    let Ok(endpoint) = Endpoint::find() else {
        return Vec::new();
    };
    if !endpoint.address.is_local() {
        return Vec::new();
    }
    // That it does not answer is a finding of its own.
    let holdings = docker::holdings(&endpoint).await.unwrap_or_default();
    holdings
        .iter()
        .filter(|holding| matches!(Path::new(&holding.identity.root).try_exists(), Ok(false)))
        .map(finding)
        .collect()
}

fn finding(holding: &Holding) -> Finding {
    let identity = &holding.identity;
    let label = format!("label=dev.devenv.identity={}", identity.id);
    let mut has = Vec::new();
    let mut fix = Vec::new();
    if holding.containers > 0 {
        has.push(count(holding.containers, "container"));
        fix.push(format!("`docker rm -f $(docker ps -aq -f {label})`"));
    }
    if holding.volumes > 0 {
        has.push(count(holding.volumes, "volume"));
        fix.push(format!(
            "if its data is not needed, `docker volume rm $(docker volume ls -q -f {label})`"
        ));
    }
    let message = format!(
        "project `{}` still has {}, but its folder `{}` does not exist here",
        identity.project,
        has.join(" and "),
        identity.root
    );
    Finding::warning("folder", message, Some(fix.join("; ")))
}
