//! `toolchain.*`: a tool is there in the wanted version, or gets installed.

use super::{Cx, postgres};
use crate::{
    event::{Explain, Fault},
    plan::{Acted, Action, Output, Reason, Verdict},
    toolchain::ToolStatus,
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    if let Some(package) = postgres::package_not_needed(cx).await {
        return Ok(Verdict::Keep(output(package)));
    }
    let status = cx
        .steps
        .toolchain
        .status(&cx.id().name)
        .await
        .map_err(|error| error.explain())?;
    Ok(match status {
        ToolStatus::Ready(ready) => Verdict::Keep(output(ready.digest)),
        ToolStatus::Missing { why, .. } => {
            Verdict::act(Action::Install, vec![Reason::Pending { what: why }])
        }
        ToolStatus::WrongVersion {
            found,
            wanted,
            path,
        } => Verdict::act(
            Action::Install,
            vec![Reason::State {
                what: format!("`{}` is {found}, wanted {wanted}", path.display()),
            }],
        ),
    })
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let installed = cx
        .steps
        .toolchain
        .install(&cx.id().name, &cx.events, &cx.cancel)
        .await
        .map_err(|error| error.explain())?;
    Ok(Acted {
        summary: format!(
            "Installed {} {}",
            cx.id().name,
            installed.ready.version.unwrap_or_default()
        ),
        output: output(installed.ready.digest),
    })
}

fn output(digest: String) -> Output {
    Output {
        digest,
        ..Output::default()
    }
}
