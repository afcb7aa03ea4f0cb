//! The facts of a plan as lines of a generated file, so that a machine with another plan can say which fact differs.
//!
//! A line is the start of a digest, the step and the field; no value is shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use crate::{
    config::Source,
    plan::{Digest, Plan, Step},
};

const HASH: &str = "# plan ";
const FACT: &str = "# fact ";
/// Digits of a digest: enough to tell two values of one field apart.
const DIGITS: usize = 8;

/// Step and field → start of the digest of its value.
type Facts = BTreeMap<(String, String), String>;

/// What a step, or the project, has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub step: String,
    /// `run`, `env.LEVEL (new)`, `file (gone)`
    pub fields: Vec<String>,
}

/// Such as "`task.lint`: run".
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.step, self.fields.join(", "))
    }
}

/// Lines for the end of a generated file.
pub fn lines(plan: &Plan, source: &Source) -> String {
    let facts = of_plan(plan, source).into_iter();
    let facts = facts.map(|((step, field), digest)| format!("{FACT}{digest} {step} {field}\n"));
    format!("{HASH}{}\n{}", plan.hash, facts.collect::<String>())
}

/// Where the plan differs from the one that the file was made from: empty where it does not. `None` when the file holds no plan.
pub fn differences(text: &str, plan: &Plan, source: &Source) -> Option<Vec<Difference>> {
    let (hash, then) = read(text)?;
    if hash == plan.hash.to_hex() {
        return Some(Vec::new());
    }
    let now = of_plan(plan, source);
    let keys: BTreeSet<_> = then.keys().chain(now.keys()).collect();
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for key in keys {
        let (step, field) = key;
        let what = match (then.get(key), now.get(key)) {
            (Some(then), Some(now)) if then == now => continue,
            (Some(_), Some(_)) => field.clone(),
            (None, _) => format!("{field} (new)"),
            (_, None) => format!("{field} (gone)"),
        };
        found.entry(step).or_default().push(what);
    }
    let found = found.into_iter().map(|(step, fields)| Difference {
        step: step.to_owned(),
        fields,
    });
    Some(found.collect())
}

fn of_plan(plan: &Plan, source: &Source) -> Facts {
    let mut facts = Facts::new();
    facts.insert(("project".into(), "name".into()), digest(&plan.project));
    for step in plan.steps.values() {
        facts.extend(of_step(step, source));
    }
    facts
}

fn of_step(step: &Step, source: &Source) -> Facts {
    let id = step.id.to_string();
    let fields = step.facts(source).0.into_iter();
    // The format of keys is the same for all, and the needs come below, with those that references make.
    let fields = fields.filter(|(field, _)| field != "schema" && !field.starts_with("needs."));
    let fields = fields.map(|(field, value)| {
        let value = serde_json::to_string(&value).expect("inputs are plain data");
        // One line each, whatever a file is called.
        let field = field.escape_debug().to_string();
        ((id.clone(), field), digest(&value))
    });
    let mut facts: Facts = fields.collect();
    if !step.needs.is_empty() {
        let needs: Vec<_> = step.needs.iter().map(ToString::to_string).collect();
        facts.insert((id, "needs".to_owned()), digest(&needs.join(" ")));
    }
    facts
}

fn digest(text: &str) -> String {
    format!("{:.DIGITS$}", Digest::of(text))
}

fn read(text: &str) -> Option<(&str, Facts)> {
    let mut lines = text.lines();
    let hash = lines.find_map(|line| line.strip_prefix(HASH))?;
    let facts = lines.filter_map(|line| {
        let (digest, rest) = line.strip_prefix(FACT)?.split_once(' ')?;
        let (step, field) = rest.split_once(' ')?;
        Some(((step.to_owned(), field.to_owned()), digest.to_owned()))
    });
    Some((hash, facts.collect()))
}
