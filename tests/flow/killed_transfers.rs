//! SIGKILL while a Dockerfile is built, an image is pulled, a tool is compiled or installed: the next `up` converges, and nothing is left.

use std::{collections::BTreeSet, process::Stdio};

use super::exec_signals::{long, sleeps};
use crate::support::{Home, Project, Registry, Signal, engine, image, wait_until};

#[test]
fn in_the_build_of_a_dockerfile() {
    let base = image::busybox();
    let time = long();
    let project = Project::new(
        "[project]\nname = \"killed\"\n\n[app.web]\nbuild = { dockerfile = \"Dockerfile\" }\nstop_grace = \"0s\"\n",
    );
    let dockerfile = |run: &str| {
        let text = format!(
            "FROM {}\nRUN echo {time} > /unique\nRUN {run}\nCMD [\"sleep\", \"1000\"]\n",
            base.reference
        );
        project.write("Dockerfile", &text);
    };
    dockerfile(&format!("sleep {time}"));
    let mut up = project.start(&["up", "--output", "json"], &[]);
    up.wait_for_line(&format!("RUN sleep {time}"));
    wait_until(|| sleeps(&time));
    up.signal(Signal::Kill);
    up.wait();
    // The engine ends what nobody waits for.
    wait_until(|| !sleeps(&time));
    dockerfile("true");
    project.ok(&["up"]);
    assert_eq!(project.state("app.web"), "running");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    project.ok(&["down", "--volumes", "--images"]);
    assert_eq!(engine::things_of(&project), BTreeSet::new());
}

#[test]
fn in_a_pull() {
    let registry = Registry::start();
    for held in [true, false] {
        let own = image::BusyboxImage::import();
        let tag = own.reference.rsplit(':').next().expect("a tag");
        let reference = registry.push(&own.reference, "killed", tag);
        let _removed = image::Removed(reference.clone());
        drop(own);
        image::remove(&reference);
        let project = Project::new(&format!(
            "[project]\nname = \"killed\"\n\n[image.one]\nref = \"{reference}\"\n\n[service.one]\nimage = \"{reference}\"\ncommand = [\"sleep\", \"1000\"]\nstop_grace = \"0s\"\n"
        ));
        if held {
            registry.hold();
        }
        let mut up = project.start(&["up", "--output", "json"], &[]);
        up.wait_for("step-progress", "image.one");
        up.signal(Signal::Kill);
        up.wait();
        registry.go_on();
        project.ok(&["up"]);
        assert_eq!(project.state("service.one"), "running");
        let again = project.ok(&["up"]);
        assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
        project.ok(&["down", "--volumes", "--images"]);
        assert_eq!(engine::things_of(&project), BTreeSet::new());
    }
}

/// A tool, and a task that uses it.
fn project(tool: &str, task: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"killed\"\n\n{tool}\n[task.use]\nrun = \"{task}\"\n"
    ))
}

/// Kills `up` once `is_begun`; the next one converges.
fn kill_install(home: &Home, project: &Project, is_begun: impl FnMut() -> bool) {
    let mut up = home.command(project, &["up"]);
    let up = up.stdout(Stdio::null()).stderr(Stdio::null());
    let mut up = up.spawn().expect("devenv starts");
    wait_until(is_begun);
    up.kill().expect("it runs");
    up.wait().expect("it ends");
    home.ok(project, &["up"]);
    let again = home.ok(project, &["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    home.ok(project, &["run", "use"]);
}

/// With one thing in the store of tools, which is whole.
fn kill_in_store(tool: &str, task: &str) {
    let (home, project) = (Home::new(), project(tool, task));
    home.ok(&project, &["lock"]);
    kill_install(&home, &project, || {
        home.entries().iter().any(|name| name.starts_with(".tmp-"))
    });
    let [entry] = home.entries().try_into().expect("one");
    assert!(!entry.starts_with('.'), "{entry}");
}

#[test]
fn in_the_compilation_of_a_crate() {
    kill_in_store(
        "[toolchain.jsonxf]\nfrom = \"cargo\"\nversion = \"1.1.1\"\n",
        "echo [] | jsonxf",
    );
}

#[test]
fn in_the_installation_of_a_python_package() {
    kill_in_store(
        "[toolchain.flakes]\nfrom = \"pip\"\npackage = \"pyflakes\"\nversion = \"3.2.0\"\ncommand = \"pyflakes\"\n",
        "pyflakes --version",
    );
}

/// A stand-in for the package system, as root: a test must not install packages on the machine it runs on.
#[test]
fn in_the_installation_of_a_package() {
    let home = Home::with_programs(&[]);
    let (done, begun) = (home.join("done"), home.join("begun"));
    let (done_path, begun_path) = (done.display(), begun.display());
    let time = long();
    home.program(
        "programs",
        "dpkg-query",
        &format!("[ -e '{done_path}' ] && printf 'ii 4.5-1\\n' || exit 1"),
    );
    home.program("programs", "apt-cache", "exit 0");
    home.program(
        "programs",
        "apt-get",
        &format!("case \"$*\" in *install*) [ -e '{begun_path}' ] || {{ touch '{begun_path}'; sleep {time}; }}; touch '{done_path}';; esac"),
    );
    let tool = "[toolchain.greet]\nfrom = \"apt\"\npackage = \"greet-bin\"\n";
    let project = project(tool, "true");
    kill_install(&home, &project, || begun.exists() && sleeps(&time));
    assert!(!sleeps(&time) && done.exists());
}
