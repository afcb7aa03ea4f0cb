//! A registry on loopback.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt;
use rustix::process::{Pid, Signal, kill_process};

use super::image::on_engine;

/// A registry on loopback, which engines trust without TLS.
pub struct Registry {
    child: Child,
    host: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("devenv-registry-")
            .tempdir()
            .expect("a registry that starts");
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a registry that starts")
            .local_addr()
            .expect("a registry that starts")
            .port();
        let host = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            dir.path().join("data").display()
        );
        let path = dir.path().join("config.yml");
        std::fs::write(&path, config).expect("a registry that starts");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need the package docker-registry");
        let registry = Self {
            child,
            host,
            _dir: dir,
        };
        registry.wait();
        registry
    }

    /// Host and port, as images of it are called.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Tags an image for the registry and pushes it; its reference there.
    pub fn push(&self, local: &str, name: &str, tag: &str) -> String {
        let repo = format!("{}/{name}", self.host);
        let reference = format!("{repo}:{tag}");
        let (local, tag) = (local.to_owned(), tag.to_owned());
        on_engine(move |engine| async move {
            let options = TagImageOptionsBuilder::default()
                .repo(&repo)
                .tag(&tag)
                .build();
            let tagged = engine.tag_image(&local, Some(options)).await;
            tagged.expect("a tagged image");
            let options = PushImageOptionsBuilder::default().tag(&tag).build();
            let anonymous = Some(Default::default());
            let pushed = engine.push_image(&repo, Some(options), anonymous);
            let _: Vec<_> = pushed.try_collect().await.expect("a pushed image");
        });
        reference
    }

    /// It answers nothing more, until it may go on.
    pub fn hold(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Until it accepts connections.
    fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(&self.host).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "the registry never listened"
            );
            std::thread::yield_now();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
