//! Which container engine to talk to: `DOCKER_HOST`, the current Docker context, or the first socket that is there.
//!
//! Decides only; connects to nothing. What was looked at is kept, so that an error can name all of it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// HTTP without TLS.
    Tcp {
        host: String,
        port: u16,
    },
}

/// The engine to use, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: Address,
    /// Who named it: "`DOCKER_HOST`", "context `colima`", "the default socket".
    pub origin: String,
    /// Places that were looked at before, with what was found: "`/var/run/docker.sock`: does not exist".
    pub tried: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("{origin} names the engine `{host}`, and devenv cannot talk to it")]
    Unsupported {
        origin: String,
        host: String,
        help: String,
    },
    #[error("cannot read the Docker context `{name}`")]
    Context {
        name: String,
        path: PathBuf,
        cause: String,
    },
}

impl EndpointError {
    pub fn help(&self) -> String {
        match self {
            EndpointError::Unsupported { help, .. } => help.clone(),
            EndpointError::Context { path, .. } => format!(
                "`{}` should describe it; choose another with `docker context use`, or set `DOCKER_HOST`",
                path.display()
            ),
        }
    }
}

/// What the choice depends on.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub docker_host: Option<String>,
    pub docker_context: Option<String>,
    pub docker_tls_verify: Option<String>,
    /// `$DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `/`; another folder in tests.
    pub root: PathBuf,
}

/// `config.json`, of which only the context matters.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// `contexts/meta/<sha256 of the name>/meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    host: String,
}

impl Surroundings {
    /// Those of this process.
    pub fn current() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = var("HOME").map(PathBuf::from);
        Self {
            docker_host: var("DOCKER_HOST"),
            docker_context: var("DOCKER_CONTEXT"),
            docker_tls_verify: var("DOCKER_TLS_VERIFY"),
            docker_config: var("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| Some(home?.join(".docker"))),
            runtime_dir: var("XDG_RUNTIME_DIR").map(PathBuf::from),
            root: "/".into(),
        }
    }

    fn context_name(&self) -> Option<String> {
        let name = self.docker_context.clone().or_else(|| {
            let file = self.docker_config.as_ref()?.join("config.json");
            let config: ConfigFile = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
            config.current_context
        })?;
        (name != "default" && !name.is_empty()).then_some(name)
    }

    fn context_host(&self, name: &str) -> Result<String, EndpointError> {
        let digest = Sha256::digest(name.as_bytes());
        let hex = hex::encode(digest);
        let path = self
            .docker_config
            .clone()
            .unwrap_or_default()
            .join("contexts/meta")
            .join(hex)
            .join("meta.json");
        let error = |cause: String| EndpointError::Context {
            name: name.to_owned(),
            path: path.clone(),
            cause,
        };
        let bytes = std::fs::read(&path).map_err(|source| error(source.to_string()))?;
        let meta: ContextMeta =
            serde_json::from_slice(&bytes).map_err(|source| error(source.to_string()))?;
        Ok(meta.endpoints.docker.host)
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let in_runtime_dir = |path: &str| self.runtime_dir.as_ref().map(|dir| dir.join(path));
        [
            Some(self.root.join("var/run/docker.sock")),
            in_runtime_dir("docker.sock"),
            in_runtime_dir("podman/podman.sock"),
            Some(self.root.join("run/podman/podman.sock")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Endpoint {
    /// The engine that this process' environment asks for.
    pub fn find() -> Result<Self, EndpointError> {
        Self::choose(&Surroundings::current())
    }

    /// The first of: `DOCKER_HOST`, the context, a socket that exists. With none, the default socket: connecting to it says what is wrong.
    pub fn choose(around: &Surroundings) -> Result<Self, EndpointError> {
        if let Some(host) = &around.docker_host {
            return Self::named(host, "`DOCKER_HOST`", around);
        }
        if let Some(name) = around.context_name() {
            let host = around.context_host(&name)?;
            return Self::named(&host, &format!("Docker context `{name}`"), around);
        }
        let sockets = around.sockets();
        let found = sockets.iter().position(|path| path.exists());
        let tried = sockets[..found.unwrap_or(sockets.len())]
            .iter()
            .map(|path| format!("`{}`: does not exist", path.display()));
        Ok(Self {
            tried: [
                "`DOCKER_HOST`: not set",
                "Docker context: none but the default",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(tried)
            .collect(),
            address: Address::Unix(sockets[found.unwrap_or(0)].clone()),
            origin: "the socket".to_owned(),
        })
    }

    /// Somebody chose it: it is not just the first socket that was found.
    pub fn is_named(&self) -> bool {
        self.tried.is_empty()
    }

    fn named(host: &str, origin: &str, around: &Surroundings) -> Result<Self, EndpointError> {
        let unsupported = |help: &str| EndpointError::Unsupported {
            origin: origin.to_owned(),
            host: host.to_owned(),
            help: help.to_owned(),
        };
        let endpoint = |address| Self {
            address,
            origin: origin.to_owned(),
            tried: Vec::new(),
        };
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(unsupported(
                "write it as `unix:///path/to/docker.sock` or `tcp://host:2375`",
            ));
        };
        match scheme {
            "unix" => Ok(endpoint(Address::Unix(rest.into()))),
            "tcp" | "http" if around.docker_tls_verify.is_some() => Err(unsupported(
                "TLS is not supported; reach it over a socket, such as `ssh -L /tmp/docker.sock:/var/run/docker.sock host`, and unset `DOCKER_TLS_VERIFY`",
            )),
            "tcp" | "http" => tcp(rest)
                .map(endpoint)
                .ok_or_else(|| unsupported("write it as `tcp://host:2375`")),
            "ssh" => Err(unsupported(
                "ssh is not supported here; forward the socket with `ssh -N -L /tmp/docker.sock:/var/run/docker.sock host` and set `DOCKER_HOST=unix:///tmp/docker.sock`",
            )),
            _ => Err(unsupported("use `unix://` or `tcp://`")),
        }
    }
}

fn tcp(rest: &str) -> Option<Address> {
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, port.parse().ok()?),
        None if !rest.is_empty() => (rest, 2375),
        _ => return None,
    };
    Some(Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

impl Address {
    /// True when published ports are ports of this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => {
                matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]")
            }
        }
    }

