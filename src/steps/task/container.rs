//! A task in an image: a container of its own, with the project's files where no path of this machine can get into what it makes.

use std::collections::{BTreeMap, VecDeque};

use futures_util::FutureExt;

use super::{
    super::{
        Cx,
        address::{self, Viewpoint},
    },
    failed,
    transcript::Transcript,
};
use crate::{
    config::Task,
    event::{Explain, Fault},
    plan::image_step,
    runtime::{OneShot, OneShotNetwork, Runtime, SpecMount},
    sys::user::own_ids,
};

/// Where the project is in the container.
const PROJECT: &str = "/project";

/// Lines of output that a failure shows.
const TAIL: usize = 20;

/// Runs it to its end, as this user, with the variables that the file names and no others.
pub(super) async fn run(
    cx: &Cx<'_>,
    task: &Task,
    image: &str,
    transcript: &Transcript<'_>,
) -> Result<(), Fault> {
    let (uid, gid) = own_ids();
    let one_shot = OneShot {
        image: cx.output_of(&image_step(cx.config(), image)).digest.clone(),
        argv: task.run.argv(),
        env: environment(cx, task).await?,
        user: Some(format!("{uid}:{gid}")),
        workdir: Some(PROJECT.to_owned()),
        mounts: vec![SpecMount::Bind {
            source: cx.steps.root.display().to_string(),
            target: PROJECT.to_owned(),
            read_only: false,
        }],
        network: match cx.outputs.keys().any(|id| id.kind.is_running_service()) {
            true => OneShotNetwork::Project,
            false => OneShotNetwork::Engine,
        },
        fetch: None,
    };
    let begun = cx.steps.store.begin_container(cx.id());
    let _begun = begun.map_err(|error| error.explain())?;
    let mut tail = VecDeque::new();
    let mut line = |text: &str| {
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text.to_owned());
        transcript.line(text).boxed()
    };
    let runtime = cx.steps.runtime()?;
    let ended = runtime
        .one_shot_shown(one_shot, &cx.cancel, &mut line)
        .await;
    match ended.map_err(|error| error.explain())? {
        Some(0) => Ok(()),
        Some(code) => {
            let tail: Vec<_> = tail.into();
            Err(failed(cx, &task.run, &format!("code {code}"), &tail))
        }
        None => Err(super::super::cancelled(cx)),
    }
}

async fn environment(cx: &Cx<'_>, task: &Task) -> Result<BTreeMap<String, String>, Fault> {
    let secrets = cx.template_secrets(task.env.values()).await?;
    let mut all: BTreeMap<_, _> = task
        .pass
        .iter()
        .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
        .collect();
    let viewpoint = Viewpoint::Container;
    all.extend(address::resolve_table(
        &task.env,
        cx.config(),
        &viewpoint,
        &secrets,
    )?);
    Ok(all)
}
