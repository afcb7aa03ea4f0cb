//! `image.*`: an image is on the engine, or is pulled, or built as the file says.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Cx,
    address::{self, Viewpoint},
    blocking, image_repository,
};
use crate::{
    config::{Dockerfile, Image, StepId, StepKind, nearest},
    event::{Explain, Fault},
    image::{
        BaseImage, Bases, Found, How, ImageError, ImageInfo, Obtained, Want, definition_inputs,
    },
    lockfile::{ImageRow, Lock},
    plan::{Acted, Action, Digest, Input, Inputs, Output, Outputs, Reason, Verdict, image_step},
    runtime::Identity,
};

/// Of an image's output: the tag that has it, when another worktree's definition has the reference.
const OWN_TAG: &str = "tag";

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let wanted = Wanted::of(cx).await?;
    let waiting = cx.known_inputs().waiting;
    if wanted
        .definition
        .is_some_and(|image| image.dockerfile.is_some())
        && !waiting.is_empty()
    {
        return Ok(Verdict::act(wanted.action(), waiting));
    }
    let inputs = wanted.inputs(cx).await?;
    let key = inputs.as_ref().map(Inputs::key);
    let images = cx.steps.images().await?;
    let found = images.find(wanted.want(cx), key.as_ref()).await;
    let state = |what| vec![Reason::State { what }];
    let (action, reasons) = match found.map_err(|error| error.explain())? {
        Found::Fits(image) => return Ok(Verdict::Keep(wanted.output(*image))),
        Found::Nothing => {
            let what = "image on the engine".into();
            (wanted.action(), vec![Reason::New { what }])
        }
        Found::Changed { built, .. } => (Action::Build, changes(cx, built, inputs.as_ref())),
        Found::Taken => {
            let name = &wanted.reference;
            let what = format!(
                "`{name}` was built elsewhere from another definition: this one gets a tag of its own"
            );
            (Action::Build, state(what))
        }
        Found::OtherDigest(has) => {
            let what = format!("the engine has {has}, devenv.lock wants another");
            (Action::Pull, state(what))
        }
    };
    Ok(Verdict::act(action, reasons))
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let wanted = Wanted::of(cx).await?;
    let inputs = wanted.inputs(cx).await?;
    let image = cx
        .steps
        .images()
        .await?
        .obtain(wanted.want(cx), &cx.events, &cx.cancel)
        .await;
    let Obtained { image, how } = image.map_err(|error| cx.explain_build(&error))?;
    if let Some(digest) = &image.repo_digest {
        pin(cx, &wanted, digest).await?;
    }
    // What another worktree built stays its own.
    if let (Some(inputs), How::Built) = (inputs, how) {
        cx.record(inputs, BTreeMap::new(), wanted.output(image.clone()))?;
    }
    if image.origin.as_deref() == Some("dockerfile") {
        cx.warn_of_build_secrets(&wanted.secrets);
    }
    let name = &image.reference;
    Ok(Acted {
        summary: match (how, image.origin.as_deref()) {
            (How::Built, Some("dockerfile")) => format!("Built {name} from its Dockerfile"),
            (How::Built, _) => format!("Built {name} from Debian packages"),
            (How::Pulled, _) => format!("Pulled {name}"),
            (How::Found, _) => format!("Found {name} on the engine"),
        },
        output: wanted.output(image),
    })
}

/// What the step asks for, references resolved.
struct Wanted<'a> {
    reference: String,
    own_tag: String,
    pinned: Option<String>,
    definition: Option<&'a Image>,
    args: BTreeMap<String, String>,
    bases: Bases,
    /// Names of the secrets among the arguments.
    secrets: Vec<String>,
}

impl<'a> Wanted<'a> {
    async fn of(cx: &'a Cx<'_>) -> Result<Self, Fault> {
        let definition = cx.config().image.get(&cx.id().name);
        let reference = match (definition, cx.step.definition.0.get("ref")) {
            (Some(image), _) => image.reference.clone(),
            // An image without a table carries its reference in its definition.
            (None, Some(Input::Text(reference))) => reference.clone(),
            (None, _) => cx.id().name.clone(),
        };
        let row = cx.steps.lock.images.get(&reference);
        let dockerfile = definition.and_then(|image| image.dockerfile.as_ref());
        let (args, secrets) = match dockerfile {
            Some(dockerfile) => cx.build_args(dockerfile).await?,
            None => Default::default(),
        };
        Ok(Self {
            own_tag: own_tag(&cx.steps.identity, cx.id()),
            pinned: row.map(|row| row.digest.clone()),
            reference,
            definition,
            args,
            bases: cx.bases(),
            secrets,
        })
    }

