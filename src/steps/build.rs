//! `build.*`: the build half of an app. A host build leaves an executable, a Dockerfile build an image.

use std::{io, path::Path};

use super::{
    Cx, blocking, image_tag,
    inputs::Known,
    task::{self, HostCommand, Sees},
};
use crate::{
    config::{App, Build, Dockerfile, HostBuild},
    event::{Explain, Fault, FaultClass},
    image::{DockerfileBuild, context_files},
    plan::{Acted, Action, Output, Reason, Verdict},
    sys::fs,
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    match &app(cx).build {
        Build::Host(build) => {
            let known = host_inputs(cx, build).await?;
            cx.judge_record(&known, Action::Build).await
        }
        Build::Dockerfile(build) => decide_image(cx, build).await,
    }
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    match &app(cx).build {
        Build::Host(build) => run_host(cx, build).await,
        Build::Dockerfile(build) => build_image(cx, build).await,
    }
}

async fn host_inputs(cx: &Cx<'_>, build: &HostBuild) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    let files = cx.digests(&build.inputs).await?;
    if !task::any_present(&files) {
        return Err(
            Fault::new(format!("no file matches the inputs of `{}`", cx.id()))
                .at_key(cx.key("inputs"))
                .help("correct the globs, they are relative to devenv.toml"),
        );
    }
    known.inputs.0.extend(files);
    Ok(known)
}

async fn run_host(cx: &Cx<'_>, build: &HostBuild) -> Result<Acted, Fault> {
    let known = host_inputs(cx, build).await?;
    cx.begin()?;
    let artifact = cx.steps.root.join(&build.artifact);
    blocking(move || part_from_its_process(&artifact)).await?;
    let command = HostCommand {
        command: &build.run,
        env: &build.env,
        sees: Sees::All,
    };
    command.run(cx, |line| cx.events.output(line)).await?;
    let outputs = cx
        .output_digests(std::slice::from_ref(&build.artifact))
        .await?;
    let Some(artifact) = outputs.get(&build.artifact) else {
        return Err(Fault::new(format!(
            "`{}` succeeded but did not write `{}`",
            build.run, build.artifact
        ))
        .at_key(cx.key("artifact"))
        .help("correct `artifact`, it is relative to devenv.toml"));
    };
    let output = Output {
        digest: artifact.to_hex(),
        ..Output::default()
    };
    cx.record(known.inputs, outputs, output.clone())?;
    Ok(Acted {
        output,
        summary: format!("Built {}", build.artifact),
    })
}

/// Some builds write over what is there, which the kernel refuses while it runs: the path gets a file of its own, and the process keeps
/// the old one.
fn part_from_its_process(artifact: &Path) -> Result<(), ArtifactError> {
    fs::part_from_process(artifact).map_err(|source| ArtifactError {
        path: artifact.display().to_string(),
        source,
    })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot make room for the new `{path}` while the old one runs")]
struct ArtifactError {
    path: String,
    #[source]
    source: io::Error,
}

impl Explain for ArtifactError {
    fn explain(&self) -> Fault {
        Fault::from_error(self).class(FaultClass::Environment)
    }
}

async fn image_inputs(cx: &Cx<'_>, build: &Dockerfile) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    let (root, build) = (cx.steps.root.clone(), build.clone());
    let files = blocking(move || context_files(&root, &build)).await?;
    known.inputs.0.extend(cx.file_digests(files).await?);
    Ok(known)
}

async fn decide_image(cx: &Cx<'_>, build: &Dockerfile) -> Result<Verdict, Fault> {
    let known = image_inputs(cx, build).await?;
    let verdict = cx.judge_record(&known, Action::Build).await?;
    let Verdict::Keep(output) = verdict else {
        return Ok(verdict);
    };
    let present = cx
        .steps
        .images()
        .await?
        .inspect(&output.digest)
        .await
        .map_err(|error| error.explain())?;
    Ok(match present {
        Some(_) => Verdict::Keep(output),
        None => Verdict::act(
            Action::Build,
            vec![Reason::New {
                what: "image on the engine".into(),
            }],
        ),
    })
}

async fn build_image(cx: &Cx<'_>, build: &Dockerfile) -> Result<Acted, Fault> {
    let known = image_inputs(cx, build).await?;
    let (args, secrets) = cx.build_args(build).await?;
    cx.warn_of_build_secrets(&secrets);
    cx.begin()?;
    let tag = image_tag(&cx.steps.identity, &cx.id().name);
    let wanted = DockerfileBuild {
        args,
        bases: cx.bases(),
        ..DockerfileBuild::tagged(&tag)
    };
    let image = cx
        .steps
        .images()
        .await?
        .dockerfile(&cx.steps.root, build, wanted, &cx.events, &cx.cancel)
        .await
        .map_err(|error| cx.explain_build(&error))?;
    let output = Output {
        digest: image.id,
        ..Output::default()
    };
    cx.record(known.inputs, Default::default(), output.clone())?;
    Ok(Acted {
        output,
        summary: format!("Built {tag}"),
    })
}

fn app<'a>(cx: &'a Cx<'_>) -> &'a App {
    cx.config()
        .app
        .get(&cx.id().name)
        .expect("the plan has only apps of the file")
}
