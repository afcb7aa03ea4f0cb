//! Stand-ins for the package system: a test must not install packages on the machine it runs on.

use std::os::unix::process::CommandExt;

use crate::support::{Home, Project, write_program};

const CONFIG: &str =
    "[project]\nname = \"tools\"\n\n[toolchain.greet]\nfrom = \"apt\"\npackage = \"greet-bin\"\n";

/// Knows one package, which is installed once `apt-get install` has run.
fn home() -> Home {
    let home = Home::with_programs(&[]);
    let (done, calls) = (home.join("done"), home.join("calls"));
    let (done, calls) = (done.display(), calls.display());
    home.program(
        "programs",
        "dpkg-query",
        &format!("[ -e '{done}' ] && printf 'ii 4.5-1\\n' || exit 1"),
    );
    home.program("programs", "apt-cache", "exit 100");
    home.program(
        "programs",
        "apt-get",
        &format!("echo \"$@\" >> '{calls}'\ncase \"$*\" in *install*) touch '{done}';; esac"),
    );
    home
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn installs_as_root_after_an_update_of_what_is_unknown() {
    if !is_root() {
        // The other half of the same rule is what this user can see.
        return refuses(&home(), &Project::new(CONFIG));
    }
    let (project, home) = (Project::new(CONFIG), home());
    let ran = home.ok(&project, &["install"]);
    assert_eq!(ran.stdout, "greet  4.5-1  installed\n");
    let calls = std::fs::read_to_string(home.join("calls")).expect("calls");
    assert_eq!(
        calls,
        "-o DPkg::Lock::Timeout=120 update\n\
         -o DPkg::Lock::Timeout=120 install -y --no-install-recommends greet-bin\n"
    );
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "greet  4.5-1  ready\n"
    );
    assert_eq!(
        project
            .read("devenv.lock")
            .lines()
            .skip(3)
            .collect::<Vec<_>>(),
        ["[tool.greet]", "from = \"apt\"", "package = \"greet-bin\"",]
    );
}

#[test]
fn tells_another_user_the_command() {
    refuses(&home(), &Project::new(CONFIG));
}

fn refuses(home: &Home, project: &Project) {
    let mut command = home.command(project, &["install"]);
    if is_root() {
        for dir in [home.join(""), project.join("")] {
            std::os::unix::fs::chown(&dir, Some(65534), None).expect("owned by nobody");
        }
        // The binary may lie where another user cannot look.
        let binary = home.join("devenv");
        let copy = std::fs::read(env!("CARGO_BIN_EXE_devenv")).expect("the binary");
        write_program(&binary, copy);
        let mut own = std::process::Command::new(binary);
        own.args(["install"]).current_dir(project.path()).uid(65534);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        command = own;
    }
    let ran = home.ran(project.path(), command.output().expect("devenv runs"));
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(
        ran.stderr
            .contains("help: run `sudo apt-get install --no-install-recommends greet-bin`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_package_of_this_machine_is_found() {
    let project = Project::new(
        "[project]\nname = \"tools\"\n\n[toolchain.dpkg]\nfrom = \"apt\"\ncommand = \"dpkg\"\n",
    );
    let ran = Home::new().ok(&project, &["install", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(answer["tools"]["dpkg"]["digest"], "dpkg");
    assert!(answer["tools"]["dpkg"]["paths"]["dpkg"].is_string());
}
