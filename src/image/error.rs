//! What can go wrong with an image, and what to do then.

use std::{io, path::PathBuf};

use bollard::errors::Error as EngineError;

use crate::{
    event::{Explain, Fault, FaultClass, Spot},
    sys::process::ProcessError,
};

/// A variant is what was being done.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("no container engine answers at {endpoint}")]
    Connect { endpoint: String, cause: String },
    #[error("the engine could not {action}")]
    Engine { action: String, cause: String },
    #[error("image `{reference}` cannot be had")]
    Unobtainable {
        reference: String,
        /// In the order they were tried.
        tried: Vec<Tried>,
    },
    #[error("cannot pull `{reference}`: {fault}")]
    Pull {
        reference: String,
        fault: PullFault,
        cause: String,
    },
    #[error("no `[image.…]` table says how to build `{reference}`")]
    NotDefined { reference: String },
    #[error("image `{reference}` was removed from the engine while it was being made")]
    Vanished { reference: String },
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is outside the project", path.display())]
    Outside { path: PathBuf },
    #[error("cannot write the image cache `{}`", path.display())]
    Cache {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("building a root file system from Debian packages needs `mmdebstrap`")]
    NoMmdebstrap,
    #[error("mmdebstrap could not build `{suite}`")]
    Debian { suite: String, tail: Vec<String> },
    #[error("cannot run a build command")]
    Process(#[source] ProcessError),
    #[error("building `{}` failed", dockerfile.display())]
    Build {
        dockerfile: PathBuf,
        /// The failing instruction.
        spot: Option<Spot>,
        instruction: Option<String>,
        cause: String,
        tail: Vec<String>,
    },
    #[error("building `{}` failed: image `{image}` cannot be had", dockerfile.display())]
    Base {
        dockerfile: PathBuf,
        /// Where it is named.
        spot: Spot,
        image: String,
        cause: String,
    },
    #[error("the build left no `{}`", path.display())]
    NoArtifact { path: PathBuf },
    #[error("the artifact `{}` is not executable", path.display())]
    NotExecutable { path: PathBuf },
    #[error("the artifact `{}` is not an ELF file that can be read: {cause}", path.display())]
    BadElf { path: PathBuf, cause: String },
    #[error("the artifact `{artifact}` is built for {has}, its base `{base}` is {wants}")]
    Architecture {
        artifact: String,
        base: String,
        has: String,
        wants: String,
    },
    #[error("the artifact `{artifact}` needs glibc {needs}, its base `{base}` has {has}")]
    Glibc {
        artifact: String,
        base: String,
        needs: String,
        has: String,
    },
    #[error(
        "the artifact `{artifact}` needs `{interpreter}`, which its base `{base}` does not have"
    )]
    Interpreter {
        artifact: String,
        base: String,
        interpreter: String,
        /// The base has musl instead.
        musl: bool,
    },
    #[error("cancelled")]
    Cancelled,
}

/// One way of having an image, and why it did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Such as "pulled".
    pub what: String,
    pub why: String,
}

/// Why a registry did not give the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFault {
    Unreachable,
    Unknown,
    Unauthorized,
    Other,
}

impl std::fmt::Display for PullFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PullFault::Unreachable => "no registry can be reached",
            PullFault::Unknown => "the registry does not have it",
            PullFault::Unauthorized => "the registry refuses access",
            PullFault::Other => "the registry or the engine failed",
        })
    }
}

impl ImageError {
    pub(super) fn engine(action: &str, error: EngineError) -> Self {
        ImageError::Engine {
            action: action.to_owned(),
            cause: cause(&error),
        }
    }

