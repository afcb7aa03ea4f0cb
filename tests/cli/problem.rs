//! What a failed task named in the project's files: beside its failure, for people and programs.

use serde_json::{Value as Json, json};

use crate::support::Project;

const CONFIG: &str = r#"
[project]
name = "test"

[secret.token]
env = "TOKEN"

[task.check]
run = "sh check.sh"
env = { TOKEN = "${secret.token}" }
"#;

const CHECK: &str = "printf 'error[E0308]: %s is no number\\n --> src/x.rs:3:5\\n' \"$TOKEN\"\n\
    echo \"$PWD/src/x.rs:9:1: warning: unused [-Wunused]\"\necho 'src/none.rs:1:1: error: elsewhere'\nexit 1\n";

#[test]
fn a_failed_task_points_into_the_code() {
    let project = Project::new(CONFIG);
    project.write("check.sh", CHECK).write("src/x.rs", "");
    let run = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("TOKEN", "hunter22").output();
        let output = output.expect("devenv runs");
        assert_eq!(output.status.code(), Some(1));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr))
    };
    let (_, stderr) = run(&["run", "check"]);
    let wanted = "error[E0308]: *** is no number\n--> src/x.rs:3:5\n\n\
                  warning[-Wunused]: unused\n--> src/x.rs:9:1\n\n\
                  error: `sh check.sh` failed with code 1\n";
    assert!(stderr.contains(wanted), "{stderr}");
    assert!(!stderr.contains("hunter22"), "{stderr}");

    let (stdout, _) = run(&["run", "check", "--output", "json"]);
    let mut records = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let finished: Json = records
        .find(|record: &Json| record["event"] == "step-finished")
        .expect("the step finished");
    let errors = &finished["outcome"]["fault"]["errors"];
    let site = |line, column| json!({ "file": "src/x.rs", "line": line, "column": column });
    assert_eq!(errors[0]["site"], site(3, 5));
    assert_eq!(errors[0]["code"], "E0308");
    assert_eq!(errors[1]["site"], site(9, 1));
    assert_eq!(errors[1]["severity"], "warning");
    assert_eq!(errors[2], Json::Null);
}

#[test]
fn a_real_compiler_is_understood() {
    let project = Project::new(
        "[project]\nname = \"test\"\n\n[task.build]\nrun = \"rustc --color always --crate-type lib --emit metadata --out-dir out src/x.rs\"\n\n\
         [task.test]\nrun = \"rustc --test -o out/x src/y.rs && out/x\"\n",
    );
    project.write("out/.keep", "");
    project.write(
        "src/x.rs",
        "pub fn f() -> u8 {\n    let unused = 1;\n    \"é\"\n}\n",
    );
    project.write("src/y.rs", "#[test]\nfn t() {\n    assert_eq!(1, 2);\n}\n");
    let stderr = |task| project.run(&["run", task]).stderr;
    let built = stderr("build");
    assert!(
        built.contains("error[E0308]: mismatched types\n--> src/x.rs:3:5\n"),
        "{built}"
    );
    let tested = stderr("test");
    let wanted = "error: assertion `left == right` failed\n--> src/y.rs:3:5\n";
    assert!(tested.contains(wanted), "{tested}");
}
