//! Reads `[secret.*]` values when a step uses them, and has them masked from then on. Sees whether one has changed since.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{Cx, container::templates};
use crate::{
    config::{self, Config, KeyPath, Part, SecretSource, Service, StepKind, Template},
    event::{Events, Explain, Fault, FaultClass},
    plan::Reason,
    sys::process::Spawn,
};

/// Names of the secrets these templates hold.
pub fn names<'t>(templates: impl IntoIterator<Item = &'t Template>) -> BTreeSet<String> {
    let names = templates.into_iter().flat_map(Template::secrets);
    names.map(str::to_owned).collect()
}

/// The values of these secrets, by name.
pub async fn read(
    names: BTreeSet<String>,
    config: &Config,
    root: &Path,
    events: &Events,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut values = BTreeMap::new();
    for name in names {
        let value = read_one(&name, config, root).await?;
        events.mask(&value);
        values.insert(name, value);
    }
    Ok(values)
}

async fn read_one(name: &str, config: &Config, root: &Path) -> Result<String, Fault> {
    let site = KeyPath::of(["secret", name]);
    let fail = |why: String, help: &str| {
        Fault::new(format!("cannot read secret `{name}`"))
            .class(FaultClass::Environment)
            .at_key(site.clone())
            .label(why)
            .help(help)
    };
    let secret = config
        .secret
        .get(name)
        .expect("checked when the file was read: the secret exists");
    match &secret.source {
        SecretSource::Env(variable) => config::variable(root, variable).ok_or_else(|| {
            fail(
                format!("environment variable `{variable}` is not set"),
                "set it in the shell or in `.env`",
            )
        }),
        SecretSource::File(path) => read_file(root, path)
            .map_err(|error| fail(format!("`{path}`: {error}"), "create the file")),
        SecretSource::Command(command) => {
            let mut spawn = Spawn::new(command.argv());
            spawn.cwd = Some(root.to_owned());
            let output = spawn
                .output()
                .await
                .map_err(|error| fail(error.to_string(), "check the command"))?;
            if !output.status.success() {
                // The output may hold a part of the secret: only stderr is shown.
                let stderr = String::from_utf8_lossy(&output.stderr);
                let last = stderr.lines().last().unwrap_or("no message").to_owned();
                return Err(fail(
                    format!("`{command}` ended with {}: {last}", output.status),
                    "run the command by hand",
                ));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

fn read_file(root: &Path, path: &str) -> io::Result<String> {
    let text = fs::read_to_string(root.join(path))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Cx<'_> {
    /// Values of these secrets, as far as a look tells them: a command is not run for that, and what is missing now is for the
    /// start to complain about.
    pub(super) fn observed_secrets(&self, names: BTreeSet<String>) -> BTreeMap<String, String> {
        let root = &self.steps.root;
        let values = names.into_iter().filter_map(|name| {
            let value = match &self.config().secret.get(&name)?.source {
                SecretSource::Env(variable) => config::variable(root, variable)?,
                SecretSource::File(path) => read_file(root, path).ok()?,
                SecretSource::Command(_) => return None,
            };
            Some((name, value))
        });
        values.collect()
    }

    /// One reason for each of these secrets that has another value than at the step's last start.
    pub(super) fn changed_secrets(&self, names: BTreeSet<String>) -> Vec<Reason> {
        let now = self.observed_secrets(names);
        let changed = self.steps.store.changed_secrets(self.id(), &now);
        let reason = |name| Reason::Secret { name };
        changed.into_iter().map(reason).collect()
    }

    pub(super) fn remember_secrets(&self, values: &BTreeMap<String, String>) -> Result<(), Fault> {
        self.steps
            .store
            .save_secrets(self.id(), values)
            .map_err(|error| error.explain())
    }

    pub(super) fn warn_of_build_secrets<'n>(&self, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            self.events.notice(format!(
                "secret `{name}` is a build argument: whoever has the image can read it there"
            ));
        }
    }

    /// Names of the secrets whose values end up in its environment or command line, also as a database's password.
    pub(super) fn secrets_of(&self, service: &Service) -> BTreeSet<String> {
        let mut all = names(templates(service));
        let parts = templates(service).flat_map(|template| &template.parts);
        for part in parts {
            if let Part::Field { step, field } = part
                && step.kind == StepKind::Postgres
                && matches!(field.as_str(), "url" | "password")
                && let Some(postgres) = self.config().postgres.get(&step.name)
            {
                all.extend(names([&postgres.password]));
            }
        }
        all
    }
}