    pub fn socket(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => Some(path),
            Address::Tcp { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect;

    use super::*;

    struct Machine {
        dir: tempfile::TempDir,
        around: Surroundings,
    }

    fn machine(files: &[(&str, &str)]) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let around = Surroundings {
            docker_config: Some(dir.path().join("home/.docker")),
            runtime_dir: Some(dir.path().join("run/user/7")),
            root: dir.path().to_owned(),
            ..Surroundings::default()
        };
        Machine { dir, around }
    }

    impl Machine {
        fn choice(&self) -> String {
            let text = match Endpoint::choose(&self.around) {
                Ok(endpoint) => format!(
                    "{} from {}\n{}",
                    endpoint.address,
                    endpoint.origin,
                    endpoint.tried.join("\n")
                ),
                Err(error) => format!("{error}\nhelp: {}", error.help()),
            };
            text.replace(&self.dir.path().display().to_string(), "")
        }
    }

    #[test]
    fn docker_host_comes_first() {
        let mut machine = machine(&[("var/run/docker.sock", "")]);
        machine.around.docker_host = Some("tcp://build:2376".into());
        expect!["tcp://build:2376 from `DOCKER_HOST`\n"].assert_eq(&machine.choice());
        machine.around.docker_host = Some("unix:///x.sock".into());
        expect!["unix:///x.sock from `DOCKER_HOST`\n"].assert_eq(&machine.choice());
    }

    #[test]
    fn then_the_current_context() {
        let meta = format!(
            "home/.docker/contexts/meta/{}/meta.json",
            hex::encode(Sha256::digest(b"colima"))
        );
        let machine = machine(&[
            ("home/.docker/config.json", r#"{"currentContext":"colima"}"#),
            (
                &meta,
                r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///home/c.sock","SkipTLSVerify":false}}}"#,
            ),
        ]);
        expect!["unix:///home/c.sock from Docker context `colima`\n"].assert_eq(&machine.choice());
    }

    #[test]
    fn then_the_first_socket_that_exists() {
        let machine = machine(&[
            (
                "home/.docker/config.json",
                r#"{"currentContext":"default"}"#,
            ),
            ("run/user/7/podman/podman.sock", ""),
        ]);
        expect![[r#"
            unix:///run/user/7/podman/podman.sock from the socket
            `DOCKER_HOST`: not set
            Docker context: none but the default
            `/var/run/docker.sock`: does not exist
            `/run/user/7/docker.sock`: does not exist"#]]
        .assert_eq(&machine.choice());
    }

    #[test]
    fn with_nothing_there_all_that_was_tried_is_kept() {
        expect![[r#"
            unix:///var/run/docker.sock from the socket
            `DOCKER_HOST`: not set
            Docker context: none but the default
            `/var/run/docker.sock`: does not exist
            `/run/user/7/docker.sock`: does not exist
            `/run/user/7/podman/podman.sock`: does not exist
            `/run/podman/podman.sock`: does not exist"#]]
        .assert_eq(&machine(&[]).choice());
    }

    #[test]
    fn what_cannot_be_used_says_what_to_do() {
        let mut machine = machine(&[]);
        for (host, part) in [
            ("ssh://me@build", "ssh -N -L"),
            ("npipe:////./pipe/docker", "`unix://` or `tcp://`"),
            ("/var/run/docker.sock", "unix:///path"),
            ("tcp://", "tcp://host:2375"),
            ("tcp://a:b", "tcp://host:2375"),
        ] {
            machine.around.docker_host = Some(host.into());
            let choice = machine.choice();
            assert!(
                choice.contains(part) && choice.contains(host),
                "{host}: {choice}"
            );
        }
        machine.around.docker_host = None;
        machine.around.docker_context = Some("gone".into());
        let choice = machine.choice();
        assert!(
            choice.starts_with("cannot read the Docker context `gone`"),
            "{choice}"
        );
    }
}
