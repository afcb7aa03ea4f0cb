//! `devenv.lock`: what the tools and images of a project were resolved to, the same bytes from any machine.
//!
//! Owns the format and the rule that the file is only written when it changes. Knows nothing of how a row is found out or used.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, StepId, StepKind, ToolSource},
    event::{Explain, Fault, FaultClass, Spot},
    plan::{Digest, image_step},
    sys::fs,
};

/// The file's name.
pub const FILE: &str = "devenv.lock";

/// The only format there is so far.
const VERSION: u32 = 1;

const HEADER: &str = "# Written by `devenv lock`. Commit it; do not edit it.\n";

/// All rows, by the name of their table in `devenv.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    pub tools: BTreeMap<String, ToolRow>,
    pub images: BTreeMap<String, ImageRow>,
}

/// What a tool was resolved to. `spec` is what the file asked for, the rest is what that meant when it was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRow {
    pub from: ToolSource,
    /// `cargo`, `pip`, `apt`: name in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The version or range asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `cargo`: features to enable, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// `cargo`: sha256 of the crate's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// `http`: the archive for each platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platform: BTreeMap<String, Archive>,
    /// `pip`: the package and all it needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, Pinned>,
}

/// One archive of an `http` tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    pub url: String,
    /// In bytes.
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
}

/// One distribution of a `pip` tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    pub version: String,
    /// File name → sha256.
    pub files: BTreeMap<String, String>,
}

/// What an image's reference pointed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    pub reference: String,
    /// Such as `sha256:<64 hex digits>`.
    pub digest: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    image: BTreeMap<String, ImageRow>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tool: BTreeMap<String, ToolRow>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read `{FILE}`")]
    Read {
        #[source]
        source: io::Error,
    },
    #[error("`{FILE}` is broken: {message}")]
    Parse { message: String, spot: Spot },
    #[error("`{FILE}` has version {found}, this devenv reads version {VERSION}")]
    Version { found: u32, spot: Spot },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Explain for LockError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            LockError::Parse { spot, .. } => fault
                .class(FaultClass::Usage)
                .at_spot(FILE, spot)
                .help("restore the file from git, or delete it and run `devenv lock`"),
            LockError::Version { spot, .. } => fault
                .class(FaultClass::Usage)
                .at_spot(FILE, spot)
                .help("it was written by another version of devenv: use that one, or delete the file and run `devenv lock`"),
            LockError::Read { .. } => fault
                .class(FaultClass::Environment)
                .help("make it a file that this user may read, or delete it and run `devenv lock`"),
            LockError::Write { .. } => fault.class(FaultClass::Environment),
        }
    }
}

impl Lock {
    /// What it pins, by step: part of each step's definition. Rows of tools go by name, those of images by reference.
    pub fn pins(&self, config: &Config) -> BTreeMap<StepId, String> {
        let tools = self.tools.iter().map(|(name, row)| {
            let id = StepId::new(StepKind::Toolchain, name);
            (id, row.digest().short().to_owned())
        });
        let images = self.images.iter().map(|(reference, row)| {
            let pin = format!("{}@{}", row.reference, row.digest);
            (image_step(config, reference), pin)
        });
        tools.chain(images).collect()
    }

    /// The lock of the project at `root`; empty when there is no file.
    pub fn read(root: &Path) -> Result<Self, LockError> {
        match std::fs::read_to_string(root.join(FILE)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LockError::Read { source }),
        }
    }

    pub fn parse(text: &str) -> Result<Self, LockError> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            LockError::Parse {
                message: error.message().trim().replace('\n', ", "),
                spot: Spot::of(text, start),
            }
        })?;
        if document.version != VERSION {
            return Err(LockError::Version {
                found: document.version,
                spot: Spot::of(text, text.find("version").unwrap_or_default()),
            });
        }
        Ok(Self {
            tools: document.tool,
            images: document.image,
        })
    }

    /// The file's text: sorted, and a function of the rows alone.
    pub fn to_text(&self) -> String {
        let document = Document {
            version: VERSION,
            image: self.images.clone(),
            tool: self.tools.clone(),
        };
        let body = toml::to_string(&document).expect("maps of strings and integers serialise");
        format!("{HEADER}{body}")
    }

    /// Writes the file, whole or not at all; leaves it alone when nothing changed. True when it wrote.
    pub fn write(&self, root: &Path) -> Result<bool, LockError> {
        let path = root.join(FILE);
        if self == &Self::default() && !path.exists() {
            return Ok(false);
        }
        fs::write_if_changed(&path, self.to_text().as_bytes())
            .map_err(|source| LockError::Write { path, source })
    }

    /// Reads, changes and writes the file while no other devenv does. Blocks for as long as another one holds it.
    pub fn update(root: &Path, change: impl FnOnce(&mut Lock)) -> Result<Self, LockError> {
        let guard = root.join(".devenv").join("devenv.lock.guard");
        let _guard = fs::Lock::acquire_blocking(&guard).map_err(|source| LockError::Write {
            path: guard,
            source,
        })?;
        let mut lock = Self::read(root)?;
        change(&mut lock);
        lock.write(root)?;
        Ok(lock)
    }
}

impl ToolRow {
    /// A row with nothing but its source.
    pub fn new(from: ToolSource) -> Self {
        Self {
            from,
            package: None,
            spec: None,
            version: None,
            features: Vec::new(),
            checksum: None,
            platform: BTreeMap::new(),
            requires: BTreeMap::new(),
        }
    }

