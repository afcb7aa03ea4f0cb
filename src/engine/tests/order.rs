//! [`RunState`] on random graphs and random orders of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use proptest::prelude::*;

use super::id;
use crate::{config::StepId, engine::*};

/// A graph in which a step needs only steps with a lower number.
fn graphs() -> impl Strategy<Value = BTreeMap<StepId, Node>> {
    let step = |number: usize| {
        let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..=3.min(number));
        let paths = prop::sample::select(&["out", "out/a", "out/b", "other"][..]);
        (needs, any::<bool>(), prop::collection::vec(paths, 0..=2))
    };
    (1usize..14)
        .prop_flat_map(move |count| (0..count).map(step).collect::<Vec<_>>())
        .prop_map(|steps| {
            type Drawn = (Vec<prop::sample::Index>, bool, Vec<&'static str>);
            let node = |(number, (needs, heavy, writes)): (usize, Drawn)| {
                let needs = needs.iter().map(|need| name(need.index(number))).collect();
                let class = if heavy { Class::Heavy } else { Class::Light };
                let writes = writes.into_iter().map(PathBuf::from).collect();
                let node = Node {
                    needs,
                    class,
                    writes,
                };
                (name(number), node)
            };
            steps.into_iter().enumerate().map(node).collect()
        })
}

