//! The connection to the engine: requests that several parts need, and the engine's failures as [`RuntimeError`].
//!
//! Nothing is negotiated: requests carry no version, so every engine answers in its own. That saves `up` a round trip.

use std::{collections::HashMap, error::Error as _, time::Duration};

use bollard::{
    API_DEFAULT_VERSION,
    errors::Error,
    models::{ContainerInspectResponse, ContainerSummary},
    query_parameters::{
        ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptions,
    },
};

use tokio::sync::OnceCell;

use crate::{
    runtime::RuntimeError,
    sys::docker_host::{Address, Endpoint},
};

/// How long the engine may take to say that it is there: the first thing it is asked, and what also a busy one answers at once.
const FIRST: Duration = Duration::from_secs(10);

/// How long the engine may take to begin any other answer.
const ANSWER: Duration = Duration::from_secs(120);
/// As [`ANSWER`], of what everything begins with and an engine knows without work.
const LISTING: Duration = Duration::from_secs(30);

/// For answers that begin when something happens: a container's exit, the next line of a log.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often a container that is just ending is asked about again.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

pub struct Engine {
    client: bollard::Docker,
    endpoint: Endpoint,
    /// Whether it has said in time that it is there; asked once.
    answers: OnceCell<bool>,
}

/// What `doctor` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `Docker Engine` or `Podman Engine`.
    pub name: String,
    pub version: String,
    pub api: String,
    /// Storage driver, such as `overlay2`.
    pub storage: String,
    pub log_driver: String,
}

impl Engine {
    pub fn new(endpoint: &Endpoint) -> Result<Self, RuntimeError> {
        let seconds = ANSWER.as_secs();
        let client = match &endpoint.address {
            Address::Unix(path) => bollard::Docker::connect_with_unix(
                &path.to_string_lossy(),
                seconds,
                API_DEFAULT_VERSION,
            ),
            address @ Address::Tcp { .. } => bollard::Docker::connect_with_http(
                &address.to_string(),
                seconds,
                API_DEFAULT_VERSION,
            ),
        };
        let client = client.map_err(|error| connect_error(endpoint, &error))?;
        Ok(Self {
            client,
            endpoint: endpoint.clone(),
            answers: OnceCell::new(),
        })
    }

    /// For requests that are answered soon.
    pub fn client(&self) -> &bollard::Docker {
        &self.client
    }

    /// For requests whose answer waits for something to happen.
    pub fn patient(&self) -> bollard::Docker {
        self.client.clone().with_timeout(FOREVER)
    }

    pub fn host(&self) -> &str {
        match &self.endpoint.address {
            Address::Unix(_) => "127.0.0.1",
            Address::Tcp { host, .. } => host,
        }
    }

    /// Published ports are ports of this machine.
    pub fn is_local(&self) -> bool {
        self.endpoint.address.is_local()
    }

