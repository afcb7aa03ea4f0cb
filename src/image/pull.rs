//! Pulls from a registry, with progress in bytes over all layers.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bollard::{
    models::CreateImageInfo,
    query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{ImageError, ImageInfo, Images, PullFault, credentials, error::cause, unless};
use crate::{
    event::{Progress, StepEvents, Unit},
    plan::dockerfile::reference::{DEFAULT_REGISTRY, Reference},
};

/// How long a registry may take to accept a connection when the image can be had in another way.
const CONNECT: Duration = Duration::from_secs(2);
/// The same through a proxy or mirror of the engine, which only the engine can try: until its first word.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Progress is sent no more often than this.
const TICK: Duration = Duration::from_millis(100);
/// Where the default registry answers.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// How long a registry may keep silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// As long as the engine waits.
    Engine,
    /// Not for long: there is another way.
    Short,
}

impl Images {
    /// Pulls the image, by its pinned digest when there is one, and tags it with the reference.
    pub async fn pull(
        &self,
        reference: &str,
        pinned_digest: Option<&str>,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        self.pull_within(reference, pinned_digest, Silence::Engine, events, cancel)
            .await
    }

    pub(super) async fn pull_within(
        &self,
        reference: &str,
        pinned_digest: Option<&str>,
        silence: Silence,
        events: &StepEvents,
        cancel: &CancellationToken,
    ) -> Result<ImageInfo, ImageError> {
        let parsed = Reference::parse(reference);
        let by = pinned_digest.or(parsed.digest.as_deref());
        events.message(format!("Pulling {reference}"));
        let pulling = self.transfer(&parsed, by, reference, silence, events);
        unless(cancel, pulling).await??;
        if let (Some(digest), None) = (by, &parsed.digest) {
            let options = TagImageOptionsBuilder::default()
                .repo(&parsed.name)
                .tag(parsed.tag_or_latest())
                .build();
            self.docker
                .tag_image(&format!("{}@{digest}", parsed.name), Some(options))
                .await
                .map_err(|error| ImageError::engine("tag an image", error))?;
        }
        self.present(reference).await
    }

    async fn transfer(
        &self,
        parsed: &Reference,
        digest: Option<&str>,
        reference: &str,
        silence: Silence,
        events: &StepEvents,
    ) -> Result<(), ImageError> {
        let failed = |text: String| ImageError::Pull {
            reference: reference.to_owned(),
            fault: classify(&text),
            cause: text,
        };
        let options = CreateImageOptionsBuilder::default()
            .from_image(&parsed.name)
            .tag(digest.unwrap_or(parsed.tag_or_latest()))
            .build();
        let credentials = credentials::find(&parsed.registry).await;
        let mut stream = self.docker.create_image(Some(options), None, credentials);
        let mut next = if silence == Silence::Short {
            tokio::select! {
                biased;
                next = stream.next() => next,
                why = self.unreachable(&parsed.registry) => return Err(ImageError::Pull {
                    reference: reference.to_owned(),
                    fault: PullFault::Unreachable,
                    cause: why,
                }),
            }
        } else {
            stream.next().await
        };
        let mut transfer = Transfer::default();
        while let Some(info) = next {
            let info = info.map_err(|error| failed(cause(&error)))?;
            if let Some(progress) = transfer.apply(&info, reference) {
                events.progress(progress);
            }
            next = stream.next().await;
        }
        Ok(())
    }

    /// Resolves once the registry is known not to answer; never when it does.
    async fn unreachable(&self, registry: &str) -> String {
        let info = self.docker.info().await.unwrap_or_default();
        let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let mirrored = info
            .registry_config
            .and_then(|config| config.mirrors)
            .is_some_and(|mirrors| !mirrors.is_empty());
        if mirrored || set(&info.http_proxy) || set(&info.https_proxy) {
            tokio::time::sleep(FIRST_WORD).await;
            return format!("no answer within {} s", FIRST_WORD.as_secs());
        }
        match tokio::time::timeout(CONNECT, TcpStream::connect(address(registry))).await {
            Ok(Ok(_)) => std::future::pending().await,
            Ok(Err(error)) => format!("`{registry}`: {error}"),
            Err(_) => format!("`{registry}` did not answer within {} s", CONNECT.as_secs()),
        }
    }
}