fn name(number: usize) -> StepId {
    id(&format!("s{number:02}"))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Happens {
    Skips,
    Succeeds,
    FreesItsSlot,
    Fails,
    Signal,
}

/// What happens next, and to which of the running steps.
fn events(with: Vec<(u32, Happens)>) -> impl Strategy<Value = Vec<(Happens, usize)>> {
    let choices = with
        .into_iter()
        .map(|(weight, event)| (weight, Just(event)));
    let event = prop::strategy::Union::new_weighted(choices.collect());
    prop::collection::vec((event, 0usize..100), 0..80)
}

/// Plays the dispatcher and checks every command against what has happened so far.
struct Play {
    nodes: BTreeMap<StepId, Node>,
    limits: Limits,
    state: RunState,
    deciding: BTreeSet<StepId>,
    /// Step → holds its slot.
    acting: BTreeMap<StepId, bool>,
    ends: BTreeMap<StepId, End>,
    decided_once: BTreeSet<StepId>,
    cancelled: bool,
    finished: bool,
}

impl Play {
    fn new(nodes: BTreeMap<StepId, Node>, policy: Policy, limits: Limits) -> Self {
        let mut play = Self {
            state: RunState::new(nodes.clone(), policy, limits),
            nodes,
            limits,
            deciding: BTreeSet::new(),
            acting: BTreeMap::new(),
            ends: BTreeMap::new(),
            decided_once: BTreeSet::new(),
            cancelled: false,
            finished: false,
        };
        play.apply(Input::Begin);
        play
    }

    fn apply(&mut self, input: Input) {
        for command in self.state.apply(input) {
            assert!(!self.finished, "{command:?} after Finish");
            match command {
                Command::Decide(step) => {
                    assert!(!self.cancelled, "{step} decides after the cancel");
                    assert!(self.decided_once.insert(step.clone()), "{step} twice");
                    for need in &self.nodes[&step].needs {
                        let end = self.ends.get(need);
                        assert!(
                            matches!(end, Some(End::Done | End::Skipped)),
                            "{step} before {need}"
                        );
                    }
                    self.deciding.insert(step);
                }
                Command::Act(step) => {
                    assert!(!self.cancelled, "{step} acts after the cancel");
                    self.check_writes(&step);
                    self.acting.insert(step, true);
                }
                Command::Drop(step) => self.end(step, End::Cancelled),
                Command::CancelAll => {
                    assert!(!self.cancelled, "cancelled twice");
                    self.cancelled = true;
                }
                Command::KillAll => self.cancelled = true,
                Command::Finish => {
                    assert_eq!(self.ends.len(), self.nodes.len(), "steps without an end");
                    self.finished = true;
                }
            }
        }
        self.check_limits();
    }

    fn check_writes(&self, step: &StepId) {
        for other in self.acting.keys() {
            for (own, theirs) in self.nodes[step].writes.iter().flat_map(|own| {
                let theirs = self.nodes[other].writes.iter();
                theirs.map(move |theirs| (own, theirs))
            }) {
                let apart = !own.starts_with(theirs) && !theirs.starts_with(own);
                assert!(apart, "{step} and {other} both write {}", own.display());
            }
        }
    }

    fn check_limits(&self) {
        let holds = |class| {
            let mut acting = self.acting.iter();
            let counts =
                |(step, holds): &(&StepId, &bool)| **holds && self.nodes[*step].class == class;
            acting.by_ref().filter(counts).count()
        };
        let (light, heavy) = (
            holds(Class::Light) + self.deciding.len(),
            holds(Class::Heavy),
        );
        assert!(light <= self.limits.light, "{light} light");
        assert!(heavy <= self.limits.heavy, "{heavy} heavy");
    }

    fn end(&mut self, step: StepId, end: End) {
        self.deciding.remove(&step);
        self.acting.remove(&step);
        assert_eq!(self.state.end(&step), Some(end));
        assert!(
            self.ends.insert(step.clone(), end).is_none(),
            "{step} ended twice"
        );
    }

    fn finish(&mut self, step: &StepId, end: End) {
        self.deciding.remove(step);
        self.acting.remove(step);
        self.ends.insert(step.clone(), end);
        self.apply(Input::Ended(step.clone(), end));
    }

    fn happen(&mut self, event: Happens, choice: usize) {
        let running: Vec<_> = self
            .deciding
            .iter()
            .chain(self.acting.keys())
            .cloned()
            .collect();
        if event == Happens::Signal {
            return self.apply(Input::Signal);
        }
        let Some(step) = running.get(choice % running.len().max(1)) else {
            assert!(self.finished, "nothing runs and nothing is finished");
            return;
        };
        match (event, self.deciding.contains(step)) {
            (Happens::Skips, true) => self.finish(step, End::Skipped),
            (Happens::Fails, _) => self.finish(step, End::Failed),
            (_, true) => {
                self.deciding.remove(step);
                self.apply(Input::Decided(step.clone()));
            }
            (Happens::FreesItsSlot, false) => {
                self.acting.insert(step.clone(), false);
                self.apply(Input::SlotFreed(step.clone()));
            }
            (_, false) => self.finish(step, End::Done),
        }
    }

    /// Lets what runs come to its end.
    fn play_out(&mut self) {
        for _ in 0..self.nodes.len() * 2 {
            self.happen(Happens::Succeeds, 0);
        }
        assert!(self.finished, "did not finish");
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (1usize..5, 1usize..4).prop_map(|(light, heavy)| Limits { light, heavy })
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::FailFast), Just(Policy::KeepGoing)]
}