    /// Address that ports are published on: only this machine, unless the engine is on another.
    pub fn publish_address(&self) -> &'static str {
        if self.is_local() {
            "127.0.0.1"
        } else {
            "0.0.0.0"
        }
    }

    /// Turns a failure into words. `action` completes "the engine could not …".
    pub fn fail(&self, action: impl Into<String>, error: Error) -> RuntimeError {
        let action = action.into();
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => RuntimeError::Engine {
                action,
                cause: match message.trim() {
                    "" => format!("it answered with status {status_code}"),
                    message => message.to_owned(),
                },
            },
            Error::HyperLegacyError { ref err } if err.is_connect() => {
                connect_error(&self.endpoint, &error)
            }
            Error::SocketNotFoundError(_) => connect_error(&self.endpoint, &error),
            Error::RequestTimeoutError => RuntimeError::Slow {
                action,
                seconds: self.client.timeout().as_secs(),
            },
            Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. } => self.gone(action, innermost(&error)),
            error => RuntimeError::Engine {
                action,
                cause: error.to_string(),
            },
        }
    }

    /// The connection ended before the answer did.
    pub fn gone(&self, action: impl Into<String>, cause: impl Into<String>) -> RuntimeError {
        RuntimeError::Gone {
            endpoint: self.endpoint.address.to_string(),
            action: action.into(),
            cause: cause.into(),
        }
    }

    /// Fails soon on an engine that takes connections and never answers. Any other failure is told by the request that follows.
    pub async fn answers(&self) -> Result<(), RuntimeError> {
        let ask = || async {
            tokio::time::timeout(FIRST, self.client.ping())
                .await
                .is_ok()
        };
        match self.answers.get_or_init(ask).await {
            true => Ok(()),
            false => Err(RuntimeError::Silent {
                endpoint: self.endpoint.address.to_string(),
                origin: self.endpoint.origin.to_string(),
                seconds: FIRST.as_secs(),
            }),
        }
    }

    pub async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        self.answers().await?;
        let action = "say what it is";
        let (version, info) = tokio::try_join!(self.client.version(), self.client.info())
            .map_err(|error| self.fail(action, error))?;
        let component = version.components.unwrap_or_default().into_iter().next();
        Ok(EngineInfo {
            name: match component.map(|component| component.name) {
                Some(name) if name == "Engine" => "Docker Engine".to_owned(),
                Some(name) => name,
                None => "container engine".to_owned(),
            },
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            storage: info.driver.unwrap_or_default(),
            log_driver: info.logging_driver.unwrap_or_default(),
        })
    }

    /// Containers in every state that match the filters; all of the engine without any.
    pub async fn containers(
        &self,
        filters: &HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>, RuntimeError> {
        self.answers().await?;
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(filters)
            .build();
        let client = self.client.clone().with_timeout(LISTING);
        let containers = settled(|| client.list_containers(Some(options.clone()))).await;
        containers.map_err(|error| match error {
            Error::RequestTimeoutError => RuntimeError::Slow {
                action: "list containers".to_owned(),
                seconds: LISTING.as_secs(),
            },
            error => self.fail("list containers", error),
        })
    }

    pub async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, Error> {
        settled(|| self.client.inspect_container(container, None)).await
    }

    /// Stops a container within its own grace. No error when it is not running or not there.
    pub async fn stop(&self, container: &str) -> Result<(), RuntimeError> {
        let stopped = self
            .patient()
            .stop_container(container, None::<StopContainerOptions>)
            .await;
        self.tolerate(stopped, &[304, 404], || {
            format!("stop container `{container}`")
        })
    }

    /// Removes a container and its nameless volumes. No error when it is gone, or another removal goes on.
    pub async fn remove(&self, container: &str, force: Force) -> Result<(), RuntimeError> {
        let action = || format!("remove container `{container}`");
        let options = RemoveContainerOptionsBuilder::default()
            .force(force == Force::Yes)
            .v(true)
            .build();
        let removed = self.client.remove_container(container, Some(options)).await;
        match removed {
            Err(error) if status(&error) == Some(409) && force == Force::Yes => {
                self.await_removal(container, error).await
            }
            removed => self.tolerate(removed, &[404], action),
        }
    }

    /// Somebody else removes it already: waits for the end of that.
    async fn await_removal(&self, container: &str, first: Error) -> Result<(), RuntimeError> {
        let action = || format!("remove container `{container}`");
        let options = bollard::query_parameters::WaitContainerOptionsBuilder::default()
            .condition("removed")
            .build();
        let mut wait = Box::pin(self.patient().wait_container(container, Some(options)));
        let ended = tokio::time::timeout(ANSWER, futures_util::StreamExt::next(&mut wait)).await;
        match ended {
            Ok(None | Some(Ok(_) | Err(Error::DockerContainerWaitError { .. }))) => Ok(()),
            Ok(Some(Err(error))) if status(&error) == Some(404) => Ok(()),
            Ok(Some(Err(error))) => Err(self.fail(action(), error)),
            Err(_) => Err(self.fail(action(), first)),
        }
    }

    /// Drops failures with one of these statuses: what was wanted is so already.
    pub fn tolerate(
        &self,
        result: Result<(), Error>,
        statuses: &[u16],
        action: impl FnOnce() -> String,
    ) -> Result<(), RuntimeError> {
        match result {
            Err(error) if status(&error).is_some_and(|status| statuses.contains(&status)) => Ok(()),
            result => result.map_err(|error| self.fail(action(), error)),
        }
    }
}

/// Whether a running container is killed to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Yes,
    No,
}

/// The HTTP status of a refusal.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The answer once no container in it is `stopped`: Podman's state between a container's end and its tidying up,
/// which Docker does not have and bollard does not read.
async fn settled<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..TRIES {
        match ask().await {
            Err(Error::JsonDataError { message, .. }) if message.contains("`stopped`") => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
    ask().await
}

/// The name is taken. Podman says so with status 500 and these words.
pub fn is_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => {
            *status_code == 409
                || message.contains("that name is already in use")
                || message.contains("network already exists")
        }
        _ => false,
    }
}

/// Two networks have the name of one. An engine looks for it by name even where it was told an id.
pub fn is_ambiguous(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { message, .. } => message.contains("is ambiguous"),
        _ => false,
    }
}

fn connect_error(endpoint: &Endpoint, error: &Error) -> RuntimeError {
    let cause = match error {
        Error::SocketNotFoundError(path) => format!("`{path}` does not exist"),
        error => innermost(error),
    };
    RuntimeError::Connect {
        endpoint: endpoint.address.to_string(),
        cause: format!("{cause} (named by {})", endpoint.origin),
        tried: endpoint.tried.clone(),
    }
}

/// The last of an error's sources: hyper's own words say nothing.
fn innermost(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
