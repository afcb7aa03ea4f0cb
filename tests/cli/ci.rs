//! `devenv ci generate` and `devenv ci check`, and that what they write is what the services take.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use crate::support::{Project, Ran};

const PROJECT: &str = r#"
[project]
name = "shop"

[secret.token]
env = "SHOP_TOKEN"

[task.test]
run = "true"
env = { LEVEL = "${env.LEVEL:-info}" }

[task.ship]
run = "echo ships"

[remote.staging]
deploy = ["task.ship"]

[remote.production]
deploy = ["task.ship"]
url = "https://shop.example.com"

[ci]
run = ["task.test"]

[ci.github]
setup = ["echo \"ready: yes\"", "./get-devenv"]

[ci.gitlab]
image = "debian:trixie"
"#;

const FILES: [&str; 3] = [
    ".github/workflows/devenv.yml",
    ".github/workflows/devenv-deploy.yml",
    ".gitlab-ci.yml",
];

/// A folder of programs that judge files of CI services, made once however many tests ask for it.
fn linters() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(install_linters)
}

fn install_linters() -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ci-linters-1");
    if venv.join("complete").exists() {
        return venv.join("bin");
    }
    let must = |output: std::io::Result<Output>| {
        let output = output.expect("it can be run");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
    };
    must(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv)
            .output(),
    );
    let pip = venv.join("bin/pip");
    let wanted = ["check-jsonschema==0.39.0", "zizmor==1.32.0"];
    must(
        Command::new(pip)
            .args(["install", "--quiet"])
            .args(wanted)
            .output(),
    );
    fs::write(venv.join("complete"), "").expect("written");
    venv.join("bin")
}

fn judge(program: &str, args: &[&str], files: &[PathBuf]) {
    let mut command = Command::new(linters().join(program));
    let output = command.args(args).args(files).output().expect("the linter");
    let ran = Ran::from(output, Path::new("/"));
    assert_eq!(ran.code, 0, "{program}: {}", ran.all());
}

#[test]
fn what_is_written_is_what_the_services_take() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let paths = FILES.map(|path| project.join(path));
    judge(
        "check-jsonschema",
        &["--builtin-schema", "vendor.github-workflows"],
        &paths[..2],
    );
    judge(
        "check-jsonschema",
        &["--builtin-schema", "vendor.gitlab-ci"],
        &paths[2..],
    );
    judge(
        "zizmor",
        &["--offline", "--no-progress", "--persona", "regular"],
        &paths[..2],
    );
    // What they judge can fail.
    let broken = project.read(FILES[0]).replace("runs-on:", "runs-at:");
    project.write(FILES[0], &broken);
    let mut command = Command::new(linters().join("check-jsonschema"));
    command
        .args(["--builtin-schema", "vendor.github-workflows"])
        .arg(&paths[0]);
    assert_eq!(command.output().expect("the linter").status.code(), Some(1));
}

