//! No step needs itself, directly or through others.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::Report;
use crate::config::{
    Config, ErrorSite, KeyPath, StepId, StepKind,
    interpolate::{Reference, Target},
};

/// Step → the steps it needs, each with the place that says so.
type Edges = BTreeMap<StepId, BTreeMap<StepId, Range<usize>>>;

pub(in crate::config) fn cycles(
    report: &mut Report<'_>,
    references: &[&Reference],
    config: Option<&Config>,
) {
    let mut edges = Edges::new();
    for reference in references {
        if let (Some(from), Some(to)) = (owner(&reference.at), target(&reference.target)) {
            // Where it listens itself is known before it runs.
            if from == *to && matches!(reference.target, Target::Field { .. }) {
                continue;
            }
            edge(&mut edges, from, to.clone(), reference.span.clone());
        }
    }
    for name in report.source.keys_of(&KeyPath::of(["app"])) {
        let build = StepId::new(StepKind::Build, name);
        if let Some(place) = report.source.key(&build.key_path()) {
            edge(
                &mut edges,
                StepId::new(StepKind::App, name),
                build,
                place.span,
            );
        }
    }
    if let Some(config) = config {
        images(report, config, &mut edges);
    }
    let mut done = BTreeSet::new();
    for step in edges.keys() {
        for cycle in find(step, &edges, &mut done) {
            show(report, &cycle, &edges);
        }
    }
}

/// The step a key belongs to; a build is a step of its own.
fn owner(at: &KeyPath) -> Option<StepId> {
    let [kind, name, rest @ ..] = &at.0[..] else {
        return None;
    };
    if kind == "app" && rest.first().is_some_and(|key| key == "build") {
        return Some(StepId::new(StepKind::Build, name));
    }
    format!("{kind}.{name}").parse().ok()
}

fn target(target: &Target) -> Option<&StepId> {
    match target {
        Target::Step(step) | Target::Field { step, .. } => Some(step),
        Target::Secret(_) | Target::Bare(_) => None,
    }
}

fn edge(edges: &mut Edges, from: StepId, to: StepId, span: Range<usize>) {
    edges.entry(from).or_default().entry(to).or_insert(span);
}

/// A step needs the `[image.*]` whose reference it uses.
fn images(report: &Report<'_>, config: &Config, edges: &mut Edges) {
    let used = (config
        .postgres
        .iter()
        .map(|(name, table)| (StepKind::Postgres, name, Some(&table.image))))
    .chain(
        config
            .service
            .iter()
            .map(|(name, table)| (StepKind::Service, name, table.image.as_ref())),
    );
    for (kind, name, reference) in used {
        let id = StepId::new(kind, name);
        let image = config
            .image
            .iter()
            .find(|(_, image)| reference.is_some_and(|reference| *reference == image.reference));
        let place = report.source.value(&id.key_path().join("image"));
        if let (Some((image, _)), Some(place)) = (image, place) {
            edge(edges, id, StepId::new(StepKind::Image, image), place.span);
        }
    }
}

/// The cycles reachable from `start` that were not seen before. Depth first, without recursion: files can be large.
fn find(start: &StepId, edges: &Edges, done: &mut BTreeSet<StepId>) -> Vec<Vec<StepId>> {
    let needs = |step: &StepId| -> Vec<StepId> {
        let needs = edges
            .get(step)
            .map(|needs| needs.keys().rev().cloned().collect());
        needs.unwrap_or_default()
    };
    if done.contains(start) {
        return Vec::new();
    }
    let mut path = vec![(start.clone(), needs(start))];
    let mut found = Vec::new();
    while let Some((step, pending)) = path.last_mut() {
        let Some(next) = pending.pop() else {
            done.insert(step.clone());
            path.pop();
            continue;
        };
        if let Some(position) = path.iter().position(|(step, _)| *step == next) {
            let cycle = path[position..].iter().map(|(step, _)| step.clone());
            found.push(cycle.chain([next.clone()]).collect());
        } else if !done.contains(&next) {
            let pending = needs(&next);
            path.push((next, pending));
        }
    }
    found
}

fn show(report: &mut Report<'_>, cycle: &[StepId], edges: &Edges) {
    let [.., last, first] = cycle else {
        return;
    };
    let Some(span) = edges.get(last).and_then(|needs| needs.get(first)) else {
        return;
    };
    let path: Vec<_> = cycle.iter().map(|step| format!("`{step}`")).collect();
    let message = match cycle {
        [only, _] => format!("`{only}` needs itself"),
        _ => format!("steps need each other in a circle: {}", path.join(" → ")),
    };
    report
        .at(ErrorSite::Span(span.clone()), message)
        .label("this closes the circle")
        .help("remove one of these needs or references");
}
