//! `service.*`: any container, or any program.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use tokio::time::timeout;

use super::{Cx, container, readiness::Settled};
use crate::{
    config::Service,
    event::{Explain, Fault, FaultClass},
    plan::{Acted, Action, Decision, Inputs, Output, Reason, Verdict, image_step},
    runtime::{Runtime, RuntimeKind, Spec, Started},
};

/// How long a cancelled start may go on, for what was asked of an engine to come to its end.
const SETTLING: Duration = Duration::from_secs(5);

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let known = cx.known_inputs();
    cx.verdict(&known, service(cx)).await
}

pub(super) async fn act(cx: &Cx<'_>, decision: &Decision, slot: impl Send) -> Result<Acted, Fault> {
    let service = service(cx);
    let made_of = match (cx.steps.kind(), &service.image) {
        (RuntimeKind::Process, _) => MadeOf::Program,
        (RuntimeKind::Docker, Some(image)) => {
            let image = image_step(cx.config(), image);
            MadeOf::Image(cx.output_of(&image).digest.clone())
        }
        (RuntimeKind::Docker, None) => {
            let fault = cx.steps.cannot_run(cx.id());
            return Err(fault.expect("a container needs an image"));
        }
    };
    let made_of = (made_of, cx.known_inputs().inputs);
    run(cx, service, made_of, decision, slot).await
}

/// What a service or app is started from.
pub(super) enum MadeOf {
    /// An image on the engine, by its id.
    Image(String),
    /// What the file says of its program.
    Program,
}

/// Starts a service or app, made with these inputs, and waits until it is ready.
pub(super) async fn run(
    cx: &Cx<'_>,
    service: &Service,
    (made_of, inputs): (MadeOf, Inputs),
    decision: &Decision,
    slot: impl Send,
) -> Result<Acted, Fault> {
    // Looked at first: should one change just now, the next run sees that.
    let secrets = cx.observed_secrets(cx.secrets_of(service));
    let spec = match made_of {
        MadeOf::Image(image) => cx.service_spec(service, image, inputs.clone()).await?,
        MadeOf::Program => cx.program_spec(service, inputs.clone()).await?,
    };
    cx.begin()?;
    let started = start(cx, &spec, decision).await?;
    cx.settle_ports(&service.ports, &started)?;
    if makes_a_new_one(decision) {
        cx.remember_secrets(&secrets)?;
    }
    drop(slot);
    let settled = cx.wait_ready(service, &started.ports).await;
    match settled.map_err(|fault| with_way_out(cx, decision, fault))? {
        Settled::Runs => {
            cx.stays_up(decision).await?;
            Ok(Acted {
                summary: summary(decision, &started),
                output: container::output(&started.ports),
            })
        }
        Settled::Ended => {
            cx.record(inputs, BTreeMap::new(), Output::default())?;
            Ok(Acted {
                summary: "Ran to its end".to_owned(),
                output: Output::default(),
            })
        }
    }
}

/// Restarts in place when only that is wanted, else makes what runs match the spec.
pub(super) async fn start(cx: &Cx<'_>, spec: &Spec, decision: &Decision) -> Result<Started, Fault> {
    let runtime = cx.steps.runtime()?;
    let work = async {
        if must_go_first(decision) {
            runtime.remove(&spec.step).await?;
        }
        runtime.start(spec).await
    };
    let mut work = pin!(work);
    tokio::select! {
        started = &mut work => started.map_err(|error| error.explain()),
        () = cx.cancel.cancelled() => {
            // An engine goes on with what it was asked for: who takes down what is there must see it.
            let _ = timeout(SETTLING, work).await;
            Err(super::cancelled(cx))
        }
    }
}

/// The runtime compares inputs, which do not hold a secret's value: it would keep what runs.
fn must_go_first(decision: &Decision) -> bool {
    let mut reasons = decision.reasons.iter();
    match decision.action {
        Action::Restart => true,
        Action::Recreate => reasons.any(|reason| matches!(reason, Reason::Secret { .. })),
        _ => false,
    }
}

/// What is only started again keeps the environment it was made with.
fn makes_a_new_one(decision: &Decision) -> bool {
    let mut reasons = decision.reasons.iter();
    decision.action != Action::Start || reasons.any(|reason| matches!(reason, Reason::New { .. }))
}

/// What was waited for in vain may be beyond recovery as it is, such as with a mounted folder that is no longer the same.
fn with_way_out(cx: &Cx<'_>, decision: &Decision, fault: Fault) -> Fault {
    match fault.class {
        FaultClass::Interrupted => fault,
        _ if makes_a_new_one(decision) => fault,
        _ => fault.note(format!(
            "it is as it was made before: `devenv restart {}` makes it anew",
            cx.id()
        )),
    }
}

fn summary(decision: &Decision, started: &Started) -> String {
    let verb = match decision.action {
        Action::Recreate => "Recreated",
        Action::Restart => "Restarted",
        _ if container::restarts(decision).is_some() => "Stayed up",
        _ => "Started",
    };
    let ports: Vec<_> = started
        .ports
        .iter()
        .map(|(name, port)| format!("{name} {port}"))
        .collect();
    match ports.is_empty() {
        true => verb.to_owned(),
        false => format!("{verb} on {}", ports.join(", ")),
    }
}

fn service<'a>(cx: &'a Cx<'_>) -> &'a Service {
    cx.config()
        .service
        .get(&cx.id().name)
        .expect("the plan has only services of the file")
}
