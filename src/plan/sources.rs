//! Files that are part of what the plan describes: migrations and Dockerfiles. What a step makes something of, such as a task's inputs or
//! proto files, says nothing of what is done where, and is part of that step's key alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{FileCache, FingerprintError, Input, dockerfile, fingerprint::fingerprint_folder};
use crate::config::{Config, StepId, StepKind};

/// What the plan takes from files beside `devenv.toml`.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Step → `file.<path>` → digest of each of its sources.
    pub files: BTreeMap<StepId, BTreeMap<String, Input>>,
    /// Step → the `[image.*]` steps that its Dockerfile names.
    pub images: BTreeMap<StepId, BTreeSet<StepId>>,
}

/// Reads the sources of all steps.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn sources(
    root: &Path,
    config: &Config,
    cache: &FileCache,
) -> Result<Sources, FingerprintError> {
    let mut sources = Sources::default();
    for (name, migrate) in &config.migrate {
        let files = fingerprint_folder(root, &migrate.dir, ".sql", cache)?;
        sources
            .files
            .insert(StepId::new(StepKind::Migrate, name), files);
    }
    dockerfile::read_all(root, config, &mut sources);
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Locked, Plan};

    #[test]
    fn a_migration_is_part_of_the_hash_and_of_nothing_else() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            crate::config::FILE,
            "[project]\nname = \"x\"\n[postgres.db]\nversion = \"15\"\n[migrate.db]\ndir = \"db [1]\"\n\
             postgres = \"postgres.db\"\n[proto.api]\nrust = { out = \"gen\" }\n",
        );
        let plan = || {
            let config = crate::config::load(dir.path()).expect("a good file");
            let cache = FileCache::load(dir.path(), &dir.path().join("cache"));
            let sources = sources(dir.path(), &config, &cache).expect("readable");
            Plan::build(&config, &Locked::new(), &sources)
        };
        let definitions = |plan: &Plan| -> Vec<_> {
            let steps = plan.steps.values();
            steps.map(|step| step.definition.clone()).collect()
        };
        let mut last = plan();
        for (path, text) in [
            ("db [1]/V1__a.sql", "select 1;"),
            ("db [1]/V1__a.sql", "select 2;"),
        ] {
            write(path, text);
            let now = plan();
            assert_ne!(now.hash, last.hash, "{path}");
            assert_eq!(definitions(&now), definitions(&last));
            last = now;
        }
        write("db [1]/README.md", "not a migration");
        // Whether the generated code is that of the file is what its step looks at, wherever it runs.
        write("proto/a.proto", "syntax = \"proto3\";");
        write("elsewhere/V1__a.sql", "select 3;");
        assert_eq!(plan().hash, last.hash);
    }
}
