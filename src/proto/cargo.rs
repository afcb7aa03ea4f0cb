//! Which prost and tonic the crate around the output uses. Code generated for one version does not compile with another.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

use super::error::{ProtoError, VersionMismatch};

/// What the generators linked into this program emit code for.
const PROST: &str = "0.14";
const TONIC: &str = "0.14";

#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    package: Option<ManifestPackage>,
}

#[derive(Debug, Deserialize)]
struct ManifestPackage {
    name: String,
}

/// Refuses an output folder inside a crate whose locked prost (and tonic, with services) is of another minor version.
///
/// A folder outside any crate, a crate not locked yet or without these libraries is not refused.
pub fn check(root: &Path, name: &str, out: &str, tonic: bool) -> Result<(), ProtoError> {
    let folders: Vec<_> = Path::new(out).ancestors().collect();
    let nearest = |file: &str| {
        folders.iter().find_map(|folder| {
            let path = folder.join(file);
            let text = fs::read_to_string(root.join(&path)).ok()?;
            Some((path, text))
        })
    };
    // What cannot be read here is cargo's to report.
    let Some((path, Ok(lock))) =
        nearest("Cargo.lock").map(|(path, text)| (path, toml::from_str::<Lock>(&text)))
    else {
        return Ok(());
    };
    let package = nearest("Cargo.toml")
        .and_then(|(_, text)| toml::from_str::<Manifest>(&text).ok()?.package)
        .map(|package| package.name);
    let libraries: &[(&'static str, &'static str)] = match tonic {
        true => &[("prost", PROST), ("tonic", TONIC), ("tonic-prost", TONIC)],
        false => &[("prost", PROST)],
    };
    for (library, wanted) in libraries {
        let versions = lock.versions(package.as_deref(), library);
        if !versions.is_empty() && !versions.iter().any(|version| is_minor(version, wanted)) {
            return Err(ProtoError::Version(Box::new(VersionMismatch {
                name: name.to_owned(),
                package: package.unwrap_or_else(|| "the workspace".to_owned()),
                lock: path.display().to_string(),
                library,
                found: versions.into_iter().collect::<Vec<_>>().join(" and "),
                wanted,
            })));
        }
    }
    Ok(())
}

impl Lock {
    /// Versions of the library that the package depends on; all in the lock when the package is not known.
    fn versions(&self, package: Option<&str>, library: &str) -> BTreeSet<String> {
        let all = || {
            self.package
                .iter()
                .filter(|package| package.name == library)
                .map(|package| package.version.clone())
        };
        let Some(package) = self
            .package
            .iter()
            .find(|candidate| Some(candidate.name.as_str()) == package)
        else {
            return all().collect();
        };
        // A dependency is `name`, `name version` where there are several, or `name version (source)`.
        package
            .dependencies
            .iter()
            .filter_map(|dependency| {
                let mut words = dependency.split(' ');
                (words.next() == Some(library)).then(|| words.next().map(str::to_owned))
            })
            .flat_map(|version| match version {
                Some(version) => vec![version],
                None => all().collect(),
            })
            .collect()
    }
}

fn is_minor(version: &str, minor: &str) -> bool {
    version
        .strip_prefix(minor)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["prost 0.13.5", "serde", "tonic"]
[[package]]
name = "good"
version = "0.1.0"
dependencies = ["prost 0.14.4"]
[[package]]
name = "prost"
version = "0.13.5"
[[package]]
name = "prost"
version = "0.14.4"
[[package]]
name = "tonic"
version = "0.14.9"
"#;

    fn result(member: &str, tonic: bool) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.lock"), LOCK).unwrap();
        fs::create_dir_all(dir.path().join("crates/x/src")).unwrap();
        fs::write(
            dir.path().join("crates/x/Cargo.toml"),
            format!("[package]\nname = \"{member}\"\n"),
        )
        .unwrap();
        check(dir.path(), "x", "crates/x/src/gen", tonic).map_err(|error| error.to_string())
    }

    #[test]
    fn refuses_another_minor_version() {
        assert_eq!(
            result("app", false).unwrap_err(),
            "`app` uses prost 0.13.5, but the generated code needs prost 0.14"
        );
    }

    #[test]
    fn accepts_what_matches_or_is_not_known() {
        assert_eq!(result("good", true), Ok(()));
        assert_eq!(result("not-in-the-lock", true), Ok(()));
        let empty = tempfile::tempdir().unwrap();
        assert!(check(empty.path(), "x", "gen", true).is_ok());
    }

    /// The constants above must follow the generators when these are updated.
    #[test]
    fn names_the_versions_that_are_linked() {
        let lock: Lock = toml::from_str(include_str!("../../Cargo.lock")).unwrap();
        for (library, minor) in [("prost-build", PROST), ("tonic-prost-build", TONIC)] {
            let versions = lock.versions(Some("devenv"), library);
            assert!(
                versions.iter().all(|version| is_minor(version, minor)) && !versions.is_empty(),
                "{library}: {versions:?}"
            );
        }
    }
}
