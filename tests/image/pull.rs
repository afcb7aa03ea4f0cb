use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use devenv::event::Event;
use futures_util::TryStreamExt;

use super::{Bench, shown};
use crate::support::Registry;

impl Bench {
    /// Tags the image for the registry and pushes it; the reference there.
    async fn push(&self, registry: &Registry, local: &str, tag: &str) -> String {
        let repo = format!("{}/{}", registry.host(), self.name);
        let options = TagImageOptionsBuilder::default()
            .repo(&repo)
            .tag(tag)
            .build();
        self.docker.tag_image(local, Some(options)).await.unwrap();
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let anonymous = Some(Default::default());
        self.docker
            .push_image(&repo, Some(options), anonymous)
            .try_collect::<Vec<_>>()
            .await
            .unwrap();
        format!("{repo}:{tag}")
    }
}

#[tokio::test]
async fn pulls_with_progress_and_by_the_pinned_digest() {
    let mut bench = Bench::new().await;
    let registry = Registry::start();
    // A layer that no other test has: the engine would not download it.
    let own = bench.write("own", &bench.name);
    let own = own.to_str().unwrap();
    let old = bench.busybox("old", &[("etc/old", own)]).await;
    let remote = bench.push(&registry, &old, "1").await;
    let pushed = bench.images.inspect(&remote).await.unwrap().unwrap();
    let digest = pushed
        .repo_digest
        .clone()
        .expect("a pushed image has a digest");
    for reference in [&old, &remote] {
        bench.images.remove(reference).await.unwrap();
    }
    assert_eq!(bench.images.inspect(&remote).await.unwrap(), None);

    let pulled = bench
        .images
        .pull(&remote, None, &bench.events, &bench.cancel)
        .await
        .unwrap();
    assert_eq!(pulled.repo_digest.as_ref(), Some(&digest));
    assert_eq!(pulled.origin.as_deref(), Some("registry"));
    let mut last = None;
    while let Ok(record) = bench.records.try_recv() {
        if let Event::StepProgress { progress, .. } = record.event
            && let (Some(done), Some(total)) = (progress.done, progress.total)
        {
            last = Some((done, total));
        }
    }
    let (done, total) = last.expect("progress in bytes");
    assert!(done == total && total > 500_000, "{done} of {total}");

    // The tag moves on, the lock does not.
    let new = bench.busybox("new", &[("etc/new", own)]).await;
    bench.push(&registry, &new, "1").await;
    for reference in [&new, &remote] {
        bench.images.remove(reference).await.unwrap();
    }
    let pinned = bench
        .images
        .pull(&remote, Some(&digest), &bench.events, &bench.cancel)
        .await
        .unwrap();
    assert_eq!(pinned.id, pulled.id);
    assert_eq!(pinned.reference, remote);
    assert_eq!(pinned.repo_digest, Some(digest));
}

#[tokio::test]
async fn an_unknown_tag_and_a_registry_that_is_away() {
    let bench = Bench::new().await;
    let registry = Registry::start();
    let reference = format!("{}/{}", registry.host(), bench.tag("none"));
    let pull = bench
        .images
        .pull(&reference, None, &bench.events, &bench.cancel);
    let fault = bench.explain(&pull.await.unwrap_err());
    let text = shown(&fault).replace(registry.host(), "[HOST]");
    expect_test::expect![[r#"
        cannot pull `[HOST]/[NAME]:none`: the registry does not have it
        = manifest for [HOST]/[NAME]:none not found: manifest unknown: manifest unknown
        ? check the name and the tag"#]]
    .assert_eq(&text);

    drop(registry);
    let pull = bench
        .images
        .pull(&reference, None, &bench.events, &bench.cancel);
    let fault = bench.explain(&pull.await.unwrap_err());
    assert!(
        fault.message.ends_with("no registry can be reached"),
        "{fault:?}"
    );
}
