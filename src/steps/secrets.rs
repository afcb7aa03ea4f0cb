//! Reads `[secret.*]` values when a step uses them, and has them masked from then on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{
    config::{self, Config, KeyPath, SecretSource, Template},
    event::{Events, Fault, FaultClass},
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
        SecretSource::File(path) => fs::read_to_string(root.join(path))
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
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
