//! Reads `[secret.*]` values when a step uses them, and has them masked from then on. Sees whether one has changed since.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{Cx, Steps, container::templates};
use crate::{
    config::{
        self, Command, Config, KeyPath, Part, SecretSource, Service, StepId, StepKind, Template,
    },
    event::{Events, Explain, Fault, FaultClass},
    plan::Reason,
    runtime::Runtime,
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
    let secret = config
        .secret
        .get(name)
        .expect("checked when the file was read: the secret exists");
    match (&secret.source, look(name, &secret.source, root)) {
        (_, Some(value)) => value,
        (SecretSource::Command(command), None) => run(name, command, root).await,
        (SecretSource::Env(_) | SecretSource::File(_), None) => {
            unreachable!("only a command has to be run")
        }
    }
}

/// The value as far as a look tells it; `None` for a command.
fn look(name: &str, source: &SecretSource, root: &Path) -> Option<Result<String, Fault>> {
    match source {
        SecretSource::Env(variable) => Some(config::variable(root, variable).ok_or_else(|| {
            unreadable(
                name,
                format!("environment variable `{variable}` is not set"),
                "set it in the shell or in `.env`",
            )
        })),
        SecretSource::File(path) => Some(
            read_file(root, path)
                .map_err(|error| unreadable(name, format!("`{path}`: {error}"), "create the file")),
        ),
        SecretSource::Command(_) => None,
    }
}

/// Why the secret cannot be read, as far as a look tells.
pub(super) fn absent(name: &str, config: &Config, root: &Path) -> Option<Fault> {
    let source = &config.secret.get(name)?.source;
    look(name, source, root)?.err()
}

async fn run(name: &str, command: &Command, root: &Path) -> Result<String, Fault> {
    let mut spawn = Spawn::new(command.argv());
    spawn.cwd = Some(root.to_owned());
    let output = spawn
        .output()
        .await
        .map_err(|error| unreadable(name, error.to_string(), "check the command"))?;
    if !output.status.success() {
        // The output may hold a part of the secret: only stderr is shown.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().last().unwrap_or("no message").to_owned();
        let why = format!("`{command}` ended with {}: {last}", output.status);
        return Err(unreadable(name, why, "run the command by hand"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(name: &str, why: String, help: &str) -> Fault {
    Fault::new(format!("cannot read secret `{name}`"))
        .class(FaultClass::Environment)
        .at_key(KeyPath::of(["secret", name]))
        .label(why)
        .help(help)
}

fn read_file(root: &Path, path: &str) -> io::Result<String> {
    let text = fs::read_to_string(root.join(path))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Steps {
    /// Masks what these steps may print of the secrets they were given: their values as they are now, as far as a look tells them, and
    /// as each was started with them.
    pub async fn mask_secrets(&self, ids: &[StepId]) {
        let declared = self.config.secret.keys().cloned().collect();
        for value in observed(declared, &self.config, &self.root).values() {
            self.events.mask(value);
        }
        let Ok(runtime) = self.runtime() else { return };
        for id in ids {
            let service = match id.kind {
                StepKind::Service => self.config.service.get(&id.name),
                StepKind::App => self.config.app.get(&id.name).map(|app| &app.service),
                _ => None,
            };
            let Some(service) =
                service.filter(|service| !used(service.env.values(), &self.config).is_empty())
            else {
                continue;
            };
            let environment = runtime.environment(id).await.unwrap_or_default();
            for (name, template) in &service.env {
                if let Some(value) = environment.get(name)
                    && !used([template], &self.config).is_empty()
                {
                    let secret = secret_part(template, value).unwrap_or(value);
                    self.events.mask(secret);
                }
            }
        }
    }
}

/// What of a variable's value is the secret: without the plain text around it, or the password of a URL.
fn secret_part<'v>(template: &Template, value: &'v str) -> Option<&'v str> {
    let is_plain = |part: &&Part| matches!(part, Part::Text(_));
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field { .. } | Part::Secret { .. } => String::new(),
    };
    let before: String = template
        .parts
        .iter()
        .take_while(is_plain)
        .map(text)
        .collect();
    let after = template.parts.iter().rev().take_while(is_plain).map(text);
    let after: String = after.collect::<Vec<_>>().into_iter().rev().collect();
    let value = value.strip_prefix(&before)?.strip_suffix(&after)?;
    let password = value.split_once("://").and_then(|(_, rest)| {
        let (login, _) = rest.split_once('@')?;
        Some(login.split_once(':')?.1)
    });
    Some(password.unwrap_or(value))
}

/// Values of these secrets, as far as a look tells them: a command is not run for that.
fn observed(names: BTreeSet<String>, config: &Config, root: &Path) -> BTreeMap<String, String> {
    let values = names.into_iter().filter_map(|name| {
        let value = match &config.secret.get(&name)?.source {
            SecretSource::Env(variable) => config::variable(root, variable)?,
            SecretSource::File(path) => read_file(root, path).ok()?,
            SecretSource::Command(_) => return None,
        };
        Some((name, value))
    });
    values.collect()
}

impl Cx<'_> {
    /// Values of these secrets, as far as a look tells them: a command is not run for that, and what is missing now is for the
    /// start to complain about.
    pub(super) fn observed_secrets(&self, names: BTreeSet<String>) -> BTreeMap<String, String> {
        observed(names, self.config(), &self.steps.root)
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
        used(templates(service), self.config())
    }
}

/// Names of the secrets whose values these templates come to, also as a database's password.
pub(super) fn used<'t>(
    templates: impl IntoIterator<Item = &'t Template>,
    config: &Config,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for template in templates {
        all.extend(names([template]));
        for part in &template.parts {
            if let Part::Field { step, field } = part
                && step.kind == StepKind::Postgres
                && matches!(field.as_str(), "url" | "password")
                && let Some(postgres) = config.postgres.get(&step.name)
            {
                all.extend(names([&postgres.password]));
            }
        }
    }
    all
}