proptest! {
    #[test]
    fn without_failures_every_step_succeeds_once(
        nodes in graphs(),
        limits in limits(),
        events in events(vec![(2, Happens::Succeeds), (1, Happens::Skips), (1, Happens::FreesItsSlot)]),
    ) {
        let mut play = Play::new(nodes, Policy::FailFast, limits);
        for (event, choice) in events {
            play.happen(event, choice);
        }
        play.play_out();
        prop_assert!(play.ends.values().all(|end| matches!(end, End::Done | End::Skipped)));
    }

    #[test]
    fn every_step_ends_once_whatever_happens(
        nodes in graphs(),
        limits in limits(),
        policy in policies(),
        events in events(vec![
            (6, Happens::Succeeds),
            (2, Happens::Skips),
            (2, Happens::FreesItsSlot),
            (2, Happens::Fails),
            (1, Happens::Signal),
        ]),
    ) {
        let mut play = Play::new(nodes, policy, limits);
        for (event, choice) in events {
            play.happen(event, choice);
        }
        play.play_out();
    }

    #[test]
    fn keeping_going_loses_only_what_needs_the_failed(
        nodes in graphs(),
        limits in limits(),
        events in events(vec![(3, Happens::Succeeds), (1, Happens::Fails)]),
    ) {
        let mut play = Play::new(nodes, Policy::KeepGoing, limits);
        for (event, choice) in events {
            play.happen(event, choice);
        }
        play.play_out();
        for (step, node) in &play.nodes {
            let lost = node.needs.iter().any(|need| matches!(play.ends[need], End::Failed | End::Cancelled));
            prop_assert_eq!(play.ends[step] == End::Cancelled, lost, "{}", step);
        }
    }

    /// With room for all, whatever can run does run.
    #[test]
    fn nothing_waits_without_a_reason(
        nodes in graphs(),
        events in events(vec![(1, Happens::Succeeds)]),
    ) {
        let room = nodes.len();
        let mut play = Play::new(nodes, Policy::FailFast, Limits { light: room, heavy: room });
        for (event, choice) in events {
            play.happen(event, choice);
            for (step, node) in &play.nodes {
                if node.needs.iter().all(|need| play.ends.contains_key(need)) {
                    prop_assert!(play.decided_once.contains(step), "{} waits", step);
                }
            }
        }
    }

    #[test]
    fn a_second_signal_ends_all_at_once(
        nodes in graphs(),
        events in events(vec![(1, Happens::Succeeds)]),
    ) {
        let mut play = Play::new(nodes, Policy::FailFast, Limits { light: 3, heavy: 2 });
        for (event, choice) in events.into_iter().take(5) {
            play.happen(event, choice);
        }
        play.apply(Input::Signal);
        play.apply(Input::Signal);
        prop_assert!(play.finished);
    }
}

#[test]
fn the_longest_way_goes_first() {
    let light = |needs: &[&str]| Node {
        needs: needs.iter().map(|need| id(need)).collect(),
        class: Class::Light,
        writes: BTreeSet::new(),
    };
    let nodes = BTreeMap::from([
        (id("a"), light(&[])),
        (id("z"), light(&[])),
        (id("after-z"), light(&["z"])),
    ]);
    let limits = Limits { light: 1, heavy: 1 };
    let mut state = RunState::new(nodes, Policy::FailFast, limits);
    assert_eq!(state.apply(Input::Begin), [Command::Decide(id("z"))]);
}

#[test]
fn steps_that_need_each_other_end_the_run_instead_of_blocking_it() {
    let needs = |need: &str| Node {
        needs: [id(need)].into(),
        class: Class::Light,
        writes: BTreeSet::new(),
    };
    let nodes = BTreeMap::from([(id("a"), needs("b")), (id("b"), needs("a"))]);
    let mut state = RunState::new(nodes, Policy::FailFast, Limits::default());
    assert_eq!(
        state.apply(Input::Begin),
        [
            Command::Drop(id("a")),
            Command::Drop(id("b")),
            Command::Finish
        ]
    );
}

#[test]
fn those_that_write_the_same_act_one_after_the_other_by_id() {
    let writes = |path: &str| Node {
        needs: BTreeSet::new(),
        class: Class::Light,
        writes: [PathBuf::from(path)].into(),
    };
    let [a, b, c, d] = ["a", "b", "c", "d"].map(id);
    let nodes = BTreeMap::from([
        (b.clone(), writes("out")),
        (a.clone(), writes("out/sub")),
        (c.clone(), writes("outer")),
        (d.clone(), writes("out/sub/file")),
    ]);
    let mut state = RunState::new(nodes, Policy::FailFast, Limits { light: 9, heavy: 9 });
    state.apply(Input::Begin);
    let mut decided = Vec::new();
    for step in [&a, &b, &c, &d] {
        decided.extend(state.apply(Input::Decided(step.clone())));
    }
    assert_eq!(decided, [Command::Act(a.clone()), Command::Act(c)]);
    // Who only waits for readiness may write all the same.
    assert_eq!(state.apply(Input::SlotFreed(a.clone())), []);
    assert_eq!(
        state.apply(Input::Ended(a, End::Done)),
        [Command::Act(b.clone())]
    );
    assert_eq!(
        state.apply(Input::Ended(b, End::Failed)),
        [Command::CancelAll, Command::Drop(d)]
    );
}
