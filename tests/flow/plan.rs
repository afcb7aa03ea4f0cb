//! `plan` changes nothing, and works with the engine off.

use super::web_app;
use crate::support::{engine, image};

#[test]
fn changes_nothing_on_the_engine_nor_on_disk() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let before = project.files();
    let events = engine::events_of(&project, || {
        let plan = project.ok(&["plan"]);
        assert!(plan.stdout.contains("app.web"), "{}", plan.all());
        project.ok(&["plan", "--output", "json"]);
    });
    assert_eq!(events, Vec::<String>::new());
    assert_eq!(project.files(), before);
}

#[test]
fn says_what_it_could_not_observe_when_no_engine_answers() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let output = project
        .command(&["plan"])
        .env("DOCKER_HOST", "unix:///nonexistent/engine.sock")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("app.web") && text.contains("not known"),
        "{text}"
    );
}

#[test]
fn is_the_same_hash_in_another_folder() {
    let base = image::busybox();
    let (one, two) = (web_app(&base, ""), web_app(&base, ""));
    let hash = |project: &crate::support::Project| project.ok(&["plan", "--hash"]).stdout;
    assert_eq!(hash(&one), hash(&two));
    let lock = |digit: &str| {
        let digest = digit.repeat(64);
        let reference = &base.reference;
        format!(
            "version = 1\n\n[image.\"{reference}\"]\nreference = \"{reference}\"\ndigest = \"sha256:{digest}\"\n"
        )
    };
    for project in [&one, &two] {
        let unlocked = hash(project);
        project.write("devenv.lock", &lock("1"));
        assert_ne!(hash(project), unlocked);
    }
    assert_eq!(hash(&one), hash(&two));
    two.write("devenv.lock", &lock("2"));
    assert_ne!(hash(&one), hash(&two));
    two.write("devenv.lock", &lock("1"));
    let config = two.read("devenv.toml").replace("18080", "18081");
    two.write("devenv.toml", &config);
    assert_ne!(hash(&one), hash(&two));
}
