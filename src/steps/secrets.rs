//! Reads `[secret.*]` values when a step uses them, and has them masked from then on. Sees whether one has changed since.
//!
//! To see that, no command is run: of one that gives the password of a database, the database's own step has run it before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;

use super::{
    Cx, Steps,
    address::{self, Viewpoint},
    container::templates,
};
use crate::{
    config::{
        self, Build, Command, Config, KeyPath, SecretSource, Service, StepId, StepKind, Template,
    },
    event::{Explain, Fault, FaultClass},
    plan::{Reason, secrets_used},
    runtime::Runtime,
    sys::process::Spawn,
};

/// Name of a secret → its value.
type Values = BTreeMap<String, String>;

/// What the commands of secrets have given: each is run once, so that all steps of a run get the same value.
#[derive(Default)]
pub struct Given(Mutex<BTreeMap<String, Arc<OnceCell<String>>>>);

impl Given {
    fn cell(&self, name: &str) -> Arc<OnceCell<String>> {
        let mut cells = self.0.lock().expect("no one panics while holding it");
        cells.entry(name.to_owned()).or_default().clone()
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.cell(name).get().cloned()
    }
}

/// Names of the secrets these templates hold.
pub fn names<'t>(templates: impl IntoIterator<Item = &'t Template>) -> BTreeSet<String> {
    let names = templates.into_iter().flat_map(Template::secrets);
    names.map(str::to_owned).collect()
}

/// The values of these secrets, by name.
pub async fn read(names: BTreeSet<String>, steps: &Steps) -> Result<Values, Fault> {
    let mut values = Values::new();
    for name in names {
        let value = read_one(&name, steps).await?;
        steps.events.mask(&value);
        values.insert(name, value);
    }
    Ok(values)
}

async fn read_one(name: &str, steps: &Steps) -> Result<String, Fault> {
    let (config, root) = (&steps.config, &steps.root);
    let secret = config
        .secret
        .get(name)
        .expect("checked when the file was read: the secret exists");
    match (&secret.source, look(name, &secret.source, root)) {
        (_, Some(value)) => value,
        (SecretSource::Command(command), None) => {
            let cell = steps.given.cell(name);
            let value = cell.get_or_try_init(|| run(name, command, root)).await?;
            Ok(value.clone())
        }
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

/// All texts of the step's table that a secret may be in.
pub(super) fn templates_of<'c>(id: &StepId, config: &'c Config) -> Vec<&'c Template> {
    let name = &id.name;
    match id.kind {
        StepKind::App => config
            .app
            .get(name)
            .map(|app| templates(&app.service).collect()),
        StepKind::Service => config
            .service
            .get(name)
            .map(|service| templates(service).collect()),
        StepKind::Postgres => config
            .postgres
            .get(name)
            .map(|postgres| vec![&postgres.password]),
        StepKind::Task => config
            .task
            .get(name)
            .map(|task| task.env.values().collect()),
        StepKind::Smoke => config
            .smoke
            .get(name)
            .map(|smoke| smoke.templates().collect()),
        StepKind::Build => config.app.get(name).map(|app| match &app.build {
            Build::Host(build) => build.env.values().collect(),
            Build::Dockerfile(build) => build.args.values().collect(),
        }),
        StepKind::Image => {
            let dockerfile = config
                .image
                .get(name)
                .and_then(|image| image.dockerfile.as_ref());
            dockerfile.map(|build| build.args.values().collect())
        }
        StepKind::Migrate
        | StepKind::Lint
        | StepKind::Toolchain
        | StepKind::Proto
        | StepKind::Ci => None,
    }
    .unwrap_or_default()
}

