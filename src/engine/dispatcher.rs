//! The one loop of a run: takes in what steps, signals and the clock say, has [`RunState`] decide, and does it.
//! It owns all that changes; nothing is shared, nothing is locked.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    executor::{self, Phase, Slot, Stop, Work},
    signal::Signal,
    state::{Command, End, Input, Limits, Node, Policy, RunState},
};
use crate::{
    config::StepId,
    event::{Event, Events, Fault, FaultClass, Outcome, count},
    plan::{Acted, Decision, Output, Outputs, Plan, Verdict},
};

/// How long an aborted task may take to let go of what it holds.
const ABORT_LIMIT: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct Options {
    /// The command as the user knows it, such as `up`.
    pub command: String,
    pub policy: Policy,
    pub limits: Limits,
    /// How long a cancelled step may take before it is ended at once.
    pub grace: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            policy: Policy::default(),
            limits: Limits::default(),
            grace: Duration::from_secs(30),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// Exactly one for each step of the run.
    pub outcomes: BTreeMap<StepId, Outcome>,
    /// Of the steps that succeeded.
    pub outputs: Outputs,
    /// In the order they came; secrets are masked.
    pub faults: Vec<(StepId, Fault)>,
    /// The first signal, if there was one.
    pub signal: Option<Signal>,
    pub duration: Duration,
}

impl RunResult {
    /// What decides the exit code; `None` when every step succeeded.
    pub fn class(&self) -> Option<FaultClass> {
        if let Some((_, first)) = self.faults.first() {
            return Some(first.class);
        }
        let cancelled = |outcome: &Outcome| matches!(outcome, Outcome::Cancelled);
        self.outcomes
            .values()
            .any(cancelled)
            .then_some(FaultClass::Interrupted)
    }

    fn outcome(&self) -> Outcome {
        match (self.faults.first(), self.class()) {
            (Some((_, fault)), _) => Outcome::Failed {
                fault: fault.clone(),
            },
            (None, Some(_)) => Outcome::Cancelled,
            (None, None) => self.success(),
        }
    }

    fn success(&self) -> Outcome {
        let skipped = |outcome: &&Outcome| matches!(outcome, Outcome::Skipped);
        let kept = self.outcomes.values().filter(skipped).count();
        let done = self.outcomes.len() - kept;
        match done {
            0 => Outcome::Skipped,
            _ => Outcome::Done {
                summary: format!("{} done, {kept} up to date", count(done, "step")),
            },
        }
    }
}

/// Runs the goals and everything they need, and returns when each of these steps has ended.
pub async fn run<W: Work>(
    plan: &Plan,
    goals: &BTreeSet<StepId>,
    work: Arc<W>,
    events: &Events,
    signals: impl Stream<Item = Signal>,
    options: Options,
) -> RunResult {
    let started = Instant::now();
    let mut dispatcher = Dispatcher::new(plan, goals, work, events, &options);
    events.send(Event::RunStarted {
        command: options.command,
        project: plan.project.clone(),
        steps: dispatcher.order.clone(),
        plan: plan.hash,
    });
    dispatcher.turn(signals).await;
    let result = RunResult {
        outcomes: dispatcher.outcomes,
        outputs: dispatcher.outputs,
        faults: dispatcher.faults,
        signal: dispatcher.signal,
        duration: started.elapsed(),
    };
    events.send(Event::RunFinished {
        outcome: result.outcome(),
        duration_ms: result.duration.as_millis() as u64,
    });
    result
}

/// What comes in from outside of the state.
enum Message {
    Step(StepId, Phase),
    SlotFreed(StepId),
    Signal(Signal),
    GraceOver,
}

struct Dispatcher<'a, W> {
    work: Arc<W>,
    events: &'a Events,
    state: RunState,
    /// The run's steps, each after all it needs.
    order: Vec<StepId>,
    /// Needs of each step, direct or not.
    upstream: BTreeMap<StepId, BTreeSet<StepId>>,
    tasks: JoinSet<(StepId, Phase)>,
    freed: (
        mpsc::UnboundedSender<StepId>,
        mpsc::UnboundedReceiver<StepId>,
    ),
    cancel: CancellationToken,
    grace: Duration,
    grace_ends: Option<Instant>,
    decisions: BTreeMap<StepId, Decision>,
    /// When the present phase of a step began.
    began: BTreeMap<StepId, Instant>,
    outcomes: BTreeMap<StepId, Outcome>,
    outputs: Outputs,
    faults: Vec<(StepId, Fault)>,
    signal: Option<Signal>,
    finished: bool,
}

impl<'a, W: Work> Dispatcher<'a, W> {
    fn new(
        plan: &Plan,
        goals: &BTreeSet<StepId>,
        work: Arc<W>,
        events: &'a Events,
        options: &Options,
    ) -> Self {
        let graph = plan.graph();
        let chosen = graph.closure(goals.iter().cloned());
        let mut order = graph
            .order()
            .unwrap_or_else(|_| graph.needs.keys().cloned().collect());
        order.retain(|id| chosen.contains(id));
        let node = |id: &StepId| Node {
            needs: graph.needs[id].clone(),
            class: work.class(id),
            writes: plan.steps[id].writes.clone(),
        };
        let nodes = order.iter().map(|id| (id.clone(), node(id))).collect();
        let upstream = |id: &StepId| (id.clone(), graph.closure(graph.needs[id].iter().cloned()));
        Self {
            state: RunState::new(nodes, options.policy, options.limits),
            upstream: order.iter().map(upstream).collect(),
            order,
            work,
            events,
            tasks: JoinSet::new(),
            freed: mpsc::unbounded_channel(),
            cancel: CancellationToken::new(),
            grace: options.grace,
            grace_ends: None,
            decisions: BTreeMap::new(),
            began: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            outputs: Outputs::new(),
            faults: Vec::new(),
            signal: None,
            finished: false,
        }
    }

