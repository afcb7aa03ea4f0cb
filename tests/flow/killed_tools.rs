//! Ctrl-C and SIGKILL while code is generated, an image is built, a tool comes: the next `up` converges.

use std::fs;

use crate::{
    cli::install::{archive, greet},
    support::{Home, Project, Reply, Running, Server, Signal, image},
};

const SIGNALS: [Signal; 2] = [Signal::Interrupt, Signal::Kill];

/// Ends it and looks at how it ended.
fn end(up: Running, signal: Signal) {
    let code = match signal {
        Signal::Interrupt => 130,
        Signal::Terminate | Signal::Hangup | Signal::Kill => -1,
    };
    up.signal(signal);
    let ran = up.wait();
    assert_eq!(ran.code, code, "{}", ran.all());
}

#[test]
fn in_a_proto_step() {
    let project = Project::new(
        "[project]\nname = \"proto\"\n\n[proto.x]\nrust = { out = \"gen\" }\nplugin.slow = { command = \"./slow.sh\", out = \"slow\" }\n",
    );
    project.write(
        "proto/x.proto",
        "syntax = \"proto3\";\npackage x;\nmessage X { string a = 1; }\n",
    );
    // No output, but only once it may.
    project.write(
        "slow.sh",
        "#!/bin/sh\ncat > /dev/null\ntouch begun\ntest -f go || exec sleep 600\n",
    );
    executable(&project, "slow.sh");
    for signal in SIGNALS {
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-started", "proto.x");
        end(up, signal);
        assert!(!project.join("gen").exists(), "all or nothing");
    }
    project.write("go", "");
    project.ok(&["up"]);
    assert!(project.read("gen/x.rs").contains("struct X"));
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn in_the_build_of_an_image() {
    let home = Home::new();
    let reference = format!("devenv-test-killed:{}", image::unique());
    let _removed = image::Removed(reference.clone());
    let project = Project::new(&format!(
        "[project]\nname = \"image\"\n\n[image.x]\nref = \"{reference}\"\ndebian = {{ suite = \"bookworm\", variant = \"extract\", packages = [\"base-files\"] }}\n"
    ));
    let cache = home.join("cache").display().to_string();
    for signal in SIGNALS {
        let mut up = project.start(
            &["up", "--output", "json"],
            &[("XDG_CACHE_HOME", cache.as_str())],
        );
        up.wait_for("step-progress", "image.x");
        end(up, signal);
    }
    home.ok(&project, &["up"]);
    let again = home.ok(&project, &["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn in_the_download_of_a_tool() {
    let bytes = archive("greet", "echo hello");
    for signal in SIGNALS {
        let (home, server) = (Home::new(), Server::start());
        let project = greet(&server);
        let task = "\n[task.greet]\nrun = \"greet > greeting.txt\"\n";
        project.write("devenv.toml", &(project.read("devenv.toml") + task));
        server.put("greet-1.0.tar.gz", Reply::File(bytes.clone()));
        home.ok(&project, &["lock"]);
        server.put("greet-1.0.tar.gz", Reply::Held(bytes.clone()));
        let data = home.join("data").display().to_string();
        fs::remove_dir_all(&data).ok();
        let up = project.start(
            &["up", "--output", "json"],
            &[("XDG_DATA_HOME", data.as_str())],
        );
        server.wait_until_held();
        end(up, signal);
        server.release();
        home.ok(&project, &["up"]);
        home.ok(&project, &["run", "greet"]);
        assert_eq!(project.read("greeting.txt"), "hello\n");
        assert_eq!(home.entries().len(), 1, "{:?}", home.entries());
    }
}

fn executable(project: &Project, path: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(project.join(path), mode).expect("its mode");
}
