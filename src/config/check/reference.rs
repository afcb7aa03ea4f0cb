//! Every mention of a step, field or secret names one that the file declares.
//!
//! Works on the keys of the file alone, so that these errors are found beside errors in the tables' values.

use super::Report;
use crate::config::{
    ErrorSite, KeyPath, ParseStepIdError, StepId, StepKind,
    decode::{Rule, VolumeName},
    interpolate::{Reference, Target},
    source::Source,
    suggest,
};

const POSTGRES_FIELDS: [&str; 6] = ["url", "host", "port", "user", "password", "database"];
/// CI services that there is a table for.
const CI_SERVICES: [&str; 2] = ["github", "gitlab"];
/// More names than this help nobody.
const LISTED: usize = 12;

/// Returns those that are right: only they can be part of a circle.
pub(in crate::config) fn references<'r>(
    report: &mut Report<'_>,
    references: &'r [Reference],
) -> Vec<&'r Reference> {
    let is_right = |reference: &&Reference| {
        let before = report.errors.len();
        match &reference.target {
            Target::Step(id) => step(report, reference, id),
            Target::Field { step, field } if exists(report.source, step) => {
                known_field(report, reference, step, field);
            }
            Target::Field { step, .. } => unknown_step(report, reference, step),
            Target::Secret(name) => secret(report, reference, name),
            Target::Bare(text) => bare(report, reference, text),
        }
        report.errors.len() == before
    };
    references.iter().filter(is_right).collect()
}

fn step(report: &mut Report<'_>, reference: &Reference, id: &StepId) {
    if !exists(report.source, id) {
        unknown_step(report, reference, id);
    } else if is_database(reference) && id.kind != StepKind::Postgres {
        let span = ErrorSite::Span(reference.span.clone());
        report
            .at(span, format!("`{id}` is not a Postgres"))
            .label("expected such as `postgres.db`");
    }
}

/// Only a Postgres can stand there.
fn is_database(reference: &Reference) -> bool {
    matches!(&reference.at.0[..], [kind, _, key] if kind == "migrate" && key == "postgres")
}

/// Not `kind.name`: the step with this name is meant, or the kind is misspelt.
fn bare(report: &mut Report<'_>, reference: &Reference, text: &str) {
    let steps = declared(report.source);
    let is_named = |step: &&String| {
        step.split_once('.').is_some_and(|(kind, name)| {
            name == text && (!is_database(reference) || kind == "postgres")
        })
    };
    let named: Vec<_> = steps.iter().filter(is_named).collect();
    let kinds = StepKind::ALL.map(StepKind::as_str);
    let kind = text.split('.').next().unwrap_or(text);
    let near = suggest::nearest(kind, kinds).filter(|near| *near != kind);
    let error = report.at(
        ErrorSite::Span(reference.span.clone()),
        ParseStepIdError(text.to_owned()).to_string(),
    );
    match (named.as_slice(), near) {
        ([], Some(near)) => {
            error.label(format!("did you mean `{}`?", text.replacen(kind, near, 1)))
        }
        ([], None) => error.help(format!("kinds are {}", suggest::list(&kinds, "and"))),
        (named, _) => error.label(format!("did you mean {}?", suggest::list(named, "or"))),
    };
}

fn exists(source: &Source, id: &StepId) -> bool {
    is_step(id) && source.contains(&id.key_path())
}

/// Of `[ci]` only the tables of services are steps.
fn is_step(id: &StepId) -> bool {
    id.kind != StepKind::Ci || CI_SERVICES.contains(&id.name.as_str())
}

