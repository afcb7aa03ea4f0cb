//! Bad servers, bad archives, kills and races.

use std::fs;

use tar::EntryType;

use super::{archive, greet, raw_tar};
use crate::support::{Home, Reply, Server};

/// A project whose lock is made, and a server that then answers otherwise.
fn after_the_lock(reply: Reply) -> (i32, String, Home) {
    let server = Server::start();
    let project = greet(&server);
    let good = archive("greet", "echo hello");
    server.put("greet-1.0.tar.gz", Reply::File(good));
    Home::new().ok(&project, &["lock"]);
    server.put("greet-1.0.tar.gz", reply);
    let home = Home::new();
    let ran = home.run(&project, &["install"]);
    (ran.code, ran.stderr, home)
}

#[test]
fn a_wrong_checksum_shows_both_and_keeps_nothing() {
    // As long as the right one.
    let mut bytes = archive("greet", "echo hello");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let (code, stderr, home) = after_the_lock(Reply::File(bytes));
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("cannot download tool `greet` from `http://127.0.0.1:"),
        "{stderr}"
    );
    assert!(
        stderr.contains("the file has the wrong checksum"),
        "{stderr}"
    );
    let digests = ["expected ", "found    "].map(|word| {
        let at = stderr.find(word).expect("both digests are shown") + word.len();
        stderr[at..at + 64].to_owned()
    });
    assert_ne!(digests[0], digests[1]);
    assert_eq!(home.entries(), [""; 0]);
}

#[test]
fn a_truncated_download_shows_both_sizes() {
    let bytes = archive("greet", "echo hello");
    let (all, half) = (bytes.len(), bytes.len() / 2);
    let (code, stderr, home) = after_the_lock(Reply::Half(bytes));
    assert_eq!(code, 1, "{stderr}");
    let words = format!("the download was cut off: {half} of {all} bytes came");
    assert!(stderr.contains(&words), "{stderr}");
    assert_eq!(home.entries(), [""; 0]);
}

#[test]
fn a_missing_file_and_a_missing_server() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    let stderr = home.fails(&project, 1, &["install"]);
    assert!(
        stderr.contains("the server answered 404 (there is no such file)"),
        "{stderr}"
    );
    assert!(stderr.contains("/greet-1.0.tar.gz`"), "{stderr}");
    assert_eq!(server.requests().len(), 1, "a 404 is not tried again");

    // A port that was free a moment ago refuses connections.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let config = project.read("devenv.toml");
    let url = server.url("");
    project.write(
        "devenv.toml",
        &config.replace(&url, &format!("http://{address}/")),
    );
    let stderr = home.fails(&project, 1, &["install"]);
    assert!(stderr.contains("the server cannot be reached"), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn archives_that_leave_their_folder_are_refused() {
    for (kind, name, link, why) in [
        (EntryType::Regular, "../evil", "", "its name has `..`"),
        (
            EntryType::Regular,
            "/tmp/devenv-evil",
            "",
            "its name is absolute",
        ),
        (
            EntryType::Symlink,
            "evil",
            "../../evil",
            "it is a link that points outside",
        ),
        (
            EntryType::Char,
            "evil",
            "",
            "it is neither a file, a folder nor a link",
        ),
    ] {
        let server = Server::start();
        let (project, home) = (greet(&server), Home::new());
        server.put("greet-1.0.tar.gz", Reply::File(raw_tar(kind, name, link)));
        let stderr = home.fails(&project, 1, &["install"]);
        assert!(stderr.contains(why), "{stderr}");
        assert!(stderr.contains("cannot unpack tool `greet`"), "{stderr}");
        assert_eq!(home.entries(), [""; 0]);
        assert!(!home.tools().join("evil").exists());
    }
}

#[test]
fn a_page_in_the_place_of_an_archive_or_a_program_is_neither_locked_nor_installed() {
    let page = b"<!DOCTYPE html><html><title>Not found</title></html>".to_vec();
    for (path, words) in [
        (
            "greet-{version}.tar.gz",
            "it is not an archive, but looks like an HTML page",
        ),
        (
            "greet-{version}",
            "it is neither an archive nor a program, but looks like an HTML page",
        ),
    ] {
        let server = Server::start();
        let (project, home) = (greet(&server), Home::new());
        let config = project.read("devenv.toml");
        let config = config.replace("greet-{version}.tar.gz", path);
        project.write("devenv.toml", &config);
        server.put(&path.replace("{version}", "1.0"), Reply::File(page.clone()));
        for command in ["lock", "install"] {
            let stderr = home.fails(&project, 1, &[command]);
            assert!(stderr.contains(words), "{stderr}");
            assert!(stderr.contains("help: open `url`"), "{stderr}");
            assert!(!project.join("devenv.lock").exists(), "{command}");
            assert_eq!(home.entries(), [""; 0]);
        }
    }
}

#[test]
fn an_archive_that_failed_is_not_locked_and_a_repaired_one_installs() {
    let good = archive("greet", "echo hello");
    let cut = good[..good.len() / 2].to_vec();
    let escaping = raw_tar(EntryType::Regular, "../evil", "");
    for bad in [cut, escaping, archive("other", "echo hello")] {
        let server = Server::start();
        let (project, home) = (greet(&server), Home::new());
        server.put("greet-1.0.tar.gz", Reply::File(bad));
        let stderr = home.fails(&project, 1, &["install"]);
        assert!(stderr.contains("help: "), "{stderr}");
        assert!(!stderr.contains("Locked"), "{stderr}");
        assert!(!project.join("devenv.lock").exists(), "{stderr}");

        server.put("greet-1.0.tar.gz", Reply::File(good.clone()));
        let ran = home.ok(&project, &["install"]);
        assert!(ran.stderr.contains("Locked greet 1.0"), "{}", ran.stderr);
        assert!(project.read("devenv.lock").contains("[tool"));
    }
}

#[test]
fn a_wrong_size_in_the_lock_is_refused() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    let bytes = archive("greet", "echo hello");
    let size = bytes.len();
    server.put("greet-1.0.tar.gz", Reply::File(bytes));
    home.ok(&project, &["lock"]);
    let lock = project.read("devenv.lock");
    let right = format!("size = {size}");
    assert!(lock.contains(&right), "{lock}");
    // Both ways: what the lock has kept on this machine, and a download.
    for wrong in [size + 1, size - 1] {
        let wrong = format!("size = {wrong}");
        project.write("devenv.lock", &lock.replace(&right, &wrong));
        let stderr = home.fails(&project, 1, &["install"]);
        assert!(stderr.contains("the file has the wrong size"), "{stderr}");
        let found = format!("found    {size} bytes");
        assert!(stderr.contains(&found), "{stderr}");
        assert!(stderr.contains("run `devenv lock greet`"), "{stderr}");
        assert_eq!(home.entries(), [""; 0]);
    }
    home.ok(&project, &["lock", "greet"]);
    home.ok(&project, &["install"]);
}

