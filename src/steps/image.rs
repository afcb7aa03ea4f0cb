//! `image.*`: an image is on the engine, or is pulled, or built as the file says.

use std::collections::BTreeMap;

use super::{
    Cx,
    address::{self, Viewpoint},
    blocking,
};
use crate::{
    config::Image,
    event::{Explain, Fault},
    image::{Fit, Want, definition_inputs},
    lockfile::{ImageRow, Lock},
    plan::{Acted, Action, Digest, Input, Inputs, Output, Reason, Verdict},
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let wanted = Wanted::of(cx).await?;
    let inputs = wanted.inputs(cx).await?;
    let present = cx.steps.images().await?.inspect(&wanted.reference).await;
    let Some(image) = present.map_err(|error| error.explain())? else {
        return Ok(Verdict::act(
            wanted.action(),
            vec![Reason::New {
                what: "image on the engine".into(),
            }],
        ));
    };
    let key = inputs.as_ref().map(Inputs::key);
    Ok(match image.fit(key.as_ref(), wanted.pinned.as_deref()) {
        Fit::Yes => Verdict::Keep(output(image.id)),
        Fit::OtherDefinition => {
            Verdict::act(Action::Build, changes(cx, image.key(), inputs.as_ref()))
        }
        Fit::OtherDigest(has) => Verdict::act(
            Action::Pull,
            vec![Reason::State {
                what: format!("the engine has {has}, devenv.lock wants another"),
            }],
        ),
    })
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let wanted = Wanted::of(cx).await?;
    let inputs = wanted.inputs(cx).await?;
    let want = Want {
        root: &cx.steps.root,
        reference: &wanted.reference,
        pinned: wanted.pinned.as_deref(),
        definition: wanted.definition,
        args: &wanted.args,
    };
    let image = cx
        .steps
        .images()
        .await?
        .obtain(want, &cx.events, &cx.cancel)
        .await;
    let image = image.map_err(|error| error.explain())?;
    if let Some(digest) = &image.repo_digest {
        pin(cx, &wanted, digest).await?;
    }
    if let Some(inputs) = inputs {
        cx.record(inputs, BTreeMap::new(), output(image.id.clone()))?;
    }
    if image.origin.as_deref() == Some("dockerfile") {
        cx.warn_of_build_secrets(&wanted.secrets);
    }
    let name = &wanted.reference;
    Ok(Acted {
        summary: match image.origin.as_deref() {
            Some("debian") => format!("Built {name} from Debian packages"),
            Some("dockerfile") => format!("Built {name} from its Dockerfile"),
            Some("registry") => format!("Pulled {name}"),
            _ => format!("Found {name} on the engine"),
        },
        output: output(image.id),
    })
}

/// What the step asks for, references resolved.
struct Wanted<'a> {
    reference: String,
    pinned: Option<String>,
    definition: Option<&'a Image>,
    args: BTreeMap<String, String>,
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
        let mut args = BTreeMap::new();
        let mut names = Vec::new();
        if let Some(dockerfile) = dockerfile {
            let secrets = cx.template_secrets(dockerfile.args.values()).await?;
            for (name, template) in &dockerfile.args {
                let value =
                    address::resolve(template, cx.config(), &Viewpoint::Container, &secrets)?;
                args.insert(name.clone(), value);
            }
            names.extend(secrets.into_keys());
        }
        Ok(Self {
            pinned: row.map(|row| row.digest.clone()),
            reference,
            definition,
            args,
            secrets: names,
        })
    }

    /// What its definition depends on; `None` when it can only be pulled.
    async fn inputs(&self, cx: &Cx<'_>) -> Result<Option<Inputs>, Fault> {
        let Some(image) = self.definition.cloned() else {
            return Ok(None);
        };
        let (root, args) = (cx.steps.root.clone(), self.args.clone());
        blocking(move || definition_inputs(&root, &image, &args)).await
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

fn output(id: String) -> Output {
    Output {
        digest: id,
        ..Output::default()
    }
}