/// Why the secret cannot be read, as far as a look tells.
fn absent(name: &str, config: &Config, root: &Path) -> Option<Fault> {
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

/// Values of these secrets, as far as a look tells them: a command is not run for that.
pub(super) fn observed(names: BTreeSet<String>, config: &Config, root: &Path) -> Values {
    let values = names.into_iter().filter_map(|name| {
        let source = &config.secret.get(&name)?.source;
        let value = look(&name, source, root)?.ok()?;
        Some((name, value))
    });
    values.collect()
}

fn reasons(changed: impl IntoIterator<Item = String>) -> Vec<Reason> {
    let reason = |name| Reason::Secret { name };
    changed.into_iter().map(reason).collect()
}

impl Steps {
    /// Why each secret of the step that cannot be read cannot, as far as a look tells.
    pub(super) fn absent_secrets(&self, id: &StepId) -> Vec<Fault> {
        let names = secrets_used(templates_of(id, &self.config), &self.config).into_iter();
        names
            .filter_map(|name| absent(&name, &self.config, &self.root))
            .collect()
    }

    /// As [`Steps::absent_secrets`], once for all of these steps, with those that it is of.
    pub fn absent_secrets_of<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i StepId>,
    ) -> Vec<(Fault, Vec<&'i StepId>)> {
        let mut all: Vec<(Fault, Vec<&StepId>)> = Vec::new();
        for id in ids.into_iter().filter(|id| !self.has_no_use_for(id)) {
            for fault in self.absent_secrets(id) {
                match all.iter_mut().find(|(known, _)| *known == fault) {
                    Some((_, ids)) => ids.push(id),
                    None => all.push((fault, vec![id])),
                }
            }
        }
        all
    }
}

impl Cx<'_> {
    /// Values of these secrets, as far as a look tells them, and the password of a database that comes first. No command is run
    /// for that, and what is missing now is for the start to complain about.
    pub(super) fn observed_secrets(&self, names: BTreeSet<String>) -> Values {
        let given = self.passwords_before().into_iter().filter_map(|name| {
            let value = self.steps.given.value(&name)?;
            names.contains(&name).then_some((name, value))
        });
        let given: Values = given.collect();
        let mut values = observed(names, self.config(), &self.steps.root);
        values.extend(given);
        values
    }

    /// Names of the secrets that databases up to this step have as passwords. What other steps have read is left out: whether they
    /// did so before this one is chance.
    fn passwords_before(&self) -> BTreeSet<String> {
        let up_to_here = self.steps.plan.graph().closure([self.id().clone()]);
        let databases = up_to_here
            .iter()
            .filter(|id| id.kind == StepKind::Postgres)
            .filter_map(|id| self.config().postgres.get(&id.name));
        names(databases.map(|postgres| &postgres.password))
    }

    /// One reason for each of these secrets that has another value than at the step's last start.
    pub(super) fn changed_secrets(&self, names: BTreeSet<String>) -> Vec<Reason> {
        let now = self.observed_secrets(names);
        let changed = self.steps.store.changed_secrets(self.id(), &now);
        reasons(changed)
    }

    /// As [`Cx::changed_secrets`], for what the variables of its container tell: of secrets whose value at its start is not known
    /// otherwise. `service` is what it was started from.
    pub(super) async fn secrets_changed_since_start(
        &self,
        service: &Service,
    ) -> Result<Vec<Reason>, Fault> {
        let now = self.observed_secrets(self.secrets_of(service));
        let mut unknown = now.clone();
        for name in self.steps.store.sealed_secrets(self.id()) {
            unknown.remove(&name);
        }
        let wanted = service.env.iter().filter_map(|(variable, template)| {
            let mut secrets = secrets_used([template], self.config());
            secrets.retain(|name| unknown.contains_key(name));
            let text = address::resolve(template, self.config(), &Viewpoint::Container, &now);
            let text = text.ok().filter(|_| !secrets.is_empty())?;
            Some((variable, text, secrets))
        });
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // What is gone meanwhile is for the start to see.
        let had = self.steps.runtime()?.made_with(self.id()).await;
        let had = had.unwrap_or_default().environment;
        let differs = wanted
            .into_iter()
            .filter(|(variable, text, _)| had.get(*variable).is_some_and(|had| had != text));
        let changed: BTreeSet<_> = differs.flat_map(|(_, _, secrets)| secrets).collect();
        Ok(reasons(changed))
    }

    pub(super) fn remember_secrets(&self, values: &Values) -> Result<(), Fault> {
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
        secrets_used(templates(service), self.config())
    }
}