#[test]
fn two_installs_at_once_download_once() {
    let server = Server::start();
    let project = greet(&server);
    let bytes = archive("greet", "echo hello");
    server.put("greet-1.0.tar.gz", Reply::File(bytes.clone()));
    Home::new().ok(&project, &["lock"]);
    server.requests();
    server.put("greet-1.0.tar.gz", Reply::Held(bytes));

    let home = Home::new();
    let first = Killed::start(&home, &project);
    let second = Killed::start(&home, &project);
    server.wait_until_held();
    server.release();
    for process in [first, second] {
        let ran = process.wait();
        assert!(ran.status.success(), "{ran:?}");
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(home.entries().len(), 1);
    assert_eq!(
        home.ok(&project, &["exec", "--", "greet"]).stdout,
        "hello\n"
    );
}

#[test]
fn a_killed_install_leaves_what_the_next_one_removes() {
    let server = Server::start();
    let project = greet(&server);
    let bytes = archive("greet", "echo hello");
    server.put("greet-1.0.tar.gz", Reply::File(bytes.clone()));
    Home::new().ok(&project, &["lock"]);
    server.put("greet-1.0.tar.gz", Reply::Held(bytes));

    let home = Home::new();
    let process = Killed::start(&home, &project);
    server.wait_until_held();
    drop(process);
    let left = home.entries();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with(".tmp-"), "{left:?}");

    server.release();
    home.ok(&project, &["install"]);
    let entries = home.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(!entries[0].starts_with('.'), "{entries:?}");
    assert_eq!(
        home.ok(&project, &["exec", "--", "greet"]).stdout,
        "hello\n"
    );
}

#[test]
fn ctrl_c_ends_a_download_at_once() {
    let server = Server::start();
    let (project, home) = (greet(&server), Home::new());
    server.put(
        "greet-1.0.tar.gz",
        Reply::Held(archive("greet", "echo hello")),
    );
    let process = Killed::start(&home, &project);
    server.wait_until_held();
    process.interrupt();
    let ran = process.wait();
    assert_eq!(ran.status.code(), Some(130), "{ran:?}");
    assert_eq!(home.entries(), [""; 0]);
    assert!(
        fs::read_dir(home.join("cache/devenv/downloads"))
            .expect("the folder")
            .next()
            .is_none()
    );
}

/// `devenv install`, killed with SIGKILL when it is dropped.
struct Killed(Option<std::process::Child>);

impl Killed {
    fn start(home: &Home, project: &crate::support::Project) -> Self {
        use std::process::Stdio;
        let mut command = home.command(project, &["install"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().expect("devenv runs")))
    }

    fn interrupt(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let child = self.0.as_ref().expect("not waited for yet");
        let pid = Pid::from_child(child);
        kill_process(pid, Signal::INT).expect("it runs");
    }

    fn wait(mut self) -> std::process::Output {
        let child = self.0.take().expect("waited for once");
        child.wait_with_output().expect("its output")
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
