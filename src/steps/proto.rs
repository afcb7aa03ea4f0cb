//! `proto.*`: generated code is up to date, or gets generated.

use super::{Cx, blocking, inputs::Known};
use crate::{
    config::Proto,
    event::{Explain, Fault},
    plan::{Acted, Action, Digest, Output, Verdict},
    proto,
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let known = inputs(cx, table(cx)).await?;
    cx.judge_record(&known, Action::Run).await
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let table = table(cx);
    let known = inputs(cx, table).await?;
    cx.begin()?;
    let name = &cx.id().name;
    let path = cx.steps.host_env().remove("PATH").unwrap_or_default();
    let root = &cx.steps.root;
    let generated = proto::generate(root, name, table, &path, &cx.cancel)
        .await
        .map_err(|error| error.explain())?;
    let paths: Vec<_> = generated.files.keys().cloned().collect();
    let (root, name, state) = (root.clone(), name.clone(), cx.steps.store.dir().to_owned());
    let written = blocking(move || proto::write(&root, &name, &generated, &state)).await?;
    let outputs = cx.output_digests(&paths).await?;
    let all: Vec<_> = outputs.values().map(|digest| digest.0.as_str()).collect();
    let output = Output {
        digest: Digest::of(all.concat()).0,
        ..Output::default()
    };
    cx.record(known.inputs, outputs, output.clone())?;
    Ok(Acted {
        output,
        summary: written.to_string(),
    })
}

async fn inputs(cx: &Cx<'_>, table: &Proto) -> Result<Known, Fault> {
    let mut known = cx.known_inputs();
    let (root, table) = (cx.steps.root.clone(), table.clone());
    let files = blocking(move || proto::inputs(&root, &table)).await?;
    known.inputs.0.extend(cx.file_digests(files).await?);
    // Another version may generate other code from the same files.
    known.inputs.text("devenv", env!("CARGO_PKG_VERSION"));
    Ok(known)
}

fn table<'a>(cx: &'a Cx<'_>) -> &'a Proto {
    cx.config()
        .proto
        .get(&cx.id().name)
        .expect("the plan has only protos of the file")
}