fn unknown_step(report: &mut Report<'_>, reference: &Reference, id: &StepId) {
    let steps = declared(report.source);
    let (text, near) = (id.to_string(), |id: &str| match reference.target {
        Target::Field { ref field, .. } => format!("did you mean `${{{id}.{field}}}`?"),
        Target::Step(_) | Target::Secret(_) | Target::Bare(_) => format!("did you mean `{id}`?"),
    });
    let error = report.at(
        ErrorSite::Span(reference.span.clone()),
        format!("`{id}` is not in the file"),
    );
    let same_kind: Vec<_> = steps
        .iter()
        .filter(|step| step.starts_with(&format!("{}.", id.kind)))
        .cloned()
        .collect();
    if let Some(name) = suggest::nearest(&text, steps.iter().map(String::as_str)) {
        error.label(near(name));
    } else if !same_kind.is_empty() && same_kind.len() <= LISTED {
        error.help(format!("there is {}", suggest::list(&same_kind, "and")));
    } else {
        error.help(format!("add a table `[{}]`", id.key_path()));
    }
}

/// All steps the file declares.
fn declared(source: &Source) -> Vec<String> {
    let mut steps = Vec::new();
    for kind in StepKind::ALL {
        let table = match kind {
            StepKind::Build => "app",
            StepKind::Lint => "migrate",
            _ => kind.as_str(),
        };
        let names = source.keys_of(&KeyPath::of([table]));
        let ids = names.map(|name| StepId::new(kind, name));
        steps.extend(ids.filter(is_step).map(|id| id.to_string()));
    }
    steps
}

fn known_field(report: &mut Report<'_>, reference: &Reference, id: &StepId, field: &str) {
    let fields = fields(report.source, id);
    if fields.iter().any(|known| known == field) {
        return;
    }
    let error = report.at(
        ErrorSite::Span(reference.span.clone()),
        format!("`{id}` has no field `{field}`"),
    );
    if let Some(near) = suggest::nearest(field, fields.iter().map(String::as_str)) {
        error.label(format!("did you mean `${{{id}.{near}}}`?"));
    } else if fields.is_empty() {
        error.help("only postgres, service and app have fields to refer to");
    } else {
        error.help(format!("its fields are {}", suggest::list(&fields, "and")));
    }
    if field == "url" && id.kind != StepKind::Postgres {
        error.help("`url` needs a port named `http`");
    }
}

fn fields(source: &Source, id: &StepId) -> Vec<String> {
    match id.kind {
        StepKind::Postgres => POSTGRES_FIELDS.map(str::to_owned).to_vec(),
        StepKind::Service | StepKind::App => {
            let ports: Vec<_> = source.keys_of(&id.key_path().join("ports")).collect();
            let mut fields = vec!["host".to_owned()];
            if ports.contains(&"http") {
                fields.push("url".into());
            }
            if ports.len() == 1 {
                fields.extend(["port".into(), "listen".into()]);
            }
            for port in ports {
                fields.extend([format!("port.{port}"), format!("listen.{port}")]);
            }
            fields.extend(volumes(source, id).map(|name| format!("volume.{name}")));
            fields
        }
        StepKind::Toolchain
        | StepKind::Proto
        | StepKind::Image
        | StepKind::Build
        | StepKind::Migrate
        | StepKind::Lint
        | StepKind::Task
        | StepKind::Smoke
        | StepKind::Ci => Vec::new(),
    }
}

/// Names of a step's volumes: the values that are no paths.
fn volumes<'s>(source: &'s Source, id: &StepId) -> impl Iterator<Item = &'s str> {
    let at = id.key_path().join("volumes");
    source.keys_of(&at).filter_map(move |target| {
        let place = source.value(&at.join(target))?;
        let text = source.text.get(place.span)?;
        let name = text.trim_matches(['"', '\'']);
        VolumeName::check(name).is_ok().then_some(name)
    })
}

fn secret(report: &mut Report<'_>, reference: &Reference, name: &str) {
    if report.source.contains(&KeyPath::of(["secret", name])) {
        return;
    }
    let source = report.source;
    let secrets: Vec<_> = source.keys_of(&KeyPath::of(["secret"])).collect();
    let error = report.at(
        ErrorSite::Span(reference.span.clone()),
        format!("there is no secret `{name}`"),
    );
    match suggest::nearest(name, secrets) {
        Some(near) => error.label(format!("did you mean `${{secret.{near}}}`?")),
        None => error.help(format!(
            "add a table `[secret.{name}]` with `env`, `file` or `command`"
        )),
    };
}