#[test]
fn projects_of_one_repository_have_their_workflows_side_by_side_at_its_top() {
    let all = Project::new("");
    std::fs::remove_file(all.join("devenv.toml")).expect("removed");
    all.git(&["init", "-q"]);
    let run = |folder: &str, args: &[&str]| {
        let mut command = all.command(args);
        command.current_dir(all.join(folder));
        Ran::from(command.output().expect("devenv"), all.path())
    };
    let github = "../../.github/workflows/";
    for name in ["shop", "till"] {
        let folder = format!("apps/{name}");
        let config = PROJECT.replace("name = \"shop\"", &format!("name = \"{name}\""));
        all.write(&format!("{folder}/devenv.toml"), &config);
        let made = run(&folder, &["ci", "generate"]);
        assert_eq!(
            made.stdout,
            format!(
                "Wrote 3 files: {github}devenv-{name}.yml, {github}devenv-deploy-{name}.yml, .gitlab-ci.yml\n"
            ),
            "{}",
            made.stderr
        );
    }
    let workflows = ["devenv-shop", "devenv-deploy-shop", "devenv-till"];
    let workflows = workflows.map(|name| all.join(&format!(".github/workflows/{name}.yml")));
    let github = &["--builtin-schema", "vendor.github-workflows"];
    judge("check-jsonschema", github, &workflows);
    judge(
        "check-jsonschema",
        &["--builtin-schema", "vendor.gitlab-ci"],
        &[all.join("apps/shop/.gitlab-ci.yml")],
    );
    let zizmor = ["--offline", "--no-progress", "--persona", "regular"];
    judge("zizmor", &zizmor, &workflows);
    // Neither takes the other's for its own, or for nobody's.
    for folder in ["apps/shop", "apps/till"] {
        assert_eq!(run(folder, &["ci", "check"]).stdout, "3 files up to date\n");
    }
    let text = all.read("apps/shop/devenv.toml");
    let (before, rest) = text.split_once("[ci.github]").expect("it has one");
    let (_, after) = rest.split_once("[ci.gitlab]").expect("it has one");
    let without = format!("{before}[ci.gitlab]{after}");
    all.write("apps/shop/devenv.toml", &without);
    let gone = run("apps/shop", &["ci", "generate"]);
    assert!(gone.stdout.contains("Deleted 2 files: "), "{}", gone.all());
    assert_eq!(run("apps/till", &["ci", "check"]).code, 0);
}

#[test]
fn writes_what_is_named_keeps_what_is_the_users_and_deletes_what_nothing_asks_for() {
    let project = Project::new(PROJECT);
    let first = project.ok(&["ci", "generate", "gitlab"]);
    assert_eq!(first.stdout, "Wrote 1 file: .gitlab-ci.yml\n");
    let all = project.ok(&["ci", "generate"]);
    assert_eq!(
        all.stdout,
        "Wrote 2 files: .github/workflows/devenv.yml, .github/workflows/devenv-deploy.yml\n\
         Unchanged: 1 file: .gitlab-ci.yml\n"
    );
    assert_eq!(project.ok(&["ci", "check"]).stdout, "3 files up to date\n");

    let own = "  lint:\n    runs-on: ubuntu-24.04\n    steps: [{ run: make }]\n";
    let text = project
        .read(FILES[0])
        .replace("  # <<< yours", &format!("{own}  # <<< yours"));
    project.write(FILES[0], &text);
    project.ok(&["ci", "check"]);
    let config = PROJECT.replace("[ci.gitlab]\nimage = \"debian:trixie\"\n", "");
    project.write(
        "devenv.toml",
        &config.replace("ubuntu", "x").replace("echo ships", "make"),
    );
    let stale = project.run(&["ci", "check"]);
    assert_eq!(stale.code, 1, "{}", stale.all());
    for part in [
        "error: `.github/workflows/devenv.yml` is not as generated",
        "`ci.gitlab`: command (gone), file (gone)",
        "`task.ship`: run",
        "error: nothing in devenv.toml asks for `.gitlab-ci.yml` any more",
        "run `devenv ci generate github` and commit the file",
    ] {
        assert!(stale.stderr.contains(part), "{part}: {}", stale.stderr);
    }
    let kept = project.run(&["ci", "generate"]);
    assert_eq!(kept.code, 0, "{}", kept.all());
    let again = kept.stdout;
    assert!(again.contains("Deleted 1 file: .gitlab-ci.yml"), "{again}");
    assert!(project.read(FILES[0]).contains(own));
    assert!(!project.join(FILES[2]).exists());
    project.ok(&["ci", "check"]);
}