    fn want(&'a self, cx: &'a Cx<'_>) -> Want<'a> {
        Want {
            root: &cx.steps.root,
            reference: &self.reference,
            own_tag: &self.own_tag,
            builder: &cx.steps.identity.id,
            pinned: self.pinned.as_deref(),
            definition: self.definition,
            args: &self.args,
            bases: &self.bases,
        }
    }

    fn output(&self, image: ImageInfo) -> Output {
        let own = image.reference == self.own_tag;
        let tag = own.then(|| (OWN_TAG.to_owned(), image.reference));
        Output {
            digest: image.id,
            values: tag.into_iter().collect(),
        }
    }

    /// What its definition depends on; `None` when it can only be pulled.
    async fn inputs(&self, cx: &Cx<'_>) -> Result<Option<Inputs>, Fault> {
        let Some(image) = self.definition.cloned() else {
            return Ok(None);
        };
        let (root, args) = (cx.steps.root.clone(), self.args.clone());
        let bases = self.bases.clone();
        blocking(move || definition_inputs(&root, &image, &args, &bases)).await
    }

    fn action(&self) -> Action {
        match self.definition {
            Some(image) if image.debian.is_some() || image.dockerfile.is_some() => Action::Build,
            _ => Action::Pull,
        }
    }
}

/// Field by field when it was built here, else only that it changed.
fn changes(cx: &Cx<'_>, built: Option<Digest>, inputs: Option<&Inputs>) -> Vec<Reason> {
    let record = cx.steps.store.record(cx.id());
    match (record, inputs) {
        (Some(record), Some(inputs)) if Some(record.inputs.key()) == built => {
            inputs.changes_since(&record.inputs)
        }
        _ => vec![Reason::State {
            what: "its definition changed since it was built".into(),
        }],
    }
}

/// Writes the digest of a pulled image into devenv.lock, unless it is there.
async fn pin(cx: &Cx<'_>, wanted: &Wanted<'_>, digest: &str) -> Result<(), Fault> {
    if wanted.pinned.as_deref() == Some(digest) {
        return Ok(());
    }
    let row = ImageRow {
        reference: wanted.reference.clone(),
        digest: digest.to_owned(),
    };
    let root = cx.steps.root.clone();
    let change = move |lock: &mut Lock| {
        lock.images.insert(row.reference.clone(), row);
    };
    blocking(move || Lock::update(&root, change).map(drop)).await
}

/// A table's name has no dot, and apps' images have no other tag than that: the two never meet.
fn own_tag(identity: &Identity, step: &StepId) -> String {
    format!("{}:{step}", image_repository(identity))
}

/// The outputs with what is on the engine now: an image that another run removed since its step is had again.
pub(super) async fn outputs<'a>(cx: &Cx<'a>) -> Result<Cow<'a, Outputs>, Fault> {
    let mut outputs = Cow::Borrowed(cx.outputs);
    let images = cx.step.feeds.iter().filter(|id| id.kind == StepKind::Image);
    for id in images {
        let known = &cx.output_of(id).digest;
        // Where nothing runs from images, their steps give none.
        if known.is_empty() || is_present(cx, known).await? {
            continue;
        }
        let image = Cx {
            events: cx.events.clone(),
            ..cx.steps.cx(id, cx.outputs, &cx.cancel)
        };
        cx.events
            .message(format!("`{id}` was removed: getting it again"));
        let again = act(&image).await?;
        outputs.to_mut().insert(id.clone(), again.output);
    }
    Ok(outputs)
}

async fn is_present(cx: &Cx<'_>, id: &str) -> Result<bool, Fault> {
    let image = cx.steps.images().await?.inspect(id).await;
    Ok(image.map_err(|error| error.explain())?.is_some())
}

impl Cx<'_> {
    /// The name by which the engine knows this worktree's image of a reference.
    pub(super) fn tag_of(&self, reference: &str) -> String {
        let output = self.outputs.get(&image_step(self.config(), reference));
        let own = output.and_then(|output| output.values.get(OWN_TAG));
        own.map_or(reference, String::as_str).to_owned()
    }

    /// The arguments of a build by Dockerfile, and the names of the secrets among them.
    pub(super) async fn build_args(
        &self,
        build: &Dockerfile,
    ) -> Result<(BTreeMap<String, String>, Vec<String>), Fault> {
        let secrets = self.template_secrets(build.args.values()).await?;
        let viewpoint = Viewpoint::Container;
        let args = address::resolve_table(&build.args, self.config(), &viewpoint, &secrets)?;
        Ok((args, secrets.into_keys().collect()))
    }

    /// Why a build failed. An image that nobody has may be one of the file, misspelled.
    pub(super) fn explain_build(&self, error: &ImageError) -> Fault {
        let fault = error.explain();
        let ImageError::Base { image, .. } = error else {
            return fault;
        };
        let known = self.config().image.values();
        let near = nearest(image, known.map(|known| known.reference.as_str()));
        match near.filter(|near| near != image) {
            Some(near) => fault.label(format!("did you mean `{near}`?")),
            None => fault,
        }
    }

    /// The images of the file that the step's Dockerfile names, as far as they are there.
    pub(super) fn bases(&self) -> Bases {
        let feeds = self.step.feeds.iter();
        let images = feeds.filter_map(|id| Some((id, self.config().image.get(&id.name)?)));
        let images = images.filter(|(id, _)| id.kind == StepKind::Image);
        let bases = images.filter_map(|(id, image)| {
            let reference = &image.reference;
            let output = self.outputs.get(id)?;
            let base = BaseImage {
                tag: self.tag_of(reference),
                id: output.digest.clone(),
            };
            Some((reference.clone(), base))
        });
        bases.collect()
    }
}