    /// Identity of what the row says, the same on every machine.
    pub fn digest(&self) -> Digest {
        Digest::of(serde_json::to_vec(self).expect("maps of strings and integers serialise"))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::plan::{Plan, Sources};

    fn sample() -> Lock {
        let mut http = ToolRow::new(ToolSource::Http);
        http.spec = Some("1.7".into());
        http.version = Some("1.7".into());
        for platform in ["macos-aarch64", "linux-x86_64"] {
            http.platform.insert(
                platform.into(),
                Archive {
                    url: format!("https://example.com/jq-1.7-{platform}.tar.gz"),
                    size: 12,
                    sha256: "ab".repeat(32),
                },
            );
        }
        let mut pip = ToolRow::new(ToolSource::Pip);
        pip.package = Some("pyflakes".into());
        pip.requires.insert(
            "pyflakes".into(),
            Pinned {
                version: "3.2.0".into(),
                files: [(
                    "pyflakes-3.2.0-py2.py3-none-any.whl".into(),
                    "cd".repeat(32),
                )]
                .into(),
            },
        );
        Lock {
            tools: [("jq".into(), http), ("flakes".into(), pip)].into(),
            images: [(
                "postgres".into(),
                ImageRow {
                    reference: "postgres:15".into(),
                    digest: format!("sha256:{}", "0".repeat(64)),
                },
            )]
            .into(),
        }
    }

    #[test]
    fn is_sorted_and_reads_back() {
        let text = sample().to_text();
        expect![[r##"
            # Written by `devenv lock`. Commit it; do not edit it.
            version = 1

            [image.postgres]
            reference = "postgres:15"
            digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

            [tool.flakes]
            from = "pip"
            package = "pyflakes"

            [tool.flakes.requires.pyflakes]
            version = "3.2.0"

            [tool.flakes.requires.pyflakes.files]
            "pyflakes-3.2.0-py2.py3-none-any.whl" = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

            [tool.jq]
            from = "http"
            spec = "1.7"
            version = "1.7"

            [tool.jq.platform.linux-x86_64]
            url = "https://example.com/jq-1.7-linux-x86_64.tar.gz"
            size = 12
            sha256 = "abababababababababababababababababababababababababababababababab"

            [tool.jq.platform.macos-aarch64]
            url = "https://example.com/jq-1.7-macos-aarch64.tar.gz"
            size = 12
            sha256 = "abababababababababababababababababababababababababababababababab"
        "##]]
        .assert_eq(&text);
        assert_eq!(Lock::parse(&text).unwrap(), sample());
    }

    #[test]
    fn errors_say_where() {
        let check = |text: &str| {
            let fault = Lock::parse(text).unwrap_err().explain();
            format!("{} {:?}", fault.message, fault.site)
        };
        expect![[r#"`devenv.lock` is broken: unknown variant `npm`, expected one of `system`, `http`, `cargo`, `pip`, `apt` Some(File { path: "devenv.lock", line: 3, column: 8 })"#]]
            .assert_eq(&check("version = 1\n[tool.a]\nfrom = \"npm\"\n"));
        expect![[r#"`devenv.lock` has version 2, this devenv reads version 1 Some(File { path: "devenv.lock", line: 1, column: 1 })"#]]
            .assert_eq(&check("version = 2\n"));
        // A merge left its marks.
        let merged = check("version = 1\n<<<<<<< HEAD\n");
        assert!(merged.contains("line: 2"), "{merged}");
    }

    #[test]
    fn another_pin_is_another_plan_and_the_field_that_differs_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[project]\nname = \"x\"\n[image.base]\nref = \"postgres:15\"\n[postgres.db]\nversion = \"15\"\nimage = \"postgres:15\"\n[service.cache]\nimage = \"redis:7\"\n";
        std::fs::write(dir.path().join(crate::config::FILE), text).unwrap();
        let config = crate::config::load(dir.path()).unwrap();
        let plan = |digests: [&str; 3]| {
            let mut lock = Lock::default();
            for (reference, digest) in ["postgres:15", "redis:7", "unused"].iter().zip(digests) {
                let row = ImageRow {
                    reference: (*reference).into(),
                    digest: digest.into(),
                };
                lock.images.insert(row.reference.clone(), row);
            }
            Plan::build(&config, &lock.pins(&config), &Sources::default())
        };
        let old = plan(["sha256:a", "sha256:b", "sha256:c"]);
        for (digests, differs) in [
            (["sha256:a", "sha256:b", "sha256:d"], ""),
            (
                ["sha256:1", "sha256:b", "sha256:c"],
                "image.base lock changed: `postgres:15@sha256:a` → `postgres:15@sha256:1`",
            ),
            (
                ["sha256:a", "sha256:2", "sha256:c"],
                "image.redis:7 lock changed: `redis:7@sha256:b` → `redis:7@sha256:2`",
            ),
        ] {
            let new = plan(digests);
            assert_eq!(new.hash == old.hash, differs.is_empty(), "{digests:?}");
            let mut changes = Vec::new();
            for (id, step) in &new.steps {
                for reason in step.definition.changes_since(&old.steps[id].definition) {
                    changes.push(format!("{id} {reason}"));
                }
            }
            assert_eq!(changes.join("\n"), differs);
        }
    }

    #[test]
    fn writes_only_changes_and_no_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Lock::default().write(dir.path()).unwrap());
        assert!(!dir.path().join(FILE).exists());
        assert!(sample().write(dir.path()).unwrap());
        assert!(!sample().write(dir.path()).unwrap());
        let changed = Lock::update(dir.path(), |lock| {
            lock.images.clear();
        });
        assert_eq!(changed.unwrap(), Lock::read(dir.path()).unwrap());
        assert!(Lock::read(dir.path()).unwrap().images.is_empty());
    }
}