#[test]
fn nothing_is_lost_that_devenv_did_not_write() {
    let project = Project::new(PROJECT);
    project.write(FILES[0], "name: mine\n");
    let refused = project.run(&["ci", "generate"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(
        refused.stderr.contains("was not written by devenv"),
        "{}",
        refused.stderr
    );
    assert_eq!(project.read(FILES[0]), "name: mine\n");
    assert!(!project.join(FILES[1]).exists(), "all or nothing");

    fs::remove_file(project.join(FILES[0])).expect("removed");
    project.ok(&["ci", "generate"]);
    let edited = project
        .read(FILES[0])
        .replace("timeout-minutes: 45", "timeout-minutes: 5");
    project.write(FILES[0], &edited);
    let refused = project.run(&["ci", "generate"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    for part in [
        "was edited outside of its `yours` lines",
        "-    timeout-minutes: 5",
        ":20:1",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(project.read(FILES[0]), edited);
    project.ok(&["ci", "generate", "--force"]);
    project.ok(&["ci", "check"]);
}

#[test]
fn a_file_that_nothing_asks_for_stays_while_it_holds_lines_of_the_user() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let own = "own:\n  script: [make]\n";
    let text = project
        .read(FILES[2])
        .replace("# <<< yours", &format!("{own}# <<< yours"));
    project.write(FILES[2], &text);
    let config = PROJECT.replace("[ci.gitlab]\nimage = \"debian:trixie\"\n", "");
    project.write("devenv.toml", &config);
    let refused = project.run(&["ci", "generate"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(
        refused.stderr.contains("it holds lines of yours"),
        "{}",
        refused.stderr
    );
    assert_eq!(project.read(FILES[2]), text);
    project.ok(&["ci", "generate", "--force"]);
    assert!(!project.join(FILES[2]).exists());
}

#[test]
fn a_link_is_neither_followed_nor_replaced() {
    let project = Project::new(PROJECT);
    project.write("elsewhere.yml", "of another\n");
    let link = project.join(FILES[2]);
    std::os::unix::fs::symlink("elsewhere.yml", &link).expect("linked");
    for args in [&["ci", "generate"][..], &["ci", "generate", "--force"]] {
        let refused = project.run(args);
        assert_eq!(refused.code, 2, "{}", refused.all());
        let says =
            "`.gitlab-ci.yml` is not written, as `.gitlab-ci.yml` is a link to `elsewhere.yml`";
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    assert_eq!(project.read("elsewhere.yml"), "of another\n");
    assert!(link.is_symlink());

    fs::remove_file(&link).expect("removed");
    fs::create_dir(project.join("other")).expect("made");
    std::os::unix::fs::symlink("other", project.join(".github")).expect("linked");
    let refused = project.run(&["ci", "generate"]);
    assert!(
        refused.stderr.contains("`.github` is a link to `other`"),
        "{}",
        refused.all()
    );
    assert!(!project.join("other/workflows").exists());
}

#[test]
fn a_broken_fence_is_told_at_its_line_and_keeps_what_is_there() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let text = project.read(FILES[2]);
    let line = text.lines().position(|line| line.contains(">>> yours"));
    let line = line.expect("it has a fence") + 1;
    let broken = text.replace("# <<< yours\n", "own:\n  script: [make]\n");
    project.write(FILES[2], &broken);
    let refused = project.run(&["ci", "generate"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    for part in [
        "has a broken fence around lines of yours: the line that ends it is gone",
        &format!(".gitlab-ci.yml:{line}:1"),
        "# <<< yours",
        "put them back around your own lines",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(project.read(FILES[2]), broken);
}

#[test]
fn other_ends_of_lines_are_told_as_such() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let text = project.read(FILES[2]);
    project.write(FILES[2], &text.replace('\n', "\r\n"));
    let stale = project.run(&["ci", "check"]);
    assert_eq!(stale.code, 1, "{}", stale.all());
    assert!(
        stale.stderr.contains("its lines end with CRLF"),
        "{}",
        stale.stderr
    );
    assert!(!stale.stderr.contains("@@"), "{}", stale.stderr);
    // No line of it is another.
    project.ok(&["ci", "generate"]);
    assert_eq!(project.read(FILES[2]), text);
}

/// As git leaves them when two branches have each added something.
#[test]
fn facts_of_two_branches_are_written_anew_and_not_shown() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let merged = project.read(FILES[0]).replace(
        "# plan ",
        "<<<<<<< HEAD\n# plan 0123\n=======\n# plan 4567\n>>>>>>> other\n# plan ",
    );
    project.write(FILES[0], &merged);
    let stale = project.run(&["ci", "check"]);
    assert_eq!(stale.code, 1, "{}", stale.all());
    assert!(!stale.stderr.contains("@@"), "{}", stale.stderr);
    project.ok(&["ci", "generate"]);
    project.ok(&["ci", "check"]);
}

#[test]
fn what_the_environment_gives_is_no_part_of_the_plan() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let hash = project.ok(&["plan", "--hash"]).stdout;
    for args in [
        &["ci", "check"][..],
        &["run", "ci.github"],
        &["plan", "--hash"],
    ] {
        let mut command = project.command(args);
        let output = command.env("LEVEL", "debug").output().expect("devenv");
        let ran = Ran::from(output, project.path());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.all());
        if args[0] == "plan" {
            assert_eq!(ran.stdout, hash);
        }
    }
}

#[test]
fn the_check_names_what_the_plan_has_otherwise() {
    let project = Project::new(PROJECT);
    project.ok(&["ci", "generate"]);
    let changed = PROJECT.replace("env.LEVEL:-info", "env.LEVEL:-warn");
    project.write("devenv.toml", &changed);
    let ran = project.run(&["ci", "check", "--output", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(answer["answer"]["changed"][0]["path"], FILES[0]);
    assert_eq!(
        answer["answer"]["changed"][0]["plan"],
        serde_json::json!([{ "step": "task.test", "fields": ["env.LEVEL"] }])
    );
    // As a step, such as in a hook.
    let ran = project.run(&["run", "ci.github"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for part in ["`task.test`: env.LEVEL", "2 files of `ci.github`"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[test]
fn a_service_that_the_file_does_not_name_is_told() {
    let project = Project::new("[project]\nname = \"x\"\n");
    let ran = project.run(&["ci", "generate", "gitlab"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("add a table `[ci.gitlab]`, it may be empty"),
        "{}",
        ran.stderr
    );
    project.write("devenv.toml", "[project]\nname = \"x\"\n[ci.github]\n");
    let ran = project.run(&["ci", "generate", "gitlab"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("devenv.toml has no `[ci.gitlab]`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn nothing_to_check_is_not_green() {
    let project = Project::new("[project]\nname = \"x\"\n[task.test]\nrun = \"false\"\n");
    let ran = project.run(&["ci"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("in `[ci]`"), "{}", ran.all());
}

/// What a registry has under the name may be anybody's.
#[test]
fn a_job_installs_nothing_that_the_file_does_not_name() {
    let without = PROJECT.lines().filter(|line| !line.starts_with("setup"));
    let project = Project::new(&without.collect::<Vec<_>>().join("\n"));
    let told = project.ok(&["ci", "generate"]);
    for service in ["github", "gitlab"] {
        let note = format!("`setup` in `[ci.{service}]`");
        assert!(told.stderr.contains(&note), "{}", told.all());
    }
    for file in [".github/workflows/devenv.yml", ".gitlab-ci.yml"] {
        let text = project.read(file);
        assert!(
            text.contains("command -v devenv || {") && !text.contains("install"),
            "{text}"
        );
    }
}

#[test]
fn deploys_by_the_steps_of_the_remote() {
    let project = Project::new(PROJECT);
    let ran = project.ok(&["deploy", "staging"]);
    assert!(ran.stderr.contains("ships"), "{}", ran.stderr);
    let wrong = project.run(&["deploy", "stagin"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("did you mean `staging`?"),
        "{}",
        wrong.stderr
    );
}
