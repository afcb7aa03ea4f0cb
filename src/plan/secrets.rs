//! Which secrets the texts of a step come to, and what the file says of where each is had. Never a value.

use std::collections::BTreeSet;

use super::{Digest, Inputs};
use crate::config::{Config, Part, SecretSource, StepKind, Template};

/// Names of the secrets whose values these templates come to, also as a database's password.
pub fn secrets_used<'t>(
    templates: impl IntoIterator<Item = &'t Template>,
    config: &Config,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for template in templates {
        all.extend(template.secrets().map(str::to_owned));
        for part in &template.parts {
            if let Part::Field { step, field } = part
                && step.kind == StepKind::Postgres
                && matches!(field.as_str(), "url" | "password")
                && let Some(postgres) = config.postgres.get(&step.name)
            {
                all.extend(postgres.password.secrets().map(str::to_owned));
            }
        }
    }
    all
}

/// `secret.NAME` → where it is had, for each secret that these templates come to.
pub(super) fn sources<'t>(
    templates: impl IntoIterator<Item = &'t Template>,
    config: &Config,
) -> Inputs {
    let mut sources = Inputs::default();
    for name in secrets_used(templates, config) {
        let Some(secret) = config.secret.get(&name) else {
            continue;
        };
        let field = format!("secret.{name}");
        match &secret.source {
            SecretSource::Env(variable) => sources.text(field, format!("env {variable}")),
            SecretSource::File(path) => sources.text(field, format!("file {path}")),
            // Its words may say more than a name.
            SecretSource::Command(command) => {
                sources.content(field, Digest::of(command.argv().join("\0")))
            }
        };
    }
    sources
}
