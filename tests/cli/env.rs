//! `devenv env`.

use expect_test::expect;

use crate::support::{Home, Project};

const CONFIG: &str = "[project]\nname = \"tools\"\n";

#[test]
fn prints_lines_for_the_shell() {
    let mut home = Home::new();
    home.set_path("/usr/bin:/it's".to_owned());
    let project = Project::new(CONFIG);
    let mut all = String::new();
    for shell in ["sh", "bash", "zsh", "fish"] {
        all += &home.ok(&project, &["env", "--shell", shell]).stdout;
    }
    expect![[r#"
        export PATH='[ROOT]/.devenv/bin:/usr/bin:/it'\''s'
        export PATH='[ROOT]/.devenv/bin:/usr/bin:/it'\''s'
        export PATH='[ROOT]/.devenv/bin:/usr/bin:/it'\''s'
        set -gx PATH '[ROOT]/.devenv/bin:/usr/bin:/it\'s'
    "#]]
    .assert_eq(&all);
    let mut command = home.command(&project, &["env"]);
    let output = command
        .env("SHELL", "/usr/bin/fish")
        .output()
        .expect("devenv runs");
    assert!(
        home.ran(project.path(), output)
            .stdout
            .starts_with("set -gx PATH ")
    );
}

#[test]
fn a_shell_that_takes_it_twice_has_it_once() {
    let (home, project) = (Home::new(), Project::new(CONFIG));
    let script = "eval \"$(\"$0\" env)\"; eval \"$(\"$0\" env)\"; echo \"$PATH\"";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_devenv")]);
    let output = shell.current_dir(project.path()).output().expect("sh runs");
    let ran = home.ran(project.path(), output);
    assert!(
        ran.stdout.starts_with("[ROOT]/.devenv/bin:"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        ran.stdout.matches(".devenv/bin").count(),
        1,
        "{}",
        ran.stdout
    );
}

#[test]
fn a_tool_that_is_not_ready_is_a_warning() {
    let home = Home::with_programs(&[]);
    let project = Project::new(
        "[project]\nname = \"tools\"\n\n[toolchain.greet]\nfrom = \"system\"\nversion = \"*\"\n",
    );
    let ran = home.ok(&project, &["env"]);
    // `devenv install` could not help.
    expect![[r#"
        warning: tool `greet` is not ready: `greet` is not on PATH; install `greet` with this system's package manager, or let devenv do it: `from = "http"`, `"cargo"`, `"pip"` or `"apt"` in [toolchain.greet]
    "#]].assert_eq(&ran.stderr);
    assert!(ran.stdout.starts_with("export PATH="));
}
