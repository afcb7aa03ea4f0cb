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
