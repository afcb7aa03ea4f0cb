//! A tiny image made from the machine's static busybox, and removed again: no registry is needed.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
    RemoveImageOptionsBuilder,
};
use devenv::image::TAG_LABEL;
use futures_util::TryStreamExt;

use super::Project;

const REPOSITORY: &str = "devenv-test-busybox";

/// An imported image. Its programs are busybox' own, under /bin.
pub struct BusyboxImage {
    pub reference: String,
}

impl BusyboxImage {
    /// Imports it under a name that no other test has, so that each removes its own.
    pub fn import() -> Self {
        Self::with(&APPLETS)
    }

    /// One with nothing to run but `sleep`.
    pub fn without_a_shell() -> Self {
        Self::with(&["sleep"])
    }

    fn with(applets: &[&str]) -> Self {
        let reference = format!("{REPOSITORY}:{}", unique());
        let archive = root(&reference, applets);
        // In full, and in one piece: Podman reads no separate tag, and makes `localhost/…` of a short name.
        let import = format!("docker.io/library/{reference}");
        on_engine(move |engine| async move {
            let options = CreateImageOptionsBuilder::default()
                .from_src("-")
                .repo(&import)
                .changes(vec![r#"CMD ["sleep","1000"]"#.to_owned()])
                .build();
            let body = bollard::body_full(archive.into());
            let steps = engine.create_image(Some(options), Some(body), None);
            let _: Vec<_> = steps.try_collect().await.expect("an imported image");
        });
        Self { reference }
    }
}

/// The archive of its root folder.
fn root(reference: &str, applets: &[&str]) -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox")
        .expect("/bin/busybox, static: install the package `busybox-static`");
    let mut archive = tar::Builder::new(Vec::new());
    for folder in ["bin/", "etc/", "tmp/", "data/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o777);
        header.set_size(0);
        archive
            .append_data(&mut header, folder, std::io::empty())
            .expect("a folder in memory");
    }
    let users = b"root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n";
    for (path, mode, bytes) in [
        ("bin/busybox", 0o755, busybox.as_slice()),
        ("etc/passwd", 0o644, users),
        // A layer of its own: Podman loses one that is imported here and removed there at once.
        ("etc/image", 0o644, reference.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        archive
            .append_data(&mut header, path, bytes)
            .expect("a file in memory");
    }
    for applet in applets {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .expect("a link in memory");
    }
    archive.into_inner().expect("an archive in memory")
}

/// The busybox image that all tests of this process share; the last one to use it removes it.
pub fn busybox() -> Arc<BusyboxImage> {
    static SHARED: Shared<BusyboxImage> = Shared::new();
    SHARED.get(BusyboxImage::import)
}

/// What a project with a database and an app needs.
pub struct PostgresImages {
    pub base: Arc<BusyboxImage>,
    /// Postgres 15 from Debian packages.
    pub postgres: String,
    /// Removes it with all that it made.
    _project: Project,
}

/// Built once per machine (the root file system is cached), loaded once per process.
pub fn postgres() -> Arc<PostgresImages> {
    static SHARED: Shared<PostgresImages> = Shared::new();
    SHARED.get(|| {
        let reference = format!("devenv-test-postgres:{}", unique());
        let project = Project::new(&format!(
            r#"
[project]
name = "images"

[image.postgres]
ref = "{reference}"
debian = {{ suite = "bookworm", packages = ["postgresql-15"] }}
"#
        ));
        project.ok(&["up"]);
        PostgresImages {
            base: busybox(),
            postgres: reference,
            _project: project,
        }
    })
}

impl Drop for PostgresImages {
    fn drop(&mut self) {
        remove(&self.postgres);
    }
}

/// One value for all who hold it at the same time.
struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = shared.upgrade() {
            return value;
        }
        let value = Arc::new(make());
        *shared = Arc::downgrade(&value);
        value
    }
}

impl Drop for BusyboxImage {
    fn drop(&mut self) {
        remove(&self.reference);
    }
}

/// Removes an image with all its names when it is dropped, if it is there.
pub struct Removed(pub String);

impl Drop for Removed {
    fn drop(&mut self) {
        let reference = self.0.clone();
        on_engine(move |engine| async move {
            // By its id: a pulled image has a digest beside its tag.
            let image = engine.inspect_image(&reference).await;
            if let Some(id) = image.ok().and_then(|image| image.id) {
                let options = RemoveImageOptionsBuilder::default().force(true).build();
                let _ = engine.remove_image(&id, Some(options), None).await;
            }
            // What was built for the tag before has no name any more.
            let label = format!("{TAG_LABEL}={reference}");
            let filters = [("dangling", vec!["true"]), ("label", vec![label.as_str()])];
            let options = ListImagesOptionsBuilder::default()
                .filters(&filters.into_iter().collect())
                .build();
            for image in engine.list_images(Some(options)).await.unwrap_or_default() {
                let _ = engine
                    .remove_image(&image.id, None::<RemoveImageOptions>, None)
                    .await;
            }
        });
    }
}

/// Removes an image, if it is there.
pub fn remove(reference: &str) {
    let reference = reference.to_owned();
    on_engine(move |engine| async move {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let _ = engine.remove_image(&reference, Some(options), None).await;
    });
}

/// Does something on the engine, from inside or outside of an async test.
pub fn on_engine<F>(work: impl FnOnce(bollard::Docker) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let engine = bollard::Docker::connect_with_defaults().expect("a container engine");
        runtime.block_on(work(engine));
    });
    if let Err(panic) = thread.join()
        && !std::thread::panicking()
    {
        std::panic::resume_unwind(panic);
    }
}

/// A name that no other test of any run has.
pub fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .subsec_nanos();
    format!(
        "{}-{}-{nanos}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

const APPLETS: [&str; 17] = [
    "sh", "sleep", "cat", "echo", "nc", "httpd", "ls", "mkdir", "rm", "stty", "true", "false",
    "seq", "test", "touch", "stat", "id",
];
