//! Which step may go on now. Pure: no clock, no task, no I/O, so every order of events can be tried in a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::config::StepId;

/// What a step costs while it acts; each class has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Waits for others: the engine, the network, a database.
    Light,
    /// Keeps the processor busy: a build.
    Heavy,
}

/// How many steps of a class may be at work at once. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub light: usize,
    pub heavy: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Past this, more requests at once only make an engine slower.
            light: 16,
            heavy: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What a failure does to steps that do not need the failed one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing new starts, what runs is cancelled.
    #[default]
    FailFast,
    KeepGoing,
}

/// A step, as far as order is concerned.
#[derive(Debug, Clone)]
pub struct Node {
    pub needs: BTreeSet<StepId>,
    pub class: Class,
    /// Files and folders it writes while it acts: no other step that writes one of them, or in one of them, acts meanwhile.
    pub writes: BTreeSet<PathBuf>,
}

impl Node {
    fn collides(&self, other: &Node) -> bool {
        let overlap =
            |own: &PathBuf, path: &PathBuf| own.starts_with(path) || path.starts_with(own);
        let mut writes = self.writes.iter();
        writes.any(|own| other.writes.iter().any(|path| overlap(own, path)))
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Skipped,
    Done,
    Failed,
    Cancelled,
}

impl End {
    fn is_success(self) -> bool {
        matches!(self, End::Skipped | End::Done)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Begin,
    /// The step has something to do and wants to act.
    Decided(StepId),
    /// The step only waits from now on: another may have its place.
    SlotFreed(StepId),
    Ended(StepId, End),
    /// The first cancels, the second ends at once.
    Signal,
    /// Cancelled steps have had their time.
    GraceOver,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Decide(StepId),
    Act(StepId),
    /// It will never run; its outcome is [`End::Cancelled`].
    Drop(StepId),
    /// Ask every running step to stop.
    CancelAll,
    /// End every running step at once. Each of them is dropped by a command of its own.
    KillAll,
    /// Every step has ended. Always the last command, given once.
    Finish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Deciding,
    /// Has decided to act, waits for a place in its class.
    Queued,
    Acting {
        holds_slot: bool,
    },
    Ended(End),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Cancelling,
    Finished,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    phase: Phase,
}

/// The state of a run.
#[derive(Debug)]
pub struct RunState {
    entries: BTreeMap<StepId, Entry>,
    /// The longest way to go first: by the steps on the longest path to a step that nothing needs; ties by id.
    order: Vec<StepId>,
    policy: Policy,
    limits: Limits,
    stage: Stage,
    signals: usize,
}

impl RunState {
    /// Needs outside of `nodes` count as met. The needs must be acyclic.
    pub fn new(nodes: BTreeMap<StepId, Node>, policy: Policy, limits: Limits) -> Self {
        let heights = heights(&nodes);
        let mut order: Vec<_> = nodes.keys().cloned().collect();
        order.sort_by_key(|id| (std::cmp::Reverse(heights[id]), id.clone()));
        let entries = nodes.into_iter().map(|(id, node)| {
            let phase = Phase::Waiting;
            (id, Entry { node, phase })
        });
        Self {
            entries: entries.collect(),
            order,
            policy,
            limits,
            stage: Stage::Running,
            signals: 0,
        }
    }

    /// Takes in what happened and says what to do now, in this order. What cannot be, such as a second end, changes nothing.
    pub fn apply(&mut self, input: Input) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.stage == Stage::Finished {
            return commands;
        }
        match input {
            Input::Begin => {}
            Input::Decided(step) => self.decided(&step),
            Input::SlotFreed(step) => self.slot_freed(&step),
            Input::Ended(step, end) => self.ended(&step, end, &mut commands),
            Input::Signal => {
                self.signals += 1;
                match self.signals {
                    1 => self.cancel(&mut commands),
                    _ => self.kill(&mut commands),
                }
            }
            Input::GraceOver => self.kill(&mut commands),
        }
        self.advance(&mut commands);
        commands
    }

    /// How the step ended, once it has.
    pub fn end(&self, step: &StepId) -> Option<End> {
        match self.entries.get(step)?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waiting | Phase::Deciding | Phase::Queued | Phase::Acting { .. } => None,
        }
    }

    fn decided(&mut self, step: &StepId) {
        if let Some(entry) = self.entries.get_mut(step)
            && entry.phase == Phase::Deciding
        {
            entry.phase = Phase::Queued;
        }
    }

    fn slot_freed(&mut self, step: &StepId) {
        if let Some(entry) = self.entries.get_mut(step)
            && let Phase::Acting { holds_slot } = &mut entry.phase
        {
            *holds_slot = false;
        }
    }

    fn ended(&mut self, step: &StepId, end: End, commands: &mut Vec<Command>) {
        let Some(entry) = self.entries.get_mut(step) else {
            return;
        };
        if !matches!(entry.phase, Phase::Deciding | Phase::Acting { .. }) {
            return;
        }
        entry.phase = Phase::Ended(end);
        match (end, self.policy) {
            (End::Failed, Policy::FailFast) => self.cancel(commands),
            (End::Failed | End::Cancelled, _) => self.drop_dependants(commands),
            (End::Skipped | End::Done, _) => {}
        }
    }

