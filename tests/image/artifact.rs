use std::{collections::BTreeMap, fs};

use devenv::{
    config::{Command, HostBuild},
    event::Explain,
    image::artifact_inputs,
};

use super::{Bench, shown};

/// A dynamically linked program of this machine.
const PROGRAM: &str = "/bin/true";

/// What it needs from a base: path in the image and on this machine.
const LIBC: [(&str, &str); 2] = if cfg!(target_arch = "x86_64") {
    [
        (
            "lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libc.so.6",
        ),
        ("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
    ]
} else {
    [
        (
            "lib/aarch64-linux-gnu/libc.so.6",
            "/lib/aarch64-linux-gnu/libc.so.6",
        ),
        ("lib/ld-linux-aarch64.so.1", "/lib/ld-linux-aarch64.so.1"),
    ]
};

fn built(base: &str) -> HostBuild {
    HostBuild {
        run: Command::Shell("true".into()),
        artifact: "target/hello".into(),
        base: base.into(),
        inputs: Vec::new(),
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        user: "65532:65532".into(),
    }
}

#[tokio::test]
async fn the_same_program_on_the_same_base_is_the_same_image() {
    let bench = Bench::new().await;
    let base = bench.busybox("base", &LIBC).await;
    bench.write_program(
        "target/hello",
        "#!/bin/sh\necho \"$0 as $(busybox id -u) in $(busybox pwd): $(cat /etc/hello/a.conf)\"\n",
    );
    bench.write("a.conf", "configured");
    let mut build = built(&base);
    build.files = [("/etc/hello/a.conf".into(), "a.conf".into())].into();
    let lay = async |tag: &str| bench.artifact(&build, &bench.tag(tag)).await.unwrap();
    let first = lay("one").await;
    assert_eq!(
        bench.run(&bench.tag("one"), &[]).await,
        "/app/hello as 65532 in /app: configured\n"
    );
    assert_eq!(first.origin.as_deref(), Some("artifact"));
    assert_eq!(first.env("PATH"), Some("/bin"));
    let on = bench.images.inspect(&base).await.unwrap().unwrap();
    assert_eq!(first.layers[..first.layers.len() - 1], on.layers[..]);
    let key = artifact_inputs(bench.root(), &build, &on).unwrap().key();
    assert_eq!(first.key(), Some(key));

    // Written again later, elsewhere on the disk: nothing that counts has changed.
    fs::remove_file(bench.root().join("target/hello")).unwrap();
    bench.write_program(
        "target/hello",
        "#!/bin/sh\necho \"$0 as $(busybox id -u) in $(busybox pwd): $(cat /etc/hello/a.conf)\"\n",
    );
    assert_eq!(lay("one").await.id, first.id);
    // Another tag's is an image of its own, with the same layers.
    let second = lay("two").await;
    assert_eq!(second.layers, first.layers);
    assert_ne!(second.id, first.id);

    bench.write_program("target/hello", "#!/bin/sh\necho other\n");
    assert_ne!(lay("two").await.id, first.id);
    assert_eq!(bench.run(&bench.tag("two"), &[]).await, "other\n");
}

/// As two worktrees with the same program have it: each removes its own image when it is done, never another's.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_others_remove_meanwhile_is_there() {
    let bench = Bench::new().await;
    let base = bench.busybox("base", &[]).await;
    bench.write_program("target/hello", "#!/bin/sh\n");
    let (bench, build) = (&bench, &built(&base));
    let worktree = async |name: &str| {
        let tag = bench.tag(name);
        for _ in 0..30 {
            bench.artifact(build, &tag).await.unwrap();
            bench.images.remove(&tag).await.unwrap();
        }
    };
    tokio::join!(worktree("one"), worktree("two"), worktree("three"));
}

#[tokio::test]
async fn an_engine_that_wants_whole_images_builds_it() {
    let mut bench = Bench::new().await;
    bench.images = bench.images.clone().with_whole_images();
    let base = bench.busybox("base", &[]).await;
    bench.write_program(
        "target/hello",
        "#!/bin/sh\necho \"$0 as $(busybox id -u) in $(busybox pwd): $*\"\n",
    );
    let tag = bench.tag("built");
    let image = bench.artifact(&built(&base), &tag).await.unwrap();
    assert_eq!(
        bench.run(&tag, &["a"]).await,
        "/app/hello as 65532 in /app: a\n"
    );
    assert_eq!(
        bench.run(&tag, &[]).await,
        "/app/hello as 65532 in /app: \n"
    );
    assert_eq!(image.origin.as_deref(), Some("artifact"));
    let on = bench.images.inspect(&base).await.unwrap().unwrap();
    let key = artifact_inputs(bench.root(), &built(&base), &on)
        .unwrap()
        .key();
    assert_eq!(image.key(), Some(key));
}

