//! One step being put together: its edges, and its definition as one field per leaf of its table.

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;
use serde_json::Value;

use super::{Digest, Inputs, Step};
use crate::{
    config::{StepId, Template},
    sys::paths::plain,
};

/// A step being put together.
pub struct Draft {
    pub step: Step,
}

impl Draft {
    pub fn new(id: StepId, table: &impl Serialize) -> Self {
        let value = serde_json::to_value(table).expect("tables of the file serialise");
        let mut definition = Inputs::default();
        flatten(&mut definition, String::new(), &value);
        Self {
            step: Step {
                kind: id.kind,
                site: id.key_path(),
                id,
                needs: BTreeSet::new(),
                feeds: BTreeSet::new(),
                definition,
                aside: Inputs::default(),
                writes: BTreeSet::new(),
            },
        }
    }

    /// Steps whose output is an input of this one.
    pub fn feeds(mut self, ids: impl IntoIterator<Item = StepId>) -> Self {
        for id in ids {
            self.step.needs.insert(id.clone());
            self.step.feeds.insert(id);
        }
        self
    }

    /// Steps that only have to come first.
    pub fn needs(mut self, ids: impl IntoIterator<Item = StepId>) -> Self {
        self.step.needs.extend(ids);
        self
    }

    /// A reference to a step's field is an edge to that step.
    pub fn references<'t>(self, templates: impl IntoIterator<Item = &'t Template>) -> Self {
        let id = self.step.id.clone();
        let steps: Vec<_> = templates
            .into_iter()
            .flat_map(Template::steps)
            .filter(|step| **step != id)
            .cloned()
            .collect();
        self.needs(steps)
    }

    /// Files and folders it writes.
    pub fn writes(mut self, paths: impl IntoIterator<Item: AsRef<Path>>) -> Self {
        self.step.writes.extend(paths.into_iter().map(plain));
        self
    }

    /// Adds to what its definition says.
    pub fn with(mut self, inputs: Inputs) -> Self {
        self.step.definition.0.extend(inputs.0);
        self
    }

    /// Fields whose change does not make the step another one.
    pub fn set_aside(&mut self, fields: &[&str]) {
        let all = std::mem::take(&mut self.step.definition.0);
        let (aside, definition) = all
            .into_iter()
            .partition(|(key, _)| fields.iter().any(|field| is_under(key, field)));
        self.step.definition.0 = definition;
        self.step.aside.0.extend(aside);
    }

    /// Takes over a field and all below it from another draft.
    pub fn copy_fields(&mut self, from: &Draft, field: &str) {
        let fields = from.step.definition.0.iter();
        self.step.definition.0.extend(
            fields
                .filter(|(key, _)| is_under(key, field))
                .map(|(key, value)| (format!("build.{key}"), value.clone())),
        );
    }

    pub fn hide_text(&mut self, field: &str, template: &Template) {
        let digest = Digest::of(template.to_string());
        self.step.definition.content(field, digest);
    }
}

fn is_under(key: &str, field: &str) -> bool {
    key.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// JSON as one field per leaf: `env.LOG_LEVEL`, `packages.0`. Nulls and empty containers are left out: absent and default are one.
fn flatten(inputs: &mut Inputs, prefix: String, value: &Value) {
    let join = |key: &str| match prefix.as_str() {
        "" => key.to_owned(),
        prefix => format!("{prefix}.{key}"),
    };
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                flatten(inputs, join(key), value);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(inputs, join(&index.to_string()), value);
            }
        }
        Value::String(text) => {
            inputs.text(prefix, text);
        }
        Value::Bool(_) | Value::Number(_) => {
            inputs.text(prefix, value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattens_to_one_field_per_leaf() {
        let mut inputs = Inputs::default();
        let value =
            serde_json::json!({ "env": { "A": "1" }, "list": ["x"], "none": null, "on": true });
        flatten(&mut inputs, String::new(), &value);
        let fields: Vec<_> = inputs.0.keys().map(String::as_str).collect();
        assert_eq!(fields, ["env.A", "list.0", "on"]);
    }

    #[test]
    fn a_field_name_is_no_prefix_of_its_neighbour() {
        assert!(is_under("ready.timeout", "ready"));
        assert!(!is_under("readyz", "ready"));
    }
}