    /// Stops what runs and drops what has not begun to act.
    fn cancel(&mut self, commands: &mut Vec<Command>) {
        if self.stage == Stage::Running {
            self.stage = Stage::Cancelling;
            commands.push(Command::CancelAll);
        }
        self.drop_where(commands, |phase| {
            matches!(phase, Phase::Waiting | Phase::Queued)
        });
    }

    fn kill(&mut self, commands: &mut Vec<Command>) {
        self.stage = Stage::Cancelling;
        commands.push(Command::KillAll);
        self.drop_where(commands, |phase| !matches!(phase, Phase::Ended(_)));
    }

    fn drop_where(&mut self, commands: &mut Vec<Command>, which: impl Fn(Phase) -> bool) {
        for (id, entry) in &mut self.entries {
            if which(entry.phase) {
                entry.phase = Phase::Ended(End::Cancelled);
                commands.push(Command::Drop(id.clone()));
            }
        }
    }

    /// Drops the waiting steps that can never run. By height, so one pass reaches dependants of dependants.
    fn drop_dependants(&mut self, commands: &mut Vec<Command>) {
        for id in self.order.clone() {
            let lost = self.entries[&id].node.needs.iter().any(|need| {
                self.end(need)
                    .is_some_and(|end| matches!(end, End::Failed | End::Cancelled))
            });
            let entry = self.entries.get_mut(&id).expect("order holds only entries");
            if lost && entry.phase == Phase::Waiting {
                entry.phase = Phase::Ended(End::Cancelled);
                commands.push(Command::Drop(id));
            }
        }
    }

    /// Starts what may start now; finishes when nothing is left.
    fn advance(&mut self, commands: &mut Vec<Command>) {
        if self.stage == Stage::Cancelling {
            // What decided while it was being cancelled does not act any more.
            self.drop_where(commands, |phase| phase == Phase::Queued);
        } else {
            self.start(Phase::Queued, commands);
            self.start(Phase::Waiting, commands);
        }
        if !self.entries.values().any(Entry::is_running) {
            // Only steps that need each other can still wait here: they never run.
            self.drop_where(commands, |phase| phase == Phase::Waiting);
        }
        if self.entries.values().all(|entry| entry.has_ended()) {
            self.stage = Stage::Finished;
            commands.push(Command::Finish);
        }
    }

    fn start(&mut self, from: Phase, commands: &mut Vec<Command>) {
        for id in self.order.clone() {
            let entry = &self.entries[&id];
            if entry.phase != from {
                continue;
            }
            let (phase, class, command) = match from {
                Phase::Queued => (
                    Phase::Acting { holds_slot: true },
                    entry.node.class,
                    Command::Act(id.clone()),
                ),
                // To decide is to read and ask, whatever acting would cost.
                _ => (Phase::Deciding, Class::Light, Command::Decide(id.clone())),
            };
            let ready = match from {
                Phase::Queued => self.nobody_writes_the_same(&entry.node),
                _ => self.needs_met(&entry.node),
            };
            if ready && self.has_room(class) {
                let entry = self.entries.get_mut(&id).expect("order holds only entries");
                entry.phase = phase;
                commands.push(command);
            }
        }
    }

    fn needs_met(&self, node: &Node) -> bool {
        node.needs.iter().all(|need| {
            !self.entries.contains_key(need) || self.end(need).is_some_and(End::is_success)
        })
    }

    /// Also who has let go of its slot may still write.
    fn nobody_writes_the_same(&self, node: &Node) -> bool {
        let mut acting = self.entries.values().filter(|entry| entry.acts());
        !acting.any(|entry| entry.node.collides(node))
    }

    fn has_room(&self, class: Class) -> bool {
        let limit = match class {
            Class::Light => self.limits.light,
            Class::Heavy => self.limits.heavy,
        };
        let used = self.entries.values().filter(|e| e.uses() == Some(class));
        used.count() < limit.max(1)
    }
}

impl Entry {
    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Deciding | Phase::Acting { .. })
    }

    fn acts(&self) -> bool {
        matches!(self.phase, Phase::Acting { .. })
    }

    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The class in which it takes a place now.
    fn uses(&self) -> Option<Class> {
        match self.phase {
            Phase::Deciding => Some(Class::Light),
            Phase::Acting { holds_slot: true } => Some(self.node.class),
            Phase::Waiting | Phase::Queued | Phase::Acting { .. } | Phase::Ended(_) => None,
        }
    }
}

fn heights(nodes: &BTreeMap<StepId, Node>) -> BTreeMap<StepId, usize> {
    let mut heights: BTreeMap<StepId, usize> = nodes.keys().map(|id| (id.clone(), 1)).collect();
    // As many rounds as the longest path has steps; a cycle cannot keep it busy for ever.
    for _ in 0..nodes.len() {
        let before = heights.clone();
        for (id, node) in nodes {
            let height = heights[id] + 1;
            for need in &node.needs {
                if let Some(other) = heights.get_mut(need) {
                    *other = (*other).max(height);
                }
            }
        }
        if heights == before {
            break;
        }
    }
    heights
}
