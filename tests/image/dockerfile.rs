use std::collections::BTreeMap;

use devenv::{
    config::Dockerfile,
    event::{Explain, Site},
    image::{BaseImage, Builder, DockerfileBuild, ImageError, KEY_LABEL, dockerfile_inputs},
};

use super::Bench;

fn at(path: &str) -> Dockerfile {
    Dockerfile {
        path: path.into(),
        context: ".".into(),
        target: None,
        args: BTreeMap::new(),
    }
}

fn build(bench: &Bench, tag: &str, builder: Builder) -> DockerfileBuild {
    DockerfileBuild {
        args: [("GREETING".to_owned(), "hello".to_owned())].into(),
        labels: [("own".to_owned(), "label".to_owned())].into(),
        builder,
        ..DockerfileBuild::tagged(bench.tag(tag))
    }
}

async fn builds(builder: Builder) {
    let mut bench = Bench::new().await;
    let base = bench.busybox("base", &[]).await;
    // Only under another name is it there.
    let named = bench.tag("named");
    bench.write(
        "ctx/Dockerfile",
        format!(
            "FROM {named} AS one\nARG GREETING\nCOPY . /src\nCOPY --from={named} /bin/cat /cat\nRUN echo \"$GREETING out of the build\" && cat /src/sub/keep.txt\n\
             FROM one AS two\nRUN false\n"
        ),
    );
    bench.write(
        "ctx/.dockerignore",
        "# comment\n*.log\n**/secret\n!keep.log\n",
    );
    for file in ["a.log", "keep.log", "sub/secret", "sub/keep.txt", "top.txt"] {
        bench.write(&format!("ctx/{file}"), format!("{file}\n"));
    }
    let dockerfile = Dockerfile {
        context: "ctx".into(),
        target: Some("one".into()),
        ..at("ctx/Dockerfile")
    };
    let wanted = DockerfileBuild {
        bases: [(
            named,
            BaseImage {
                tag: base,
                id: "sha256:0".into(),
            },
        )]
        .into(),
        ..build(&bench, "built", builder)
    };
    let tag = wanted.tag.clone();
    let key = dockerfile_inputs(bench.root(), &dockerfile, &wanted.args, &wanted.bases)
        .unwrap()
        .key();
    let image = bench
        .images
        .dockerfile(
            bench.root(),
            &dockerfile,
            wanted,
            &bench.events,
            &bench.cancel,
        )
        .await
        .unwrap_or_else(|error| panic!("{:?}", error.explain()));
    assert_eq!(image.labels["own"], "label");
    assert_eq!(image.labels[KEY_LABEL], key.to_hex());
    assert_eq!(image.origin.as_deref(), Some("dockerfile"));
    let files = bench
        .run(
            &tag,
            &[
                "sh",
                "-c",
                "cd /src && busybox find . -type f | busybox sort",
            ],
        )
        .await;
    assert_eq!(
        files,
        "./.dockerignore\n./Dockerfile\n./keep.log\n./sub/keep.txt\n./top.txt\n"
    );
    let log = bench.log();
    for line in ["hello out of the build", "sub/keep.txt"] {
        assert!(
            log.iter().any(|logged| logged == line),
            "{line} not in {log:?}"
        );
    }
}

#[tokio::test]
async fn buildkit_builds() {
    builds(Builder::BuildKit).await;
}

#[tokio::test]
async fn the_classic_builder_builds() {
    builds(Builder::Classic).await;
}

async fn fails(builder: Builder) {
    let bench = Bench::new().await;
    let base = bench.busybox("base", &[]).await;
    bench.write(
        "Dockerfile",
        format!("# why\nFROM {base}\nRUN echo early\n\nRUN echo before the fall && \\\n    echo it fell >&2 && exit 7\n"),
    );
    let wanted = build(&bench, "failed", builder);
    let error = bench
        .images
        .dockerfile(
            bench.root(),
            &at("Dockerfile"),
            wanted,
            &bench.events,
            &bench.cancel,
        )
        .await
        .unwrap_err();
    let fault = error.explain();
    assert_eq!(fault.message, "building `Dockerfile` failed");
    let site = Site::File {
        path: "Dockerfile".into(),
        line: 5,
        column: 1,
    };
    assert_eq!(fault.site, Some(site), "{fault:?}");
    assert_eq!(
        fault.excerpt.as_deref(),
        Some("RUN echo before the fall && \\")
    );
    assert!(fault.notes[0].contains('7'), "{fault:?}");
    let mut tail = fault.notes[1..].to_vec();
    tail.sort();
    assert_eq!(tail, ["before the fall", "it fell"], "{fault:?}");
}

#[tokio::test]
async fn buildkit_shows_what_failed() {
    fails(Builder::BuildKit).await;
}

#[tokio::test]
async fn the_classic_builder_shows_what_failed() {
    fails(Builder::Classic).await;
}

#[tokio::test]
async fn a_syntax_error_and_a_missing_dockerfile() {
    let bench = Bench::new().await;
    bench.write("Dockerfile", "FROM scratch\n\nFOO bar\n");
    for builder in [Builder::BuildKit, Builder::Classic] {
        let wanted = build(&bench, "syntax", builder);
        let error = bench
            .images
            .dockerfile(
                bench.root(),
                &at("Dockerfile"),
                wanted,
                &bench.events,
                &bench.cancel,
            )
            .await
            .unwrap_err();
        let fault = error.explain();
        let line = matches!(&error, ImageError::Build { spot: Some(spot), .. } if spot.line == 3);
        assert!(line, "{builder:?}: {fault:?}");
        assert_eq!(fault.excerpt.as_deref(), Some("FOO bar"));
    }
    let wanted = build(&bench, "missing", Builder::Auto);
    let error = bench
        .images
        .dockerfile(
            bench.root(),
            &at("docker/none"),
            wanted,
            &bench.events,
            &bench.cancel,
        )
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot read `docker/none`");
}

#[tokio::test]
async fn an_image_that_nobody_has_is_shown_where_it_is_named() {
    let bench = Bench::new().await;
    let base = bench.busybox("base", &[]).await;
    // Nobody listens there.
    let none = format!("localhost:1/{}", bench.tag("none"));
    let from = format!("FROM scratch\n\nFROM {none}\n");
    let copy = format!("FROM {base}\n\nCOPY --from={none} / /\n");
    let dockerfile = at("Dockerfile");
    // BuildKit does not say which instruction wanted an image to copy from.
    let (both, classic) = ([Builder::BuildKit, Builder::Classic], [Builder::Classic]);
    for (text, column, builders) in [(from, 6, &both[..]), (copy, 13, &classic)] {
        bench.write("Dockerfile", &text);
        for &builder in builders {
            let wanted = build(&bench, "on-none", builder);
            let built = bench.images.dockerfile(
                bench.root(),
                &dockerfile,
                wanted,
                &bench.events,
                &bench.cancel,
            );
            let fault = built.await.unwrap_err().explain();
            let site = Site::File {
                path: "Dockerfile".into(),
                line: 3,
                column,
            };
            assert_eq!(fault.site, Some(site), "{builder:?} {fault:?}");
            let help = fault.help.unwrap_or_default();
            assert!(help.contains(&format!("`ref = \"{none}\"`")), "{help}");
        }
    }
}
