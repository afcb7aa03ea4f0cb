//! What can go wrong while generating, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    config::KeyPath,
    event::{Explain, Fault, FaultClass, Spot, quoted},
    plan::FingerprintError,
    sys::process::ProcessError,
};

#[derive(Debug, thiserror::Error)]
pub enum ProtoError {
    #[error("`proto.{name}` has no files: nothing matches {}", quoted(globs))]
    NoFiles { name: String, globs: Vec<String> },
    #[error("cannot look for proto files")]
    FindFiles {
        #[source]
        source: FingerprintError,
    },
    #[error("`{path}` is in no include folder of `proto.{name}`")]
    NotIncluded {
        name: String,
        path: String,
        include: Vec<String>,
    },
    #[error("`{path}` is hidden by `{by}`: both are `{import}` to an import")]
    Shadowed {
        name: String,
        path: String,
        by: String,
        import: String,
    },
    #[error("cannot compile `{path}`: {message}")]
    Compile {
        path: String,
        at: Spot,
        message: String,
        help: Option<String>,
    },
    #[error("cannot compile `proto.{name}`: {message}")]
    CompileSet { name: String, message: String },
    #[error("`{path}` uses edition {edition}, which the generators in process do not know")]
    Edition {
        path: String,
        at: Spot,
        edition: String,
    },
    #[error("cannot generate Rust for `proto.{name}`: {message}")]
    Rust { name: String, message: String },
    #[error("{message}")]
    RustOption { key: KeyPath, message: String },
    #[error("{0}")]
    Version(Box<VersionMismatch>),
    #[error("cannot read `{path}`")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("plugin `{command}` is not installed")]
    PluginMissing {
        key: KeyPath,
        command: String,
        looked_in: Vec<PathBuf>,
    },
    #[error("cannot run plugin `{command}`")]
    PluginRun {
        key: KeyPath,
        command: String,
        #[source]
        source: ProcessError,
    },
    #[error("plugin `{command}` failed: {message}")]
    PluginFailed {
        key: KeyPath,
        command: String,
        message: String,
        /// The last lines of its standard error.
        tail: Vec<String>,
    },
    #[error("output folder `{out}` leads out of the project")]
    OutOutside { key: KeyPath, out: String },
    #[error("`{generator}` names the file `{path}`, which is not inside its output folder")]
    PathOutside { generator: KeyPath, path: String },
    #[error("`{first}` and `{second}` both write `{path}`")]
    Collision {
        path: String,
        first: KeyPath,
        second: KeyPath,
        /// Where the first one stands: `devenv.toml:6:10`.
        place: Option<String>,
    },
    #[error("`{generator}` writes `{path}` twice")]
    Twice { path: String, generator: KeyPath },
    #[error("`{generator}` inserts into `{path}` at `{point}`, but {missing}")]
    Insertion {
        generator: KeyPath,
        path: String,
        point: String,
        missing: &'static str,
    },
    #[error("`{path}` is in the way: it was not generated")]
    Foreign { path: String },
    #[error("`{path}` lies outside the project, through a symbolic link")]
    LinkedOut { path: String },
    #[error("cannot write `{path}`")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the generator failed on these files: {message}")]
    Internal { message: String },
    #[error("generating was cancelled")]
    Cancelled,
}

/// A crate that the generated code would not compile in.
#[derive(Debug, thiserror::Error)]
#[error("`{package}` uses {library} {found}, but the generated code needs {library} {wanted}")]
pub struct VersionMismatch {
    /// Name of the proto table.
    pub name: String,
    pub package: String,
    /// The lock file, relative to the project.
    pub lock: String,
    pub library: &'static str,
    pub found: String,
    pub wanted: &'static str,
}

impl ProtoError {
    /// All results, or the first error that is not the echo of another one.
    pub(super) fn first<T>(results: Vec<Result<T, Self>>) -> Result<Vec<T>, Self> {
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(value) => values.push(value),
                Err(error) => errors.push(error),
            }
        }
        errors.sort_by_key(|error| matches!(error, ProtoError::Cancelled));
        errors.into_iter().next().map_or(Ok(values), Err)
    }
}

