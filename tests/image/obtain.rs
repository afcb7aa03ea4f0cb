use std::{collections::BTreeMap, time::Instant};

use devenv::{
    image::{Fit, Want, definition_inputs},
    plan::Digest,
};

use super::{Bench, debian::definition, shown};

static NO_BASES: devenv::image::Bases = BTreeMap::new();

/// Nothing listens on port 1.
const NO_REGISTRY: &str = "127.0.0.1:1";

#[tokio::test]
async fn what_is_on_the_engine_is_taken_as_it_is() {
    let mut bench = Bench::new().await;
    let tag = bench.busybox("own", &[]).await;
    let image = definition(&tag);
    let args = BTreeMap::new();
    let want = Want {
        root: bench.root(),
        reference: &tag,
        own_tag: "devenv-image-test-not:used",
        builder: "a-test",
        pinned: Some("sha256:0"),
        definition: Some(&image),
        args: &args,
        bases: &NO_BASES,
    };
    let got = bench.obtain(want).await.unwrap();
    assert_eq!(got.origin, None);
    assert_eq!(bench.log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_definition_is_built_when_no_registry_answers_and_again_when_it_changes() {
    let mut bench = Bench::new().await;
    let tag = format!("{NO_REGISTRY}/{}", bench.tag("deb"));
    let mut image = definition(&tag);
    let args = BTreeMap::new();
    let root = bench.root().to_owned();
    fn wanted<'a>(
        root: &'a std::path::Path,
        reference: &'a str,
        definition: &'a devenv::config::Image,
        args: &'a BTreeMap<String, String>,
    ) -> Want<'a> {
        Want {
            root,
            reference,
            own_tag: "devenv-image-test-not:used",
            builder: "a-test",
            pinned: None,
            definition: Some(definition),
            args,
            bases: &NO_BASES,
        }
    }
    let first = bench
        .obtain(wanted(&root, &tag, &image, &args))
        .await
        .unwrap();
    let log = bench.log();
    assert!(
        log[0].starts_with(&format!("cannot pull {tag}: no registry can be reached: ")),
        "{log:?}"
    );
    let key = definition_inputs(&root, &image, &args, &BTreeMap::new())
        .unwrap()
        .unwrap()
        .key();
    assert_eq!(first.fit(Some(&key), None), Fit::Yes);
    assert_eq!(
        first.fit(Some(&Digest::of("other")), None),
        Fit::OtherDefinition
    );

    // Nothing to do: no pull, no build.
    let again = bench
        .obtain(wanted(&root, &tag, &image, &args))
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(bench.log(), Vec::<String>::new());

    image.debian.as_mut().unwrap().command = vec!["echo".into(), "two".into()];
    let second = bench
        .obtain(wanted(&root, &tag, &image, &args))
        .await
        .unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(bench.run(&tag, &[]).await, "two\n");
    let log = bench.log();
    assert!(
        !log.iter().any(|line| line.contains("cannot pull")),
        "{log:?}"
    );
}

#[tokio::test]
async fn of_two_definitions_of_a_reference_the_second_gets_a_tag_of_its_own() {
    let bench = Bench::new().await;
    let tag = format!("{NO_REGISTRY}/{}", bench.tag("deb"));
    let own_tag = bench.tag("own");
    let args = BTreeMap::new();
    let image = definition(&tag);
    let mut other = definition(&tag);
    other.debian.as_mut().unwrap().command = vec!["echo".into(), "other".into()];
    let want = |image, builder| Want {
        root: bench.root(),
        reference: &tag,
        own_tag: &own_tag,
        builder,
        pinned: None,
        definition: Some(image),
        args: &args,
        bases: &NO_BASES,
    };
    let (one, two) = tokio::join!(
        bench.obtain(want(&image, "one")),
        bench.obtain(want(&other, "two"))
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut tags = [&one.reference, &two.reference];
    tags.sort();
    let mut expected = [&tag, &own_tag];
    expected.sort();
    assert_eq!(tags, expected);
    assert_eq!(bench.obtain(want(&image, "one")).await.unwrap(), one);
    assert_eq!(bench.obtain(want(&other, "two")).await.unwrap(), two);
    assert_eq!(bench.run(&two.id, &[]).await, "other\n");

    // Who has the reference edits the definition: only its own image moves.
    let (mut mine, builder) = match one.reference == tag {
        true => (image.clone(), "one"),
        false => (other.clone(), "two"),
    };
    mine.debian.as_mut().unwrap().command = vec!["echo".into(), "edited".into()];
    let edited = bench.obtain(want(&mine, builder)).await.unwrap();
    assert_eq!(edited.reference, tag);
    assert_eq!(bench.run(&tag, &[]).await, "edited\n");
    assert!(bench.images.inspect(&own_tag).await.unwrap().is_some());
}

#[tokio::test]
async fn one_error_names_everything_tried() {
    let bench = Bench::new().await;
    let tag = format!("{NO_REGISTRY}/{}", bench.tag("none"));
    let args = BTreeMap::new();
    let want = Want {
        root: bench.root(),
        reference: &tag,
        own_tag: "devenv-image-test-not:used",
        builder: "a-test",
        pinned: None,
        definition: None,
        args: &args,
        bases: &NO_BASES,
    };
    let begun = Instant::now();
    let error = bench.obtain(want).await.unwrap_err();
    assert!(begun.elapsed().as_secs() < 5);
    expect_test::expect![[r#"
        image `127.0.0.1:1/[NAME]:none` cannot be had
        = on the engine: not there
        = pulled: no registry can be reached: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
        = built: no `[image.…]` table has `ref = "127.0.0.1:1/[NAME]:none"`
        ? make a registry reachable, load `127.0.0.1:1/[NAME]:none` into the engine, or say how to build it in an `[image.…]` table"#]].assert_eq(&shown(&bench.explain(&error)));
}
