//! Masks what a program may print of the secrets it was given: as they are now, and as they were when it was made, whatever the file
//! says of it today.

mod split;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use self::split::{Gap, split};
use super::{Steps, secrets::observed};
use crate::{
    config::{Config, Part, StepId, StepKind, Template},
    event,
    plan::{Input, Inputs},
    runtime::{MadeWith, Runtime},
};

/// Names of the secrets that are too short to be masked, as far as a look tells.
pub fn too_short_secrets(config: &Config, root: &Path) -> BTreeSet<String> {
    let now = observed(config.secret.keys().cloned().collect(), config, root);
    let short = now
        .into_iter()
        .filter(|(_, value)| event::is_too_short(value));
    short.map(|(name, _)| name).collect()
}

impl Steps {
    /// As [`too_short_secrets`], with what commands have given in this run.
    pub fn too_short_secrets(&self) -> BTreeSet<String> {
        let mut names = too_short_secrets(&self.config, &self.root);
        let given = self.config.secret.keys().filter(|name| {
            let value = self.given.value(name);
            value.is_some_and(|value| event::is_too_short(&value))
        });
        names.extend(given.cloned());
        names
    }

    /// Masks what these steps may print of the secrets they were given.
    pub async fn mask_secrets(&self, ids: &[StepId]) {
        self.mask_present();
        let Ok(runtime) = self.runtime() else { return };
        for id in ids {
            // What is not there has printed nothing.
            if let Ok(with) = runtime.made_with(id).await {
                self.mask_given(id, &with);
            }
        }
    }

    /// Masks what the step may print when it was made with this.
    pub fn mask_made_with(&self, id: &StepId, with: &MadeWith) {
        // What it was made from may be newer than what was masked at first.
        self.mask_present();
        self.mask_given(id, with);
    }

    /// All secrets as they are now, as far as a look tells them.
    fn mask_present(&self) {
        let declared = self.config.secret.keys().cloned().collect();
        for value in observed(declared, &self.config, &self.root).values() {
            self.events.mask(value);
        }
    }

    fn mask_given(&self, id: &StepId, with: &MadeWith) {
        let passwords = Passwords::of(&with.inputs);
        for (name, template) in self.given(id, &with.inputs) {
            let Some(value) = with.environment.get(&name) else {
                continue;
            };
            let gap = |part: &Part| passwords.gap(part, &self.config);
            let references = template.parts.iter().filter_map(gap);
            if references.clone().all(|gap| gap == Gap::Open) {
                continue;
            }
            let names = template.secrets().map(str::to_owned).collect();
            let known = observed(names, &self.config, &self.root);
            for secret in split(&template, value, &known, gap) {
                self.events.mask(secret);
            }
        }
    }

    /// The variables it was given, as the file had them then; as it has them now when that is not known.
    fn given(&self, id: &StepId, inputs: &Inputs) -> BTreeMap<String, Template> {
        if inputs.0.is_empty() {
            let service = self.service(id);
            return service.map(|s| s.env.clone()).unwrap_or_default();
        }
        let variables = inputs.0.iter().filter_map(|(field, input)| match input {
            Input::Text(text) => {
                let name = field.strip_prefix("env.")?;
                Some((name.to_owned(), Template::shown(text)))
            }
            Input::Content(_) | Input::Absent => None,
        });
        variables.collect()
    }
}

/// Whether passwords of databases are secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passwords {
    /// One was when it was made: a secret is among its inputs that none of its texts names.
    Secret,
    /// The file of today tells.
    AsInFile,
}

impl Passwords {
    fn of(inputs: &Inputs) -> Self {
        let names = |name: &str| {
            let reference = format!("${{secret.{name}}}");
            let mut inputs = inputs.0.values();
            inputs.any(|input| matches!(input, Input::Text(text) if text.contains(&reference)))
        };
        let mut secrets = (inputs.0.keys()).filter_map(|field| field.strip_prefix("secret."));
        match secrets.any(|secret| !names(secret)) {
            true => Self::Secret,
            false => Self::AsInFile,
        }
    }

    /// What a reference hides; `None` for plain text.
    fn gap(self, part: &Part, config: &Config) -> Option<Gap> {
        let (step, field) = match part {
            Part::Text(_) => return None,
            Part::Secret { .. } => return Some(Gap::Secret),
            Part::Field { step, field } => (step, field.as_str()),
        };
        let postgres = config.postgres.get(&step.name);
        let is_secret = step.kind == StepKind::Postgres
            && (self == Self::Secret
                || postgres.is_some_and(|p| p.password.secrets().next().is_some()));
        Some(match field {
            "password" if is_secret => Gap::Secret,
            "url" if is_secret => Gap::Url,
            _ => Gap::Open,
        })
    }
}