    pub(super) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| ImageError::Read { path, source }
    }

    pub(super) fn cache(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| ImageError::Cache { path, source }
    }

    fn notes(&self) -> Vec<String> {
        match self {
            ImageError::Connect { cause, .. }
            | ImageError::Engine { cause, .. }
            | ImageError::Base { cause, .. }
            | ImageError::Pull { cause, .. } => {
                vec![cause.clone()]
            }
            ImageError::Unobtainable { tried, .. } => tried
                .iter()
                .map(|tried| format!("{}: {}", tried.what, tried.why))
                .collect(),
            ImageError::Debian { tail, .. } => tail.clone(),
            ImageError::Build { cause, tail, .. } => {
                let mut notes = vec![cause.clone()];
                notes.extend(tail.iter().filter(|line| *line != cause).cloned());
                notes
            }
            _ => Vec::new(),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            ImageError::Unobtainable { reference, .. } => format!(
                "make a registry reachable, load `{reference}` into the engine, or say how to build it in an `[image.…]` table"
            ),
            ImageError::Pull { fault, .. } => match fault {
                PullFault::Unreachable => "check the network, or say how to build it in an `[image.…]` table",
                PullFault::Unknown => "check the name and the tag",
                PullFault::Unauthorized => "log in with `docker login`",
                PullFault::Other => return None,
            }
            .to_owned(),
            ImageError::Connect { .. } => "start the engine, or set `DOCKER_HOST`".to_owned(),
            ImageError::NoMmdebstrap => {
                "run `apt-get install mmdebstrap`, or add `[toolchain.mmdebstrap]` with `from = \"apt\"`".to_owned()
            }
            ImageError::Debian { tail, .. } => return debian_help(tail),
            ImageError::Base { image, .. } => format!(
                "check its spelling, or say how to build it in an `[image.…]` table with `ref = \"{image}\"`"
            ),
            ImageError::NoArtifact { .. } => "check `artifact` and what `run` writes".to_owned(),
            ImageError::NotExecutable { path } => format!("run `chmod +x {}`", path.display()),
            ImageError::Architecture { .. } => {
                "build for the base's architecture, or build in a Dockerfile".to_owned()
            }
            ImageError::Glibc { needs, .. } => {
                format!("use a base with glibc {needs} or newer, or build in a Dockerfile")
            }
            ImageError::Interpreter { musl: true, .. } => {
                "the base has musl: build for musl, or use a base with glibc".to_owned()
            }
            ImageError::Interpreter { musl: false, .. } => {
                "use a base with a C library, or link the artifact statically".to_owned()
            }
            _ => return None,
        };
        Some(help)
    }
}

fn debian_help(tail: &[String]) -> Option<String> {
    let said = |text: &str| tail.iter().any(|line| line.contains(text));
    let help = if said("NO_PUBKEY") {
        "this machine lacks the suite's key: install a newer archive keyring package"
    } else if said("Unable to locate package") || said("has no installation candidate") {
        "check the names in `packages` and the `suite`"
    } else if said("does not have a Release file") || said("404") {
        "check the `suite`, and that this machine's mirror has it"
    } else if said("failed to run command") {
        "the variant lacks what its packages need to be installed: use `variant = \"apt\"` or `\"essential\"`, or `\"extract\"` for packages without scripts"
    } else {
        return None;
    };
    Some(help.to_owned())
}

impl Explain for ImageError {
    fn explain(&self) -> Fault {
        let mut fault = Fault::from_error(self);
        fault.notes.extend(self.notes());
        fault.help = self.help();
        match self {
            ImageError::Connect { .. }
            | ImageError::Engine { .. }
            | ImageError::NoMmdebstrap
            | ImageError::Cache { .. } => fault.class(FaultClass::Environment),
            ImageError::Outside { .. } => fault.class(FaultClass::Usage),
            ImageError::Cancelled => fault.class(FaultClass::Interrupted),
            ImageError::Build {
                dockerfile,
                spot: Some(spot),
                instruction,
                ..
            } => {
                let fault = fault.at_spot(dockerfile, spot);
                match instruction {
                    Some(_) => fault.label("this instruction failed"),
                    None => fault,
                }
            }
            ImageError::Base {
                dockerfile, spot, ..
            } => fault
                .at_spot(dockerfile, spot)
                .label("this image cannot be had"),
            _ => fault,
        }
    }
}

/// What the engine said, without the client's wrapping.
pub(super) fn cause(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.trim().to_owned(),
        error => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(next) = source {
                let next_text = next.to_string();
                if !text.contains(&next_text) {
                    text = format!("{text}: {next_text}");
                }
                source = next.source();
            }
            // No answer at all: the client's own layers say nothing.
            match text.split_once("client error (Connect): ") {
                Some((_, why)) => why.rsplit(": ").next().unwrap_or(why).to_owned(),
                None => text,
            }
        }
    }
}
