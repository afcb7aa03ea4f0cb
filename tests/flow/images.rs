//! Where images come from: a registry, a Dockerfile of their own.

use crate::support::{Project, Registry, image};

fn service(reference: &str, more: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"images\"\n\n[service.one]\nimage = \"{reference}\"\ncommand = [\"sleep\", \"600\"]\nstop_grace = \"0s\"\n{more}"
    ))
}

#[test]
fn is_pulled_pinned_in_the_lock_and_then_left_alone() {
    let registry = Registry::start();
    let base = image::BusyboxImage::import();
    let reference = registry.push(&base.reference, "devenv-test", &image::unique());
    let _removed = image::Removed(reference.clone());
    let project = service(&reference, "");
    image::remove(&reference);
    drop(base);

    let up = project.ok(&["up"]);
    assert!(
        up.stderr.contains(&format!("Pulled {reference}")),
        "{}",
        up.all()
    );
    let lock = project.read("devenv.lock");
    assert!(
        lock.contains(&reference) && lock.contains("sha256:"),
        "{lock}"
    );
    assert_eq!(project.state("service.one"), "running");

    // Without the registry: nothing needs it any more.
    drop(registry);
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
    assert_eq!(project.read("devenv.lock"), lock);
}

#[test]
fn another_image_under_the_same_tag_is_not_what_the_lock_says() {
    let registry = Registry::start();
    let (old, new) = (image::BusyboxImage::import(), image::BusyboxImage::import());
    // The pushed one keeps its digest when its tag moves.
    let _pushed = image::Removed(new.reference.clone());
    let tag = image::unique();
    let reference = registry.push(&old.reference, "devenv-test", &tag);
    let _removed = image::Removed(reference.clone());
    let project = service(&reference, "");
    image::remove(&reference);
    project.ok(&["up"]);
    let before = project.instance("service.one");
    registry.push(&new.reference, "devenv-test", &tag);
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("devenv.lock wants another"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(project.instance("service.one"), before);
}

#[test]
fn is_built_from_its_own_dockerfile_and_again_when_that_changes() {
    let base = image::busybox();
    let reference = format!("devenv-test-own:{}", image::unique());
    let _removed = image::Removed(reference.clone());
    let project = service(
        &reference,
        &format!(
            "\n[image.own]\nref = \"{reference}\"\ndockerfile = {{ path = \"own/Dockerfile\", context = \"own\" }}\n"
        ),
    );
    let dockerfile = format!("FROM {}\nCOPY version /version\n", base.reference);
    project.write("own/Dockerfile", &dockerfile);
    project.write("own/version", "1\n");
    project.ok(&["up"]);
    let version = || project.ok(&["exec", "service.one", "--", "cat", "/version"]);
    assert_eq!(version().stdout, "1\n");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    project.write("own/version", "2\n");
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("`version` changed"), "{}", up.all());
    assert_eq!(version().stdout, "2\n");

    project.write("own/Dockerfile", &format!("{dockerfile}RUN false\n"));
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(up.stderr.contains("own/Dockerfile:3"), "{}", up.all());
    assert_eq!(version().stdout, "2\n");
}

