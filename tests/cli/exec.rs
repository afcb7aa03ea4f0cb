//! `devenv exec -- cmd`.

use crate::support::{Home, Project};

const CONFIG: &str = "[project]\nname = \"tools\"\n";

#[test]
fn passes_arguments_output_and_exit_code_through() {
    let (home, project) = (Home::new(), Project::new(CONFIG));
    let script = "echo \"$1\"; echo \"$2\" >&2; exit 42";
    let ran = home.run(
        &project,
        &["exec", "--", "sh", "-c", script, "sh", "--help", "x"],
    );
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (42, "--help\n", "x\n")
    );
}

#[test]
fn runs_in_the_folder_it_was_called_in_with_the_links_first() {
    let (home, project) = (Home::new(), Project::new(CONFIG));
    project.write("deep/file", "");
    let mut command = home.command(
        &project,
        &["exec", "--", "sh", "-c", "pwd; echo ${PATH%%:*}"],
    );
    let output = command
        .current_dir(project.join("deep"))
        .output()
        .expect("devenv runs");
    let ran = home.ran(project.path(), output);
    assert_eq!(ran.stdout, "[ROOT]/deep\n[ROOT]/.devenv/bin\n");
}

#[test]
fn a_command_that_is_nowhere() {
    let (home, project) = (Home::new(), Project::new(CONFIG));
    let stderr = home.fails(&project, 3, &["exec", "--", "no-such-command"]);
    assert!(stderr.contains("cannot run `no-such-command`"), "{stderr}");
    home.fails(&project, 2, &["exec"]);
}

#[test]
fn a_tool_that_is_not_installed_yet() {
    let project = Project::new(
        "[project]\nname = \"x\"\n\n[toolchain.later]\nfrom = \"http\"\nversion = \"1.0\"\nurl = \"http://127.0.0.1:1/later-{version}.tar.gz\"\nbin = [\"later\"]\n",
    );
    let ran = project.run(&["exec", "--", "later"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    let help = "it is one of the project's tools, and not installed yet: run `devenv install`";
    assert!(ran.stderr.contains(help), "{}", ran.stderr);
    let other = project.run(&["exec", "--", "devenv-test-no-such-program"]);
    assert!(
        other
            .stderr
            .contains("when one of the project's tools brings it"),
        "{}",
        other.stderr
    );
}