/// `host:port` to try.
fn address(registry: &str) -> String {
    let host = if registry == DEFAULT_REGISTRY {
        DEFAULT_HOST
    } else {
        registry
    };
    let after_v6 = host.rfind(']').map_or(0, |index| index);
    if host[after_v6..].contains(':') {
        host.to_owned()
    } else {
        format!("{host}:443")
    }
}

/// The engine passes on what the registry or the network said as plain text.
fn classify(text: &str) -> PullFault {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&[
        "no such host",
        "connection refused",
        "timeout",
        "deadline exceeded",
        "unreachable",
        "server misbehaving",
        "awaiting headers",
        "connection reset",
    ]) {
        PullFault::Unreachable
    } else if says(&["unauthorized", "no basic auth", "forbidden"]) {
        PullFault::Unauthorized
    } else if says(&["not found", "manifest unknown", "does not exist"]) {
        PullFault::Unknown
    } else if says(&["denied"]) {
        PullFault::Unauthorized
    } else {
        PullFault::Other
    }
}

/// Bytes of all layers that are downloaded.
#[derive(Default)]
struct Transfer {
    layers: HashMap<String, (u64, u64)>,
    last: Option<Instant>,
}

impl Transfer {
    /// What to show now, if anything.
    fn apply(&mut self, info: &CreateImageInfo, reference: &str) -> Option<Progress> {
        let id = info.id.clone()?;
        let detail = info.progress_detail.as_ref();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        match info.status.as_deref()? {
            "Downloading" => {
                let current = number(detail?.current)?;
                let total = number(detail?.total).unwrap_or(current);
                self.layers.insert(id, (current, total.max(current)));
            }
            "Download complete" | "Pull complete" => {
                if let Some((current, total)) = self.layers.get_mut(&id) {
                    *current = *total;
                }
            }
            _ => return None,
        }
        let (done, total) = self
            .layers
            .values()
            .fold((0, 0), |(done, all), (current, total)| {
                (done + current, all + total)
            });
        let due = self.last.is_none_or(|last| last.elapsed() >= TICK);
        if total == 0 || !(due || done == total) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(Progress {
            message: format!("Pulling {reference}"),
            done: Some(done),
            total: Some(total),
            unit: Unit::Bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn info(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn sums_bytes_over_layers() {
        let mut transfer = Transfer::default();
        let mut apply = |info| {
            transfer.last = None;
            let progress = transfer.apply(&info, "x")?;
            Some((progress.done?, progress.total?))
        };
        assert_eq!(apply(info("15", "Pulling from x", None)), None);
        assert_eq!(
            apply(info("a", "Downloading", Some((5, 10)))),
            Some((5, 10))
        );
        assert_eq!(
            apply(info("b", "Downloading", Some((1, 20)))),
            Some((6, 30))
        );
        assert_eq!(apply(info("a", "Download complete", None)), Some((11, 30)));
        assert_eq!(apply(info("a", "Extracting", Some((1, 10)))), None);
    }

    #[test]
    fn tells_failures_apart() {
        let cases = [
            ("dial tcp: lookup h: no such host", PullFault::Unreachable),
            (
                "manifest for h/x:1 not found: manifest unknown: manifest unknown",
                PullFault::Unknown,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                PullFault::Unknown,
            ),
            (
                "Head \"https://h/v2/x/manifests/1\": unauthorized: authentication required",
                PullFault::Unauthorized,
            ),
            ("disk full", PullFault::Other),
        ];
        for (text, fault) in cases {
            assert_eq!(classify(text), fault, "{text}");
        }
    }

    #[test]
    fn knows_where_a_registry_answers() {
        assert_eq!(address("h.test"), "h.test:443");
        assert_eq!(address("h.test:5000"), "h.test:5000");
        assert_eq!(address("[::1]"), "[::1]:443");
        assert_eq!(address("[::1]:5"), "[::1]:5");
    }
}
