//! `app.*`: the project's own program, in a container or as it is.
//!
//! A host-built artifact is laid on its base image here, not in `build.*`: so compiling does not wait for the base.

use super::{
    Cx, blocking, image_tag,
    inputs::Known,
    service::{self, MadeOf},
};
use crate::{
    config::{App, Build, StepId, StepKind},
    event::{Explain, Fault},
    image::{Base, laid_files},
    plan::{Acted, Decision, Verdict, image_step},
    runtime::RuntimeKind,
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let known = known(cx).await?;
    cx.verdict(&known, &app(cx).service).await
}

/// A file that is laid beside the artifact is part of what runs; a process sees the project as it is.
async fn known(cx: &Cx<'_>) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    if let (RuntimeKind::Docker, Build::Host(build)) = (cx.steps.kind(), &app(cx).build) {
        let (root, build) = (cx.steps.root.clone(), build.clone());
        let files = blocking(move || laid_files(&root, &build)).await?;
        known.inputs.0.extend(cx.file_digests(files).await?);
    }
    Ok(known)
}

pub(super) async fn act(cx: &Cx<'_>, decision: &Decision, slot: impl Send) -> Result<Acted, Fault> {
    let app = app(cx);
    // Looked at before they are laid: should one change meanwhile, the next run sees that.
    let inputs = known(cx).await?.inputs;
    let made_of = match cx.steps.kind() {
        RuntimeKind::Docker => MadeOf::Image(image(cx, app).await?),
        RuntimeKind::Process => MadeOf::Program,
    };
    let made_of = (made_of, inputs);
    service::run(cx, &app.service, made_of, decision, slot).await
}

/// The id of the image to run.
async fn image(cx: &Cx<'_>, app: &App) -> Result<String, Fault> {
    let Build::Host(build) = &app.build else {
        let build = StepId::new(StepKind::Build, &cx.id().name);
        return Ok(cx.output_of(&build).digest.clone());
    };
    cx.events.message(format!("laying it on {}", build.base));
    let tag = image_tag(&cx.steps.identity, &cx.id().name);
    let base = Base {
        id: &cx.output_of(&image_step(cx.config(), &build.base)).digest,
        tag: &cx.tag_of(&build.base),
    };
    let image = cx
        .steps
        .images()
        .await?
        .artifact(&cx.steps.root, build, base, &tag, &cx.events, &cx.cancel)
        .await
        .map_err(|error| error.explain())?;
    Ok(image.id)
}

fn app<'a>(cx: &'a Cx<'_>) -> &'a App {
    cx.config()
        .app
        .get(&cx.id().name)
        .expect("the plan has only apps of the file")
}
