//! A run whose steps do what a test tells them. No clock: a step ends when its test lets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use expect_test::Expect;
use futures_util::{Stream, stream};
use tokio::sync::{mpsc, oneshot};

use super::id;
use crate::{
    config::{StepId, StepKind},
    engine::*,
    event::{Event, Events, Fault, Outcome, Record},
    plan::{Acted, Action, Decision, Digest, Inputs, Output, Outputs, Plan, Reason, Step, Verdict},
};

/// What a step does once it acts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Does {
    Succeed,
    Skip,
    Fail,
    FailToDecide,
    Panic,
    /// Says that it acts, then waits for the test or for the cancel.
    Wait,
    /// As `Wait`, giving its slot away first.
    WaitWithoutSlot,
    /// Waits for ever, whatever is asked of it.
    Hang,
}

pub(super) struct Fake {
    pub(super) steps: BTreeMap<StepId, (Does, Class)>,
    /// Each step that acts and waits sends how to let it go on.
    pub(super) acting: mpsc::UnboundedSender<(StepId, oneshot::Sender<()>)>,
}

impl Work for Fake {
    fn class(&self, step: &StepId) -> Class {
        self.steps[step].1
    }

    async fn decide(
        &self,
        step: &StepId,
        _: &Outputs,
        _: &tokio_util::sync::CancellationToken,
    ) -> Result<Verdict, Fault> {
        match self.steps[step].0 {
            Does::Skip => Ok(Verdict::Keep(output(step, &Outputs::new()))),
            Does::FailToDecide => Err(Fault::new("cannot look")),
            _ => Ok(Verdict::Act(Decision::of(Action::Run, vec![Reason::Asked]))),
        }
    }

    async fn act(
        &self,
        step: &StepId,
        _: &Decision,
        upstream: &Outputs,
        context: ActContext,
    ) -> Result<Acted, Fault> {
        let does = self.steps[step].0;
        match does {
            Does::Fail => return Err(Fault::new(format!("`{step}` failed"))),
            Does::Panic => panic!("on purpose"),
            Does::Succeed | Does::Skip | Does::FailToDecide => {}
            Does::Wait | Does::WaitWithoutSlot | Does::Hang => {
                let ActContext { cancel, slot } = context;
                let slot = (does != Does::WaitWithoutSlot).then_some(slot);
                let (go, gone) = oneshot::channel();
                self.acting
                    .send((step.clone(), go))
                    .expect("the test listens");
                if does == Does::Hang {
                    std::future::pending::<()>().await;
                }
                tokio::select! {
                    _ = gone => {}
                    () = cancel.cancelled() => return Err(Fault::new("stopped")),
                }
                drop(slot);
            }
        }
        Ok(Acted {
            output: output(step, upstream),
            summary: "Ran it".to_owned(),
        })
    }
}

/// Says what it was made from: `c(a,b)`.
fn output(step: &StepId, upstream: &Outputs) -> Output {
    let names: Vec<_> = upstream.keys().map(|id| id.name.clone()).collect();
    Output {
        digest: format!("{}({})", step.name, names.join(",")),
        ..Output::default()
    }
}

/// A run on its own task, and what a test sees of it.
pub(super) struct Run {
    acting: mpsc::UnboundedReceiver<(StepId, oneshot::Sender<()>)>,
    waiting: BTreeMap<String, oneshot::Sender<()>>,
    records: mpsc::UnboundedReceiver<Record>,
    pub(super) result: tokio::task::JoinHandle<RunResult>,
}

impl Run {
    pub(super) fn start(steps: &[(&str, &[&str], Does)]) -> Self {
        Self::with(steps, Options::new("up"), stream::pending())
    }

    /// Names that begin with `heavy` are heavy.
    pub(super) fn with(
        steps: &[(&str, &[&str], Does)],
        options: Options,
        signals: impl Stream<Item = Signal> + Send + 'static,
    ) -> Self {
        let plan = plan(steps);
        let class = |name: &str| match name.starts_with("heavy") {
            true => Class::Heavy,
            false => Class::Light,
        };
        let (sender, acting) = mpsc::unbounded_channel();
        let work = Fake {
            steps: steps
                .iter()
                .map(|(name, _, does)| (id(name), (*does, class(name))))
                .collect(),
            acting: sender,
        };
        let (events, records) = Events::channel();
        let goals: BTreeSet<_> = plan.steps.keys().cloned().collect();
        let result = tokio::spawn(async move {
            run(&plan, &goals, Arc::new(work), &events, signals, options).await
        });
        Self {
            acting,
            waiting: BTreeMap::new(),
            records,
            result,
        }
    }

    /// Returns once all of these act at the same time.
    pub(super) async fn acting(&mut self, names: &[&str]) {
        while !names.iter().all(|name| self.waiting.contains_key(*name)) {
            let (step, go) = self.acting.recv().await.expect("the run goes on");
            self.waiting.insert(step.name, go);
        }
        assert_eq!(self.waiting.keys().collect::<Vec<_>>(), names);
    }

    pub(super) fn let_go(&mut self, name: &str) {
        let go = self.waiting.remove(name).expect("it acts");
        go.send(()).expect("it waits");
    }

    /// Waits for the end and shows every event as a line.
    pub(super) async fn end(mut self, expected: Expect) -> RunResult {
        let result = self.result.await.expect("the engine does not panic");
        let mut text = String::new();
        while let Some(record) = self.records.recv().await {
            text += &show(&record.event);
            text.push('\n');
        }
        expected.assert_eq(&text);
        result
    }
}

pub(super) fn plan(steps: &[(&str, &[&str], Does)]) -> Plan {
    let step = |(name, needs, _): &(&str, &[&str], Does)| {
        let needs: BTreeSet<_> = needs.iter().map(|need| id(need)).collect();
        let step = Step {
            id: id(name),
            kind: StepKind::Task,
            site: id(name).key_path(),
            feeds: needs.clone(),
            needs,
            definition: Inputs::default(),
            aside: Inputs::default(),
            writes: BTreeSet::new(),
        };
        (id(name), step)
    };
    Plan {
        project: "test".to_owned(),
        steps: steps.iter().map(step).collect(),
        hash: Digest::of("plan"),
    }
}

fn show(event: &Event) -> String {
    match event {
        Event::RunStarted { steps, .. } => {
            let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
            format!("run {}", names.join(" "))
        }
        Event::StepStarted { step, .. } => format!("{} starts", step.name),
        Event::StepFinished { step, outcome, .. } => {
            format!("{} ends: {}", step.name, show_outcome(outcome))
        }
        Event::Cancelling { signal } => format!("cancelling on {signal}"),
        Event::RunFinished { outcome, .. } => format!("run ends: {}", show_outcome(outcome)),
        other => format!("{other:?}"),
    }
}

fn show_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Done { summary } => format!("done, {summary}"),
        Outcome::Failed { fault } => format!("failed, {fault}"),
        Outcome::Cancelled => "cancelled".to_owned(),
    }
}

/// Signals that come when the test sends them.
pub(super) fn sent_signals() -> (mpsc::UnboundedSender<Signal>, impl Stream<Item = Signal>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    (sender, stream)
}