#[test]
fn an_image_on_another_of_the_file_comes_after_it_and_follows_it() {
    let unique = image::unique();
    let [base, own] = ["base", "own"].map(|name| format!("devenv-test-{name}:{unique}"));
    let _removed = [&base, &own].map(|name| image::Removed(name.clone()));
    let project = Project::new(&format!(
        r#"[project]
name = "stacked"

[image.a]
ref = "{own}"
dockerfile = {{ path = "own/Dockerfile", context = "own" }}

[image.z]
ref = "{base}"
debian = {{ suite = "bookworm", variant = "extract", packages = ["busybox-static"], files = {{ "/version" = "version" }} }}

[service.one]
image = "{own}"
command = ["/bin/busybox", "sleep", "600"]
stop_grace = "0s"
"#
    ));
    project.write("own/Dockerfile", &format!("FROM {base}\nCOPY own /own\n"));
    project.write("own/own", "own\n");
    project.write("version", "first\n");
    let version = || {
        let cat = [
            "exec",
            "one",
            "--",
            "/bin/busybox",
            "cat",
            "/version",
            "/own",
        ];
        project.ok(&cat).stdout
    };
    project.ok(&["up"]);
    assert_eq!(version(), "first\nown\n");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    project.write("version", "second\n");
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("`image.z` runs first"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(version(), "second\nown\n");
}

#[test]
fn dockerfiles_on_each_other_are_built_in_order_and_others_do_not_wait() {
    let busybox = image::busybox();
    let unique = image::unique();
    let [base, top, apart] =
        ["base", "top", "apart"].map(|name| format!("devenv-test-{name}:{unique}"));
    let _removed = [&top, &base, &apart].map(|name| image::Removed(name.clone()));
    let project = Project::new(&format!(
        r#"[project]
name = "layers"

[image.a]
ref = "{top}"
dockerfile = {{ path = "top/Dockerfile", context = "top" }}

[image.apart]
ref = "{apart}"
dockerfile = {{ path = "apart/Dockerfile", context = "apart" }}

[image.z]
ref = "{base}"
dockerfile = {{ path = "base/Dockerfile", context = "base" }}

[service.one]
image = "{top}"
command = ["sleep", "600"]
stop_grace = "0s"
"#
    ));
    let busybox = &busybox.reference;
    project.write("top/Dockerfile", &format!("FROM {base}\n"));
    project.write("apart/Dockerfile", &format!("FROM {busybox}\n"));
    project.write("base/Dockerfile", &format!("FROM {busybox}\nCOPY v /v\n"));
    project.write("base/v", "1\n");
    let version = || project.ok(&["exec", "one", "--", "cat", "/v"]).stdout;
    project.ok(&["up"]);
    assert_eq!(version(), "1\n");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    project.write("base/v", "2\n");
    let plan = project.ok(&["plan"]);
    let first = plan.stdout.matches("`image.z` runs first").count();
    assert_eq!(first, 1, "{}", plan.all());
    assert!(!plan.stdout.contains("image.apart "), "{}", plan.all());
    project.ok(&["up"]);
    assert_eq!(version(), "2\n");

    // Now each is to come before the other.
    project.write("base/Dockerfile", &format!("FROM {top}\n"));
    for command in ["plan", "up"] {
        let ran = project.run(&[command]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        let circle = "steps need each other: `image.a` → `image.z` → `image.a`";
        assert!(ran.stderr.contains(circle), "{}", ran.all());
        assert!(ran.stderr.contains("devenv.toml:6"), "{}", ran.all());
    }
    // What runs can be stopped all the same.
    let down = project.ok(&["down"]);
    assert!(down.stdout.contains("service.one"), "{}", down.all());
}

#[test]
fn a_misspelled_base_is_shown_in_its_dockerfile() {
    let unique = image::unique();
    let [base, own] = ["base", "own"].map(|name| format!("localhost:1/devenv-{name}:{unique}"));
    let project = Project::new(&format!(
        r#"[project]
name = "misspelled"

[image.base]
ref = "{base}"
dockerfile = {{ path = "base/Dockerfile", context = "base" }}

[image.own]
ref = "{own}"
dockerfile = {{ path = "own/Dockerfile", context = "own" }}
"#
    ));
    let misspelled = base.replace("base", "bose");
    project.write("base/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    project.write("own/Dockerfile", &format!("FROM {base}\n"));
    let _removed = [&own, &base].map(|name| image::Removed(name.clone()));
    // So that no build is cut off by the failure, which the engine would go on with.
    project.ok(&["up"]);
    project.write("own/Dockerfile", &format!("# why\nFROM {misspelled}\n"));
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in [
        "own/Dockerfile:2:6",
        &format!("FROM {misspelled}"),
        &format!("did you mean `{base}`?"),
        &format!("`ref = \"{misspelled}\"`"),
    ] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}
