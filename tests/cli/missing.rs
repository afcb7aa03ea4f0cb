//! What the file names and is not there: `plan` shows it beside the plan, `up` fails before it starts anything.

use expect_test::expect;

use crate::support::Project;

const FILE: &str = r#"
[project]
name = "missing"

[image.base]
ref = "devenv-test-missing:base"
debian = { suite = "bookworm", files = { "/etc/motd" = "motd" } }

[app.api]
build = { dockerfile = "Dockerfile", context = "api" }
env = { TOKEN = "${secret.token}" }

[app.web]
build = { run = "touch ran", artifact = "out/web", base = "devenv-test-missing:base", inputs = ["devenv.toml"], files = { "/www" = "www" } }
volumes = { "/etc/x.conf" = "./x.conf", "/host" = "/nonexistent", "/data" = "data" }

[secret.token]
env = "DEVENV_TEST_NOT_SET"
"#;

#[test]
fn a_plan_shows_itself_and_what_is_missing() {
    let project = Project::new(FILE);
    let ran = project.run(&["plan"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    for part in ["build.api ", "app.web ", "5 changes: "] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.all());
    }
    expect![[r#"
        error: `motd` of `image.base` does not exist
         --> devenv.toml:7:42
        error: `api` of `build.api` does not exist
          --> devenv.toml:10:38
        error: `Dockerfile` of `build.api` does not exist
          --> devenv.toml:10:11
        error: cannot read secret `token`
          --> devenv.toml:17:1
        error: `app.web` mounts `[ROOT]/x.conf`, which does not exist
          --> devenv.toml:15:13
        error: `www` of `app.web` does not exist
          --> devenv.toml:14:123
    "#]]
    .assert_eq(&heads(&ran.stderr));

    let ran = project.run(&["plan", "--output", "json"]);
    let told = ran.json();
    let steps = told["answer"]["steps"].as_array().map(Vec::len);
    let errors = told["error"]["errors"].as_array().map(Vec::len);
    assert_eq!((steps, errors), (Some(5), Some(5)), "{told}");
}

#[test]
fn up_fails_before_it_starts_anything() {
    let project = Project::new(FILE);
    let ran = project.run(&["up", "app.web"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    expect![[r#"
        error: `motd` of `image.base` does not exist
         --> devenv.toml:7:42
        error: `app.web` mounts `[ROOT]/x.conf`, which does not exist
          --> devenv.toml:15:13
        error: `www` of `app.web` does not exist
          --> devenv.toml:14:123
    "#]]
    .assert_eq(&heads(&ran.stderr));
    assert!(!project.join("ran").exists());
}

#[test]
fn what_a_step_may_yet_make_is_not_missing() {
    let project = Project::new(
        r#"
[project]
name = "missing"

[task.pages]
run = "mkdir -p pages"
outputs = ["pages"]

[app.web]
build = { run = "true", artifact = "out/web", base = "busybox", inputs = ["devenv.toml"], files = { "/a" = "pages/a", "/b" = "out/b", "/c" = "generated/c" } }
needs = ["task.pages"]
"#,
    );
    project.write(".gitignore", "generated\n");
    project.git(&["init", "-q"]);
    let ran = project.ok(&["plan"]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_a_dockerfile_build_reads_is_a_file() {
    let project = Project::new(
        r#"
[project]
name = "missing"

[app.api]
build = { dockerfile = "docker/api", context = "ctx" }
"#,
    );
    // As one that this user may not read.
    project.write("docker/api/x", "");
    project.write("ctx/.dockerignore/x", "");
    for args in [&["plan"][..], &["up"]] {
        let ran = project.run(args);
        assert_eq!(ran.code, 2, "{}", ran.all());
        expect![[r#"
            error: cannot read `docker/api`: it is a folder
             --> devenv.toml:6:11
              |
            6 | build = { dockerfile = "docker/api", context = "ctx" }
              |           ^^^^^^^^^^
              |
              = help: put a file in its place that this user can read

            error: cannot read `ctx/.dockerignore`: it is a folder
             --> devenv.toml:6:11
              |
            6 | build = { dockerfile = "docker/api", context = "ctx" }
              |           ^^^^^^^^^^
              |
              = help: put a file in its place that this user can read
        "#]]
        .assert_eq(&ran.stderr);
    }
}

/// The first two lines of each error.
fn heads(text: &str) -> String {
    let is_head = |line: &&str| line.starts_with("error: ") || line.trim().starts_with("-->");
    let lines = text.lines().filter(is_head);
    lines.map(|line| format!("{line}\n")).collect()
}
