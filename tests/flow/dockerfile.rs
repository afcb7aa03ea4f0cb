//! An app whose image a Dockerfile makes.

use std::collections::BTreeSet;

use crate::support::{Project, engine, http, image};

fn project(base: &image::BusyboxImage) -> Project {
    let project = Project::new(
        r#"[project]
name = "dockerfile"

[app.web]
build = { dockerfile = "Dockerfile" }
ports = { http = { container = 8080, host = 18180 } }
ready = { http = "/" }
stop_grace = "0s"
"#,
    );
    project.write(
        "Dockerfile",
        &format!(
            "FROM {}\nCOPY www /www\nRUN test -f /www/index.html\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
            base.reference
        ),
    );
    project.write("www/index.html", "one\n");
    // No other test makes the same image.
    project.write("www/unique", &image::unique());
    project.write("notes.txt", "not sent\n");
    project.write(".dockerignore", "notes.txt\n.devenv\ndevenv.toml\n");
    project
}

#[test]
fn is_built_once_and_again_when_a_file_of_its_context_changes() {
    let base = image::busybox();
    let project = project(&base);
    project.ok(&["up"]);
    assert_eq!(http::get(&project.url("app.web")), "one\n");
    let ps = project.ok(&["ps"]);
    assert!(ps.stdout.contains("dockerfile"), "{}", ps.all());
    project.write("notes.txt", "changed, but ignored\n");
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    project.write("www/index.html", "two\n");
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("`www/index.html` changed"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(http::get(&project.url("app.web")), "two\n");

    // Also the image of the first build, which has no name any more.
    project.ok(&["down", "--images"]);
    assert_eq!(engine::things_of(&project), BTreeSet::new());
}

#[test]
fn a_secret_among_its_arguments_is_masked_and_warned_of() {
    let base = image::busybox();
    let project = project(&base);
    let file = project.read("devenv.toml").replace(
        "{ dockerfile = \"Dockerfile\" }",
        "{ dockerfile = { args = { TOKEN = \"${secret.token}\" } } }",
    );
    project.write(
        "devenv.toml",
        &(file + "\n[secret.token]\nfile = \"token.txt\"\n"),
    );
    project.write("token.txt", "a-build-token\n");
    let dockerfile = project.read("Dockerfile");
    let (from, rest) = dockerfile.split_once('\n').expect("several lines");
    project.write(
        "Dockerfile",
        &format!("{from}\nARG TOKEN\nRUN echo \"it is $TOKEN\"\n{rest}"),
    );
    let up = project.ok(&["up", "--verbose"]);
    assert!(
        up.stderr.contains("secret `token` is a build argument"),
        "{}",
        up.all()
    );
    assert!(up.stderr.contains("it is ***"), "{}", up.all());
    assert!(!up.all().contains("a-build-token"), "{}", up.all());
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn is_built_again_when_its_image_has_gone() {
    let base = image::busybox();
    let project = project(&base);
    project.ok(&["up"]);
    project.ok(&["down", "--images"]);
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("build.web"), "{}", up.all());
    assert_eq!(http::get(&project.url("app.web")), "one\n");
}

#[test]
fn a_failing_run_names_the_line_shows_its_output_and_leaves_the_old_app() {
    let base = image::busybox();
    let project = project(&base);
    project.ok(&["up"]);
    let running = project.instance("app.web");
    let broken = project.read("Dockerfile").replace(
        "RUN test",
        "RUN echo the recipe is wrong >&2; exit 9\nRUN test",
    );
    project.write("Dockerfile", &broken);
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["Dockerfile:3", "the recipe is wrong", "9"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
    assert_eq!(project.instance("app.web"), running);
    assert_eq!(http::get(&project.url("app.web")), "one\n");
}
