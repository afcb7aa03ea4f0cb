//! `devenv ci` is red for each fault that is put into a green project, and the annotation is at its place.

use std::{fs, path::Path};

use super::both::Both;
use crate::support::{Project, Ran};

const CI: &str = r#"
[proto.api]
files = ["proto/*.proto"]
include = ["proto"]
rust = { out = "gen" }

[task.check]
run = "sh check.sh"
inputs = ["check.sh"]

[smoke.site]
url = "${app.web.url}"
requests = [{ contains = "hello from" }]

[ci]
run = ["task.check"]

[ci.github]
"#;

const PROTO: &str = "syntax = \"proto3\";\npackage api;\nmessage User { string name = 1; }\n";

/// Green: all is generated, migrations are clean.
fn project() -> Both {
    let both = Both::new("process");
    let project = &both.project;
    let config = project.read("devenv.toml");
    project.write("devenv.toml", &format!("{config}{CI}"));
    project.write("proto/api.proto", PROTO);
    project.write("check.sh", "exit 0\n");
    project.ok(&["proto"]);
    project.ok(&["ci", "generate"]);
    both
}

/// As a job of GitHub runs it.
fn ci(project: &Project, more: &[&str]) -> Ran {
    let mut command = project.command(&["ci"]);
    command.args(more).env("GITHUB_ACTIONS", "true");
    let output = command.output().expect("devenv");
    Ran::from(output, project.path())
}

fn edit(project: &Project, path: &str, from: &str, to: &str) {
    let text = project.read(path);
    assert!(text.contains(from), "{path}: {text}");
    project.write(path, &text.replacen(from, to, 1));
}

