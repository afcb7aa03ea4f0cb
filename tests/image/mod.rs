//! Images on a real engine. What a test makes bears its own prefix and is removed when it ends, also when it fails.

mod artifact;
mod debian;
mod dockerfile;
mod obtain;
mod pull;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use bollard::{
    Docker, body_full,
    models::ImageSummary,
    query_parameters::{
        CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
    },
};
use devenv::{
    config::{HostBuild, Image, StepId, StepKind},
    event::{Event, Events, Explain, Fault, Record, StepEvents},
    image::{Base, ImageError, ImageInfo, Images, Want},
    sys::docker_host::Endpoint,
};
use futures_util::TryStreamExt;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::support::write_program;

/// A test's view of the engine, a project folder and an image cache of its own.
struct Bench {
    docker: Docker,
    images: Images,
    dir: tempfile::TempDir,
    name: String,
    events: StepEvents,
    records: UnboundedReceiver<Record>,
    cancel: CancellationToken,
}

impl Bench {
    async fn new() -> Self {
        let endpoint = Endpoint::find().expect("an engine is configured");
        let images = Images::connect(&endpoint).expect("the engine's socket is there");
        let docker = Docker::connect_with_defaults()
            .expect("the engine's socket is there")
            .negotiate_version()
            .await
            .expect("the engine answers");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new()
            .prefix("devenv-image-")
            .tempdir()
            .unwrap();
        let (events, records) = Events::channel();
        Self {
            docker,
            images: images.with_cache(dir.path().join("cache")),
            dir,
            name: format!("devenv-image-test-{}-{count}", std::process::id()),
            events: events.of(&StepId::new(StepKind::Image, "x")),
            records,
            cancel: CancellationToken::new(),
        }
    }

    /// A reference of this test.
    fn tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn write_program(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write_program(&self.root().join(path), bytes);
    }

    /// Imports busybox as an image, with more files: path in the image → file on this machine.
    async fn busybox(&self, tag: &str, more: &[(&str, &str)]) -> String {
        let mut tar = tar::Builder::new(Vec::new());
        tar.follow_symlinks(true);
        let busybox = "/bin/busybox";
        assert!(
            Path::new(busybox).exists(),
            "these tests need the package busybox-static"
        );
        tar.append_path_with_name(busybox, "bin/busybox").unwrap();
        for applet in [
            "sh", "cat", "ls", "echo", "true", "false", "find", "sort", "sleep",
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, format!("bin/{applet}"), "busybox")
                .unwrap();
        }
        for (to, from) in more {
            tar.append_path_with_name(from, to).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        let reference = self.tag(tag);
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&self.name)
            .tag(tag)
            .changes(vec!["ENV PATH=/bin".into(), "CMD [\"sh\"]".into()])
            .build();
        self.docker
            .create_image(Some(options), Some(body_full(bytes.into())), None)
            .try_collect::<Vec<_>>()
            .await
            .unwrap();
        reference
    }

    async fn debian(&self, image: &Image) -> Result<ImageInfo, ImageError> {
        let build = self.images.debian(
            self.root(),
            image,
            BTreeMap::new(),
            &self.events,
            &self.cancel,
        );
        build.await
    }

    async fn artifact(&self, build: &HostBuild, tag: &str) -> Result<ImageInfo, ImageError> {
        let found = self.images.inspect(&build.base).await?;
        let base = Base {
            id: &found.expect("the test made its base").id,
            tag: &build.base,
        };
        let lay = self
            .images
            .artifact(self.root(), build, base, tag, &self.events, &self.cancel);
        lay.await
    }

    async fn obtain(&self, want: Want<'_>) -> Result<ImageInfo, ImageError> {
        let obtain = self.images.obtain(want, &self.events, &self.cancel);
        Ok(obtain.await?.image)
    }

    /// Output of a container of the image with these arguments.
    async fn run(&self, reference: &str, args: &[&str]) -> String {
        self.docker_run(&[&[reference], args].concat()).await
    }

    async fn docker_run(&self, args: &[&str]) -> String {
        let mut docker = tokio::process::Command::new("docker");
        docker.args(["run", "--rm", "--network=none"]).args(args);
        let output = docker.output().await.expect("the docker command");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// All lines the step has logged so far.
    fn log(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(record) = self.records.try_recv() {
            if let Event::StepLog { line, .. } = record.event {
                lines.push(line);
            }
        }
        lines
    }

    fn explain(&self, error: &ImageError) -> Fault {
        let fault = error.explain();
        let hide = |text: String| text.replace(&self.name, "[NAME]");
        Fault {
            message: hide(fault.message),
            notes: fault.notes.into_iter().map(hide).collect(),
            help: fault.help.map(hide),
            ..fault
        }
    }
}

/// A failure as a person would see it.
fn shown(fault: &Fault) -> String {
    let mut lines = vec![fault.message.clone()];
    if let Some(site) = &fault.site {
        lines.push(format!("{site:?}"));
    }
    lines.extend(fault.notes.iter().map(|note| format!("= {note}")));
    lines.extend(fault.help.iter().map(|help| format!("? {help}")));
    lines.join("\n")
}

impl Drop for Bench {
    fn drop(&mut self) {
        let (docker, name) = (self.docker.clone(), self.name.clone());
        // The test's own runtime may be gone or blocked: clean up on another.
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(remove_all(&docker, &name));
        });
        cleaned.join().unwrap();
    }
}

/// Removes the test's images, and what the classic builder keeps of builds on them.
async fn remove_all(docker: &Docker, name: &str) {
    let options = ListImagesOptionsBuilder::default().all(true).build();
    let all = docker.list_images(Some(options)).await.unwrap_or_default();
    let own = |image: &&ImageSummary| {
        let mut names = image.repo_tags.iter().chain(&image.repo_digests);
        names.any(|reference| reference.contains(name))
    };
    let mut doomed: Vec<_> = all
        .iter()
        .filter(own)
        .map(|image| image.id.clone())
        .collect();
    let mut from = 0;
    while from < doomed.len() {
        let children = all.iter().filter(|image| image.parent_id == doomed[from]);
        let children: Vec<_> = children.map(|image| image.id.clone()).collect();
        doomed.extend(children);
        from += 1;
    }
    for id in doomed.iter().rev() {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let _ = docker.remove_image(id, Some(options), None).await;
    }
}