    async fn turn(&mut self, signals: impl Stream<Item = Signal>) {
        // A stream that has ended stays silent instead of waking the loop for ever.
        let mut signals = pin!(signals.chain(futures_util::stream::pending()));
        self.apply(Input::Begin);
        while !self.finished {
            let grace_over = async {
                match self.grace_ends {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            let message = tokio::select! {
                Some(signal) = signals.next() => Message::Signal(signal),
                Some(step) = self.freed.1.recv() => Message::SlotFreed(step),
                Some(joined) = self.tasks.join_next() => match joined {
                    Ok((step, phase)) => Message::Step(step, phase),
                    // Only a task that was aborted, whose step has ended already.
                    Err(_) => continue,
                },
                () = grace_over => Message::GraceOver,
            };
            self.take(message);
        }
        // A task that never gets to a point where it can be dropped is left behind.
        let _ = timeout(ABORT_LIMIT, self.tasks.shutdown()).await;
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Step(step, Phase::Decided(Ok(Verdict::Act(decision)))) => {
                self.decisions.insert(step.clone(), decision);
                self.apply(Input::Decided(step));
            }
            Message::Step(step, Phase::Decided(Ok(Verdict::Keep(output)))) => {
                self.succeed(step, output, Outcome::Skipped);
            }
            Message::Step(step, Phase::Acted(Ok(Acted { output, summary }))) => {
                self.succeed(step, output, Outcome::Done { summary });
            }
            Message::Step(step, Phase::Decided(Err(stop)) | Phase::Acted(Err(stop))) => {
                self.stop(step, stop);
            }
            Message::SlotFreed(step) => self.apply(Input::SlotFreed(step)),
            Message::Signal(signal) => {
                self.signal.get_or_insert(signal);
                self.events.send(Event::Cancelling {
                    signal: signal.to_string(),
                });
                self.apply(Input::Signal);
            }
            Message::GraceOver => {
                self.grace_ends = None;
                self.apply(Input::GraceOver);
            }
        }
    }

    fn succeed(&mut self, step: StepId, output: Output, outcome: Outcome) {
        let end = match outcome {
            Outcome::Skipped => End::Skipped,
            _ => End::Done,
        };
        self.outputs.insert(step.clone(), output);
        self.finish(&step, outcome);
        self.apply(Input::Ended(step, end));
    }

    fn stop(&mut self, step: StepId, stop: Stop) {
        let end = match stop {
            Stop::Cancelled => {
                self.finish(&step, Outcome::Cancelled);
                End::Cancelled
            }
            Stop::Failed(fault) => {
                let fault = self.events.mask_fault(*fault);
                self.faults.push((step.clone(), fault.clone()));
                self.finish(&step, Outcome::Failed { fault });
                End::Failed
            }
        };
        self.apply(Input::Ended(step, end));
    }

    fn finish(&mut self, step: &StepId, outcome: Outcome) {
        let duration = self.began.get(step).map(Instant::elapsed);
        self.events.send(Event::StepFinished {
            step: step.clone(),
            outcome: outcome.clone(),
            duration_ms: duration.unwrap_or_default().as_millis() as u64,
        });
        self.outcomes.insert(step.clone(), outcome);
    }

    fn apply(&mut self, input: Input) {
        for command in self.state.apply(input) {
            match command {
                Command::Decide(step) => self.decide(step),
                Command::Act(step) => self.act(step),
                Command::Drop(step) => self.finish(&step, Outcome::Cancelled),
                Command::CancelAll => {
                    self.cancel.cancel();
                    self.grace_ends = Some(Instant::now() + self.grace);
                }
                Command::KillAll => {
                    self.cancel.cancel();
                    self.tasks.abort_all();
                }
                Command::Finish => self.finished = true,
            }
        }
    }

    fn decide(&mut self, step: StepId) {
        self.began.insert(step.clone(), Instant::now());
        let upstream = self.upstream_of(&step);
        let (work, cancel) = (self.work.clone(), self.cancel.child_token());
        self.tasks
            .spawn(executor::decide(work, step, upstream, cancel));
    }

    fn act(&mut self, step: StepId) {
        let decision = self
            .decisions
            .remove(&step)
            .expect("the state lets only decided steps act");
        self.began.insert(step.clone(), Instant::now());
        self.events.send(Event::StepStarted {
            step: step.clone(),
            decision: decision.clone(),
        });
        let upstream = self.upstream_of(&step);
        let context = executor::ActContext {
            cancel: self.cancel.child_token(),
            slot: Slot::new(step.clone(), self.freed.0.clone()),
        };
        let work = self.work.clone();
        self.tasks
            .spawn(executor::act(work, step, decision, upstream, context));
    }

    fn upstream_of(&self, step: &StepId) -> Outputs {
        let needs = self.upstream[step].iter();
        needs
            .filter_map(|need| Some((need.clone(), self.outputs.get(need)?.clone())))
            .collect()
    }
}
