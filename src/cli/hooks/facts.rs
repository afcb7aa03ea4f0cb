//! What a check depends on besides the files of its tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, SecretSource, ToolSource},
    steps::CHOOSE_TOOLS,
    sys::{
        platform,
        process::find_program,
        remembered::{file_stamp, program_stamp},
    },
};

/// Settings and secrets for this machine.
pub const DOTENV: &str = ".env";

/// Bumped when a pass of an earlier devenv says too little.
const SCHEMA: u32 = 2;

/// What has to be looked up to know whether a pass still holds: all of it is known once devenv.toml was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// Names of environment variables that the file mentions, and of those that choose a tool.
    pub variables: BTreeSet<String>,
    /// Programs that are found on PATH.
    pub programs: BTreeSet<String>,
    /// Files of the project that are no part of a tree: `.env`, and those that hold secrets.
    pub files: BTreeSet<String>,
}

/// What was found. Values are digests under the pass' own key, since some are secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    schema: u32,
    devenv: String,
    platform: String,
    variables: BTreeMap<String, Option<String>>,
    programs: BTreeMap<String, Option<String>>,
    files: BTreeMap<String, Option<String>>,
}

impl Needed {
    pub fn of(config: &Config) -> Self {
        let mut variables: BTreeSet<_> = mentioned(&config.source.text).collect();
        variables.extend(CHOOSE_TOOLS.map(str::to_owned));
        variables.extend(config.task.values().flat_map(|task| task.pass.clone()));
        let mut files = BTreeSet::from([DOTENV.to_owned()]);
        for secret in config.secret.values() {
            match &secret.source {
                SecretSource::Env(name) => variables.insert(name.clone()),
                SecretSource::File(path) => files.insert(path.clone()),
                SecretSource::Command(_) => false,
            };
        }
        let system = |(name, tool): (&String, &crate::config::Tool)| match tool.from {
            ToolSource::System | ToolSource::Apt => {
                Some(tool.command.as_ref().unwrap_or(name).clone())
            }
            // The lock, a file of the tree, says which.
            ToolSource::Http | ToolSource::Cargo | ToolSource::Pip => None,
        };
        Self {
            variables,
            programs: config.toolchain.iter().filter_map(system).collect(),
            files,
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
        let file = |path: &String| {
            let bytes = project.and_then(|project| std::fs::read(project.join(path)).ok());
            (path.clone(), bytes.map(|bytes| digest(&bytes)))
        };
        Self {
            schema: SCHEMA,
            devenv: env!("CARGO_PKG_VERSION").to_owned(),
            platform: platform::current(),
            variables: needed.variables.iter().map(variable).collect(),
            programs: needed.programs.iter().map(|name| program(name)).collect(),
            files: needed.files.iter().map(file).collect(),
        }
    }

    /// What to look up for comparing.
    pub fn needed(&self) -> Needed {
        Needed {
            variables: self.variables.keys().cloned().collect(),
            programs: self.programs.keys().cloned().collect(),
            files: self.files.keys().cloned().collect(),
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
    fn what_tasks_see_of_the_caller_is_needed() {
        let text = "[project]\nname = \"x\"\n[task.t]\nrun = \"x\"\npass = [\"PROFILE\"]\n";
        let config = crate::config::parse(Path::new("devenv.toml"), text, &|_| None);
        let needed = Needed::of(&config.expect("a good file"));
        for name in ["PROFILE", "JAVA_HOME"] {
            assert!(needed.variables.contains(name), "{name}");
        }
    }

    #[test]
    fn another_value_program_or_dotenv_is_another_fact() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = [7; 32];
        let needed = Needed {
            variables: ["PATH".to_owned(), "DEVENV_TEST_UNSET".to_owned()].into(),
            programs: ["sh".to_owned(), "no-such-program".to_owned()].into(),
            files: [DOTENV.to_owned(), "pw.txt".to_owned()].into(),
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

        for (file, text) in [(DOTENV, "A=1"), ("pw.txt", "hunter2")] {
            let before = find();
            std::fs::write(dir.path().join(file), text).expect("written");
            assert_ne!(before, find());
        }
        assert_ne!(facts, Facts::find(&needed, None, &[8; 32]));
    }
}