impl Explain for ProtoError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        let table = |name: &str, key: &str| KeyPath::of(["proto", name, key]);
        match self {
            Self::NoFiles { name, .. } => fault
                .class(FaultClass::Usage)
                .at_key(table(name, "files"))
                .help("globs are relative to the project; files that git ignores must be named without wildcards"),
            Self::FindFiles { .. } => fault.class(FaultClass::Usage),
            Self::NotIncluded { name, include, .. } => fault
                .class(FaultClass::Usage)
                .at_key(table(name, "include"))
                .note(format!("include folders: {}", quoted(include)))
                .help("add the folder that imports start from to `include`"),
            Self::Shadowed { name, .. } => fault
                .class(FaultClass::Usage)
                .at_key(table(name, "include"))
                .help("change the order of `include`, or leave one of the files out of `files`"),
            Self::Compile { path, at, help, .. } => Fault {
                help: help.clone(),
                ..fault.at_spot(path, at)
            },
            Self::CompileSet { name, .. } => fault.at_key(table(name, "files")),
            Self::Edition { path, at, .. } => fault
                .at_spot(path, at)
                .help("write `syntax = \"proto3\";` instead of the edition"),
            Self::Rust { name, .. } => fault
                .at_key(table(name, "rust"))
                .help("check `extern_path`, `type_attribute` and `field_attribute`"),
            Self::RustOption { key, .. } => {
                fault.class(FaultClass::Usage).at_key(key.clone())
            }
            Self::Version(mismatch) => mismatch.explain(fault),
            Self::PluginMissing { .. } | Self::PluginRun { .. } | Self::PluginFailed { .. } => {
                self.explain_plugin(fault)
            }
            Self::OutOutside { key, .. } => fault
                .class(FaultClass::Usage)
                .at_key(key.clone())
                .help("name a folder inside the project"),
            Self::Twice { generator, .. } => fault
                .at_key(generator.clone())
                .help("check the plugin's options, or report it to the plugin's authors"),
            Self::Insertion { generator, .. } => fault
                .at_key(generator.clone())
                .help("add the plugin that writes the file, with the same `out`"),
            Self::PathOutside { generator, .. } => fault
                .at_key(generator.clone())
                .help("check the plugin's options; a path must be relative, with no `.` or `..` in it"),
            Self::Collision { first, second, place, .. } => {
                let fault = fault.class(FaultClass::Usage).at_key(second.join("out"));
                let first = place.as_ref().map(|place| format!("`{first}` is at {place}"));
                first
                    .into_iter()
                    .fold(fault, Fault::note)
                    .help("give each generator an output folder of its own, or options that change its file names")
            }
            Self::Foreign { path } => fault
                .note("it bears no mark of a generator, and no record says that devenv wrote it")
                .help(format!("move or delete `{path}`, or choose another output folder")),
            Self::LinkedOut { .. } => fault.help("replace the link by a folder"),
            Self::Read { .. } | Self::Write { .. } => fault.class(FaultClass::Environment),
            Self::Internal { .. } => fault
                .class(FaultClass::Bug)
                .help("please report this with the proto files that led to it"),
            Self::Cancelled => fault.class(FaultClass::Interrupted),
        }
    }
}

impl ProtoError {
    fn explain_plugin(&self, fault: Fault) -> Fault {
        match self {
            Self::PluginMissing {
                key,
                command,
                looked_in,
            } => {
                let folders: Vec<_> = looked_in
                    .iter()
                    .map(|dir| dir.display().to_string())
                    .collect();
                fault
                    .class(FaultClass::Environment)
                    .at_key(key.clone())
                    .note(format!("looked in {}", quoted(&folders)))
                    .help(format!(
                        "install `{command}`, such as by a `[toolchain]` table, or name it with `command`"
                    ))
            }
            Self::PluginRun { key, .. } => fault.class(FaultClass::Environment).at_key(key.clone()),
            Self::PluginFailed { key, tail, .. } => tail
                .iter()
                .fold(fault.at_key(key.clone()), |fault, line| fault.note(line)),
            _ => fault,
        }
    }
}

pub(super) fn write_error(path: &Path, source: io::Error) -> ProtoError {
    ProtoError::Write {
        path: path.display().to_string(),
        source,
    }
}

impl VersionMismatch {
    fn explain(&self, fault: Fault) -> Fault {
        let Self {
            name,
            package,
            library,
            wanted,
            ..
        } = self;
        fault
            .class(FaultClass::Usage)
            .at_key(KeyPath::of(["proto", name, "rust"]))
            .note(format!("read from `{}`", self.lock))
            .help(format!(
                "set `{library} = \"{wanted}\"` in the dependencies of `{package}`, then run `cargo update -p {library}`"
            ))
    }
}
