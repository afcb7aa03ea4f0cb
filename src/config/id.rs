//! Names that other parts refer to: a table's kind, a step's id, a path of keys into the file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a step is. All but `Build` and `Lint` are tables of `devenv.toml`: `Build` is the build half of an `[app.*]` table, `Lint` what is
/// checked of the files of a `[migrate.*]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    Toolchain,
    Proto,
    Image,
    Build,
    Postgres,
    Service,
    Migrate,
    Lint,
    App,
    Task,
    Smoke,
    Ci,
}

impl StepKind {
    pub const ALL: [StepKind; 12] = [
        StepKind::Toolchain,
        StepKind::Proto,
        StepKind::Image,
        StepKind::Build,
        StepKind::Postgres,
        StepKind::Service,
        StepKind::Migrate,
        StepKind::Lint,
        StepKind::App,
        StepKind::Task,
        StepKind::Smoke,
        StepKind::Ci,
    ];

    /// The word used in ids, and the table's name in the file (but for `build` and `lint`).
    pub fn as_str(self) -> &'static str {
        match self {
            StepKind::Toolchain => "toolchain",
            StepKind::Proto => "proto",
            StepKind::Image => "image",
            StepKind::Build => "build",
            StepKind::Postgres => "postgres",
            StepKind::Service => "service",
            StepKind::Migrate => "migrate",
            StepKind::Lint => "lint",
            StepKind::App => "app",
            StepKind::Task => "task",
            StepKind::Smoke => "smoke",
            StepKind::Ci => "ci",
        }
    }

    /// Steps that leave something running in the runtime.
    pub fn is_running_service(self) -> bool {
        matches!(self, StepKind::Postgres | StepKind::Service | StepKind::App)
    }

    /// Steps that `up` brings up; others are run when they are named.
    pub fn is_brought_up(self) -> bool {
        match self {
            StepKind::Lint | StepKind::Task | StepKind::Smoke | StepKind::Ci => false,
            StepKind::Toolchain
            | StepKind::Proto
            | StepKind::Image
            | StepKind::Build
            | StepKind::Postgres
            | StepKind::Service
            | StepKind::Migrate
            | StepKind::App => true,
        }
    }

    /// Steps that run a command of the project on this machine.
    pub fn runs_a_command(self) -> bool {
        match self {
            StepKind::Build | StepKind::Task => true,
            StepKind::Toolchain
            | StepKind::Proto
            | StepKind::Image
            | StepKind::Postgres
            | StepKind::Service
            | StepKind::Migrate
            | StepKind::Lint
            | StepKind::App
            | StepKind::Smoke
            | StepKind::Ci => false,
        }
    }

    /// Steps that can do nothing without an engine.
    pub fn needs_engine(self) -> bool {
        match self {
            StepKind::Image
            | StepKind::Postgres
            | StepKind::Service
            | StepKind::Migrate
            | StepKind::App
            | StepKind::Smoke => true,
            // Most builds and tasks run on the host; the others say themselves what they lack.
            StepKind::Toolchain
            | StepKind::Proto
            | StepKind::Build
            | StepKind::Lint
            | StepKind::Task
            | StepKind::Ci => false,
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `kind.name`: the one name of a step in arguments, events, container labels and errors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    pub kind: StepKind,
    pub name: String,
}

impl StepId {
    pub fn new(kind: StepKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// Where the step is defined in the file: `["postgres", "db"]`; a build is defined under its app, a lint is its migrations'.
    pub fn key_path(&self) -> KeyPath {
        match self.kind {
            StepKind::Build => KeyPath::of(["app", &self.name, "build"]),
            StepKind::Lint => KeyPath::of(["migrate", &self.name]),
            kind => KeyPath::of([kind.as_str(), &self.name]),
        }
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a step id, expected `kind.name` such as `postgres.db`")]
pub struct ParseStepIdError(pub String);

impl FromStr for StepId {
    type Err = ParseStepIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseStepIdError(text.to_owned());
        let (kind, name) = text.split_once('.').ok_or_else(error)?;
        let kind = StepKind::ALL
            .into_iter()
            .find(|k| k.as_str() == kind)
            .ok_or_else(error)?;
        if name.is_empty() {
            return Err(error());
        }
        Ok(StepId::new(kind, name))
    }
}

impl Serialize for StepId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A path of keys into the file, such as `app.hello.env.PORT`. Array elements are keyed by their index.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    pub fn of<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self(keys.into_iter().map(|k| k.as_ref().to_owned()).collect())
    }

    pub fn join(&self, key: impl Into<String>) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.into());
        Self(keys)
    }

    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
