use std::{collections::BTreeMap, time::Duration};

use devenv::{
    config::{Debian, Image},
    event::{Event, Explain},
    image::ImageError,
};

use super::{Bench, shown};

/// The smallest image of packages: one static program, unpacked.
pub fn definition(reference: &str) -> Image {
    Image {
        reference: reference.into(),
        debian: Some(Debian {
            suite: "bookworm".into(),
            packages: vec!["busybox-static".into()],
            variant: "extract".into(),
            files: BTreeMap::new(),
            user: None,
            workdir: None,
            entrypoint: vec!["busybox".into()],
            command: vec!["echo".into(), "one".into()],
            env: BTreeMap::new(),
        }),
        dockerfile: None,
    }
}

#[tokio::test]
async fn builds_once_then_serves_from_the_cache() {
    let mut bench = Bench::new().await;
    let tag = bench.tag("deb");
    let image = definition(&tag);
    let first = bench.debian(&image).await.unwrap();
    assert_eq!(first.origin.as_deref(), Some("debian"));
    assert_eq!(bench.run(&tag, &[]).await, "one\n");
    assert!(
        bench
            .log()
            .iter()
            .any(|line| line.contains("busybox-static"))
    );

    // Deleted from the engine: from the cache, and the same image.
    bench.images.remove(&tag).await.unwrap();
    assert_eq!(bench.images.inspect(&tag).await.unwrap(), None);
    assert_eq!(bench.debian(&image).await.unwrap(), first);
    let log = bench.log();
    assert!(!log.iter().any(|line| line.contains("apt")), "{log:?}");

    // Another configuration and an extra file: the same packages.
    bench.write("conf/hello.txt", "hi there");
    let mut changed = image.clone();
    let debian = changed.debian.as_mut().unwrap();
    debian.command = vec!["cat".into(), "/etc/app/hello.txt".into()];
    debian.user = Some("1000:1000".into());
    debian.files = [("/etc/app".into(), "conf".into())].into();
    let second = bench.debian(&changed).await.unwrap();
    assert_eq!(bench.run(&tag, &[]).await, "hi there");
    assert_ne!(second.key(), first.key());
    assert_eq!(second.layers[0], first.layers[0]);
    assert_eq!(second.user(), Some("1000:1000"));
    assert_eq!(second.env("PATH"), first.env("PATH"));
    // The one it took the tag from is gone.
    assert_eq!(bench.images.inspect(&first.id).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_of_this_machine_is_in_the_image() {
    let bench = Bench::new().await;
    let tag = bench.tag("clean");
    bench.debian(&definition(&tag)).await.unwrap();
    let script = "busybox find / -xdev -type f ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' ! -path '/var/lib/dpkg/*' \
                  ! -path '/usr/share/initramfs-tools/*' ! -path '/etc/dpkg/*' ! -path '/etc/apt/*' | busybox sort";
    let files = bench.run(&tag, &["sh", "-c", script]).await;
    expect_test::expect![[r#"
        /.dockerenv
        /bin/busybox
        /etc/fstab
        /etc/hostname
        /etc/hosts
        /etc/resolv.conf
        /usr/share/doc/busybox-static/copyright
        /var/cache/apt/archives/lock
        /var/lib/apt/lists/lock
    "#]]
    .assert_eq(&files);
}

#[tokio::test]
async fn a_package_that_does_not_exist() {
    let bench = Bench::new().await;
    let mut image = definition(&bench.tag("none"));
    image.debian.as_mut().unwrap().packages = vec!["no-such-package-1".into()];
    let error = bench.debian(&image).await.unwrap_err();
    let text = shown(&bench.explain(&error));
    assert!(
        text.starts_with("mmdebstrap could not build `bookworm`\n"),
        "{text}"
    );
    assert!(
        text.contains("= E: Unable to locate package no-such-package-1"),
        "{text}"
    );
    assert!(
        text.ends_with("? check the names in `packages` and the `suite`"),
        "{text}"
    );
}

#[tokio::test]
async fn another_suite_from_this_machines_mirror() {
    let bench = Bench::new().await;
    let tag = bench.tag("trixie");
    let mut image = definition(&tag);
    image.debian.as_mut().unwrap().suite = "trixie".into();
    bench.debian(&image).await.unwrap();
    assert_eq!(bench.run(&tag, &[]).await, "one\n");
}

#[tokio::test]
async fn cancel_leaves_nothing_behind() {
    let mut bench = Bench::new().await;
    let tag = bench.tag("cancel");
    let image = definition(&tag);
    let cancel = bench.cancel.clone();
    let (images, root, events) = (
        bench.images.clone(),
        bench.root().to_owned(),
        bench.events.clone(),
    );
    let token = cancel.clone();
    let mut build = tokio::spawn(async move {
        let labels = Default::default();
        images.debian(&root, &image, labels, &events, &token).await
    });
    // Once mmdebstrap has its folder, it is in the middle of its work.
    let work = loop {
        let record = tokio::select! {
            record = bench.records.recv() => record.expect("the bench holds a sender"),
            ended = &mut build => panic!("the build ended at once: {ended:?}"),
        };
        if let Event::StepLog { line, .. } = record.event
            && let Some(dir) = line.strip_prefix("I: using ")
        {
            break dir.split(' ').next().unwrap().to_owned();
        }
    };
    cancel.cancel();
    let error = tokio::time::timeout(Duration::from_secs(20), build)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error, ImageError::Cancelled),
        "{}",
        error.explain()
    );
    let work = std::path::Path::new(&work);
    assert!(!work.exists() && !work.parent().unwrap().exists());
    let left: Vec<_> = std::fs::read_dir(bench.root().join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(bench.images.inspect(&tag).await.unwrap(), None);
}

#[tokio::test]
async fn two_at_once_build_once() {
    let mut bench = Bench::new().await;
    let (one, two) = (definition(&bench.tag("one")), definition(&bench.tag("two")));
    let build = |image| bench.debian(image);
    let (one, two) = tokio::join!(build(&one), build(&two));
    assert_eq!(one.unwrap().layers, two.unwrap().layers);
    let updates = bench
        .log()
        .into_iter()
        .filter(|line| line.starts_with("I: running apt-get update"));
    assert_eq!(updates.count(), 1);
}