/// `place` is `path,line=…,col=…` as far as it is known.
fn seeded(fault: impl FnOnce(&Project), place: &str, says: &str) {
    let both = project();
    fault(&both.project);
    let ran = ci(&both.project, &[]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let start = format!("::error file={place}");
    let found = ran
        .stderr
        .lines()
        .any(|line| line.starts_with(&start) && line.contains(says));
    assert!(found, "{start} … {says}: {}", ran.stderr);
}

#[test]
fn green_with_every_report() {
    let both = project();
    let project = &both.project;
    let summary = project.join("summary.md");
    fs::write(&summary, "of another step\n").expect("written");
    let mut command =
        project.command(&["ci", "--junit", "out/junit.xml", "--sarif", "out/x.sarif"]);
    command
        .args(["--code-quality", "quality.json"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary);
    let ran = Ran::from(command.output().expect("devenv"), project.path());
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(!ran.stderr.contains("::error"), "{}", ran.stderr);
    assert!(ran.stderr.contains("::group::"), "{}", ran.stderr);

    let junit = project.read("out/junit.xml");
    for step in [
        "lint.db",
        "migrate.db",
        "smoke.site",
        "task.check",
        "ci.github",
        "proto.api",
    ] {
        assert!(junit.contains(&format!("\"{step}\"")), "{step}: {junit}");
    }
    assert!(junit.contains("failures=\"0\""), "{junit}");
    let sarif: serde_json::Value =
        serde_json::from_str(&project.read("out/x.sarif")).expect("JSON");
    assert_eq!(sarif["runs"][0]["results"], serde_json::json!([]));
    assert_eq!(project.read("quality.json").trim(), "[]");
    let summary = fs::read_to_string(&summary).expect("it is there");
    assert!(summary.starts_with("of another step\n## "), "{summary}");
    assert!(summary.contains("devenv ci passed in"), "{summary}");
    assert!(
        summary.to_lowercase().contains("critical path"),
        "{summary}"
    );
}

#[test]
fn gitlab_gets_sections_and_a_code_quality_report() {
    let both = project();
    let project = &both.project;
    project.write(
        "migrations/V2__drop.sql",
        "alter table users drop column name;\n",
    );
    let mut command = project.command(&["ci", "--code-quality", "quality.json"]);
    let output = command.env("GITLAB_CI", "true").output().expect("devenv");
    let ran = Ran::from(output, project.path());
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(
        ran.stderr.contains("\u{1b}[0Ksection_start:"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("::error"), "{}", ran.stderr);
    let report: serde_json::Value =
        serde_json::from_str(&project.read("quality.json")).expect("JSON");
    let findings = report.as_array().expect("a list").iter();
    let rules: Vec<_> = findings
        .filter(|finding| finding["location"]["path"] == "migrations/V2__drop.sql")
        .map(|finding| finding["check_name"].clone())
        .collect();
    assert_eq!(rules, ["require-lock-timeout", "ban-drop-column"]);
}

#[test]
fn stale_generated_code() {
    let stale = |project: &Project| {
        edit(
            project,
            "proto/api.proto",
            "name = 1;",
            "name = 1; string mail = 2;",
        )
    };
    seeded(stale, "gen/api.rs,line=", "+    pub mail: ");
}

#[test]
fn generated_code_that_was_edited() {
    let edited = |project: &Project| {
        edit(
            project,
            "gen/api.rs",
            "pub struct User",
            "pub struct Person",
        )
    };
    seeded(edited, "gen/api.rs,line=4,col=1", "+pub struct User");
}

#[test]
fn a_dangerous_migration() {
    let drops = |project: &Project| {
        let text = "-- as told\nalter table users drop column name;\n";
        project.write("migrations/V2__drop.sql", text);
    };
    seeded(
        drops,
        "migrations/V2__drop.sql,line=2,col=19",
        "ban-drop-column",
    );
}

#[test]
fn a_migration_that_the_database_refuses() {
    let wrong = |project: &Project| {
        project.write("migrations/V2__more.sql", "select 1;\nselect nonsense;\n");
    };
    seeded(wrong, "migrations/V2__more.sql,line=2,col=8", "nonsense");
}

#[test]
fn two_migrations_of_one_version() {
    let twice = |project: &Project| {
        project.write("migrations/V1__again.sql", "select 1;\n");
    };
    seeded(twice, "migrations/V1__", "V1");
}

#[test]
fn a_task_whose_compiler_names_a_place() {
    let broken = |project: &Project| {
        project.write("src/main.c", "int main() {\n  retrun 0;\n}\n");
        project.write(
            "check.sh",
            "echo 'src/main.c:2:3: error: unknown `retrun`'; exit 1\n",
        );
    };
    seeded(broken, "src/main.c,line=2,col=3", "unknown `retrun`");
}

#[test]
fn a_build_that_fails() {
    let broken = |project: &Project| {
        edit(
            project,
            "devenv.toml",
            "run = \"mkdir -p out",
            "run = \"false; exit 9; mkdir -p out",
        )
    };
    seeded(broken, "devenv.toml,line=22,col=11", "code 9");
}

#[test]
fn an_app_that_does_not_stay_up() {
    let broken = |project: &Project| {
        edit(
            project,
            "web.sh",
            "exec /bin/busybox",
            "exit 7\nexec /bin/busybox",
        )
    };
    seeded(broken, "devenv.toml,line=21", "exited with code 7");
}

#[test]
fn an_app_that_answers_otherwise() {
    let other = |project: &Project| {
        project.write("index.html", "goodbye\n");
    };
    seeded(
        other,
        "devenv.toml,line=40",
        "its body does not hold `hello from`",
    );
}

/// All of it is gone when somebody reads that.
#[test]
fn what_the_program_said_of_a_failed_request_is_in_every_report() {
    let both = project();
    let project = &both.project;
    project.write("index.html", "goodbye\n");
    let ran = ci(
        project,
        &["--junit", "junit.xml", "--summary", "summary.md"],
    );
    assert_eq!(ran.code, 1, "{}", ran.all());
    for told in [
        ran.stderr.clone(),
        project.read("junit.xml"),
        project.read("summary.md"),
    ] {
        for part in ["last output of `app.web`:", "greeting is ", "goodbye"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    let help = "help: run `devenv up app.web`, then see `devenv logs app.web`";
    assert!(ran.stderr.contains(help), "{}", ran.stderr);
}

#[test]
fn a_ci_file_that_drifted() {
    let edited = |project: &Project| {
        edit(
            project,
            ".github/workflows/devenv.yml",
            "timeout-minutes: 45",
            "timeout-minutes: 5",
        );
    };
    seeded(
        edited,
        ".github/workflows/devenv.yml,line=20",
        "timeout-minutes",
    );
}

#[test]
fn a_plan_that_is_not_that_of_the_ci_file() {
    let changed = |project: &Project| {
        edit(
            project,
            "devenv.toml",
            "run = \"sh check.sh\"",
            "run = \"sh ./check.sh\"",
        )
    };
    seeded(
        changed,
        ".github/workflows/devenv.yml,line=",
        "`task.check`: run",
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let wrong = |project: &Project| edit(project, "devenv.toml", "stop_grace", "stop_grease");
    seeded(wrong, "devenv.toml,line=19,col=1", "stop_grease");
}

const REPORTS: [&str; 8] = [
    "--junit",
    "out/junit.xml",
    "--sarif",
    "out/x.sarif",
    "--code-quality",
    "out/quality.json",
    "--summary",
    "out/summary.md",
];

#[test]
fn a_file_that_cannot_be_read_is_in_every_report() {
    let project = Project::new("[project]\nname = \"x\"\n[ci]\nrum = []\n");
    for report in ["junit.xml", "x.sarif", "quality.json"] {
        project.write(&format!("out/{report}"), "of an earlier run\n");
    }
    let ran = project.run(&[&["ci"], &REPORTS[..]].concat());
    assert_eq!(ran.code, 2, "{}", ran.all());
    let junit = project.read("out/junit.xml");
    assert!(junit.contains("failures=\"1\""), "{junit}");
    for (report, place) in [
        ("junit.xml", "devenv.toml:4:1: unknown key `rum`"),
        ("x.sarif", "\"startLine\": 4"),
        ("quality.json", "\"begin\": 4"),
        ("summary.md", "**devenv.toml:4:1** unknown key"),
    ] {
        let text = project.read(&format!("out/{report}"));
        assert!(text.contains(place), "{report}: {text}");
        assert!(!text.contains("of an earlier run"), "{report}: {text}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let project = Project::new(
        "[project]\nname = \"x\"\n[task.t]\nrun = \"touch ran\"\n[ci]\nrun = [\"task.t\"]\n",
    );
    project.write("file", "");
    for option in ["--junit", "--sarif", "--code-quality", "--summary"] {
        let ran = project.run(&["ci", option, "file/report"]);
        assert_eq!(ran.code, 3, "{option}: {}", ran.all());
        let says = "error: cannot write the report `file/report`";
        assert!(ran.stderr.contains(says), "{option}: {}", ran.stderr);
        assert!(!project.join("ran").exists(), "{option}");
    }
}

/// A task that writes a committed file, in a repository with what it needs to be green.
fn with_generated_file() -> Project {
    let project = Project::new(
        "[project]\nname = \"x\"\n[task.gen]\nrun = \"tr a-z A-Z < in.txt > gen.txt\"\n\
         [ci]\nrun = [\"task.gen\"]\n",
    );
    project.write(".gitignore", ".devenv\nout\n");
    project.write("in.txt", "one\n");
    project.write("gen.txt", "ONE\n");
    project.git(&["init", "-q", "-b", "main"]);
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "-m", "one"]);
    project
}

#[test]
fn a_committed_file_that_a_task_writes_otherwise() {
    let project = with_generated_file();
    let green = ci(&project, &REPORTS);
    assert_eq!(green.code, 0, "{}", green.all());
    project.write("in.txt", "two\n");
    project.git(&["commit", "-q", "-a", "-m", "two"]);
    let ran = ci(&project, &REPORTS);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let says = "the steps wrote files that are committed otherwise: `gen.txt`";
    for part in [says, "-ONE", "+TWO", "::error file=gen.txt,line=1"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    for report in ["junit.xml", "x.sarif", "quality.json"] {
        let text = project.read(&format!("out/{report}"));
        assert!(text.contains(says), "{report}: {text}");
    }
    let summary = project.read("out/summary.md");
    assert!(summary.contains("+TWO"), "{summary}");
    let json = project.run(&["ci", "--output", "json"]);
    assert_eq!(
        json.code,
        0,
        "now it is as the task writes it: {}",
        json.all()
    );
}

#[test]
fn what_is_not_committed_yet_is_the_users_own() {
    let project = with_generated_file();
    project.write("in.txt", "two\n");
    project.write("gen.txt", "TWO\n");
    let ran = ci(&project, &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    project.write("gen.txt", "three\n");
    let ran = ci(&project, &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for part in ["-three", "+TWO"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!project.join(".devenv/ci/.devenv/before").exists());
}

#[test]
fn what_was_there_before_is_no_finding_of_a_branch() {
    let both = project();
    let project = &both.project;
    project.write(
        "migrations/V2__drop.sql",
        "alter table users drop column name;\n",
    );
    project.ok(&["ci", "generate"]);
    project.write(".gitignore", "out\n");
    project.git(&["init", "-q", "-b", "main"]);
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "-m", "one"]);
    let ran = ci(project, &[]);
    assert!(
        ran.stderr.contains("::error file=migrations/V2__drop.sql"),
        "{}",
        ran.stderr
    );
    // As of a pull request into `main`.
    project.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let mut command = project.command(&["ci"]);
    let output = command
        .env("GITHUB_BASE_REF", "main")
        .output()
        .expect("devenv");
    let ran = Ran::from(output, project.path());
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(Path::new(&project.join("migrations/V2__drop.sql")).exists());
}