#[tokio::test]
async fn programs_of_this_machine_run_on_its_own_libc() {
    let bench = Bench::new().await;
    let base = bench.busybox("libc", &LIBC).await;
    // Nothing to link against: only a static program runs.
    let empty = bench.busybox("empty", &[]).await;
    bench.write_program("target/hello", fs::read(PROGRAM).unwrap());
    for _ in 0..2 {
        // The second time from what is remembered of the base.
        let tag = bench.tag("ok");
        bench.artifact(&built(&base), &tag).await.unwrap();
        assert_eq!(bench.run(&tag, &[]).await, "");
    }
    bench.write_program("target/busybox", fs::read("/bin/busybox").unwrap());
    let mut linked = built(&empty);
    linked.artifact = "target/busybox".into();
    let tag = bench.tag("static");
    bench.artifact(&linked, &tag).await.unwrap();
    assert_eq!(bench.run(&tag, &["echo", "hi"]).await, "hi\n");
}

#[tokio::test]
async fn a_program_that_cannot_run_on_the_base_is_refused() {
    let bench = Bench::new().await;
    let base = bench.busybox("libc", &LIBC).await;
    let empty = bench.busybox("empty", &[]).await;
    let program = fs::read(PROGRAM).unwrap();
    let refused = async |base: &str, bytes: &[u8]| {
        bench.write_program("target/hello", bytes);
        let tag = bench.tag("refused");
        let error = bench.artifact(&built(base), &tag).await.unwrap_err();
        assert_eq!(bench.images.inspect(&tag).await.unwrap(), None);
        shown(&bench.explain(&error))
    };

    let newer = replaced(&program, b"GLIBC_2.34", b"GLIBC_9.99");
    let libc = gnu_libc();
    let text = refused(&base, &newer).await.replace(&libc, "[LIBC]");
    expect_test::expect![[r#"
        the artifact `target/hello` needs glibc 9.99, its base `[NAME]:libc` has [LIBC]
        ? use a base with glibc 9.99 or newer, or build in a Dockerfile"#]]
    .assert_eq(&text);

    let text = refused(&empty, &program).await;
    expect_test::expect![[r#"
        the artifact `target/hello` needs `/lib64/ld-linux-x86-64.so.2`, which its base `[NAME]:empty` does not have
        ? use a base with a C library, or link the artifact statically"#]].assert_eq(&text);

    let mut other = program.clone();
    let machine: u16 = if cfg!(target_arch = "x86_64") {
        183
    } else {
        62
    };
    other[18..20].copy_from_slice(&machine.to_le_bytes());
    let text = refused(&base, &other).await;
    expect_test::expect![[r#"
        the artifact `target/hello` is built for arm64, its base `[NAME]:libc` is amd64
        ? build for the base's architecture, or build in a Dockerfile"#]]
    .assert_eq(&text);

    let text = refused(&base, &program[..70]).await;
    assert!(text.starts_with("the artifact `"), "{text}");
}

#[tokio::test]
async fn an_artifact_that_is_not_there_or_not_executable() {
    let bench = Bench::new().await;
    let base = bench.busybox("base", &[]).await;
    let tag = bench.tag("none");
    let lay = async || {
        bench
            .artifact(&built(&base), &tag)
            .await
            .unwrap_err()
            .explain()
    };
    let missing = lay().await;
    bench.write("target/hello", "#!/bin/sh\n");
    let text = format!("{}\n{}", shown(&missing), shown(&lay().await));
    expect_test::expect![[r#"
        the build left no `target/hello`
        ? check `artifact` and what `run` writes
        the artifact `target/hello` is not executable
        ? run `chmod +x target/hello`"#]]
    .assert_eq(&text);
}

/// Every occurrence replaced, in place.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<_> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(
        !places.is_empty(),
        "{PROGRAM} has no {}",
        String::from_utf8_lossy(from)
    );
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// The version of this machine's C library.
fn gnu_libc() -> String {
    let output = std::process::Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().trim_start_matches("glibc ").to_owned()
}
