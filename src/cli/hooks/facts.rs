//! What a check depends on besides the files of its tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, SecretSource, ToolSource},
    sys::{
        platform,
        process::find_program,
        remembered::{file_stamp, program_stamp},
    },
};

/// Bumped when a pass of an earlier devenv says too little.
const SCHEMA: u32 = 1;

/// What has to be looked up to know whether a pass still holds: all of it is known once devenv.toml was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// Names of environment variables that the file mentions.
    pub variables: BTreeSet<String>,
    /// Programs that are found on PATH.
    pub programs: BTreeSet<String>,
}

/// What was found. Values are digests under the pass' own key, since some are secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    schema: u32,
    devenv: String,
    platform: String,
    variables: BTreeMap<String, Option<String>>,
    programs: BTreeMap<String, Option<String>>,
    /// The checkout's `.env`.
    dotenv: String,
}

impl Needed {
    pub fn of(config: &Config) -> Self {
        let secrets = config.secret.values();
        let secrets = secrets.filter_map(|secret| match &secret.source {
            SecretSource::Env(name) => Some(name.clone()),
            SecretSource::File(_) | SecretSource::Command(_) => None,
        });
        let system = |(name, tool): (&String, &crate::config::Tool)| match tool.from {
            ToolSource::System | ToolSource::Apt => {
                Some(tool.command.as_ref().unwrap_or(name).clone())
            }
            // The lock, a file of the tree, says which.
            ToolSource::Http | ToolSource::Cargo | ToolSource::Pip => None,
        };
        Self {
            variables: mentioned(&config.source.text).chain(secrets).collect(),
            programs: config.toolchain.iter().filter_map(system).collect(),
        }
    }
}

impl Facts {
    /// As they are now. `project` is its folder in the checkout, `None` when there is no checkout.
    pub fn find(needed: &Needed, project: Option<&Path>, key: &[u8; 32]) -> Self {
        let digest = |bytes: &[u8]| blake3::keyed_hash(key, bytes).to_hex().to_string();
        let variable = |name: &String| {
            let value = std::env::var_os(name);
            let value = value.map(|value| digest(value.as_encoded_bytes()));
            (name.clone(), value)
        };
        let dotenv = project.and_then(|project| std::fs::read(project.join(".env")).ok());
        Self {
            schema: SCHEMA,
            devenv: env!("CARGO_PKG_VERSION").to_owned(),
            platform: platform::current(),
            variables: needed.variables.iter().map(variable).collect(),
            programs: needed.programs.iter().map(|name| program(name)).collect(),
            dotenv: dotenv.map_or_else(String::new, |bytes| digest(&bytes)),
        }
    }

    /// What to look up for comparing.
    pub fn needed(&self) -> Needed {
        Needed {
            variables: self.variables.keys().cloned().collect(),
            programs: self.programs.keys().cloned().collect(),
        }
    }
}

fn program(name: &str) -> (String, Option<String>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = find_program(name, &path, Path::new("/"));
    let stamp = found.map(|path| {
        let stamp = program_stamp(&path).unwrap_or_else(|| file_stamp(&path));
        format!("{} {stamp}", path.display())
    });
    (name.to_owned(), stamp)
}

/// Names after `${env.`, also where it turns out to be no reference: one too many costs nothing.
fn mentioned(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split("${env.").skip(1).map(move |rest| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest[..end].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_wherever_they_stand() {
        let text = "a = \"${env.ONE:-${env.TWO}}\" # ${env.THREE}\n${env.";
        let names: Vec<_> = mentioned(text).collect();
        assert_eq!(names, ["ONE", "TWO", "THREE", ""]);
    }

    #[test]
    fn another_value_program_or_dotenv_is_another_fact() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = [7; 32];
        let needed = Needed {
            variables: ["PATH".to_owned(), "DEVENV_TEST_UNSET".to_owned()].into(),
            programs: ["sh".to_owned(), "no-such-program".to_owned()].into(),
        };
        let find = || Facts::find(&needed, Some(dir.path()), &key);
        let facts = find();
        assert_eq!(facts, find());
        assert_eq!(facts.needed(), needed);
        assert_eq!(facts.variables["DEVENV_TEST_UNSET"], None);
        assert_eq!(facts.programs["no-such-program"], None);
        let json = serde_json::to_string(&facts).expect("plain data");
        let path = std::env::var("PATH").expect("a PATH");
        assert!(!json.contains(&path), "{json}");

        std::fs::write(dir.path().join(".env"), "A=1").expect("written");
        assert_ne!(facts, find());
        assert_ne!(facts, Facts::find(&needed, None, &[8; 32]));
    }
}
