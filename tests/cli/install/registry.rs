//! A real Python package and a real crate, the smallest with an executable.

use crate::support::{Home, Project};

#[test]
fn a_python_package_in_an_environment_of_its_own() {
    let project = Project::new(
        "[project]\nname = \"tools\"\n\n[toolchain.flakes]\nfrom = \"pip\"\npackage = \"pyflakes\"\nversion = \"3.2.0\"\ncommand = \"pyflakes\"\n",
    );
    let home = Home::new();
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "flakes  3.2.0  installed\n"
    );
    let lock = project.read("devenv.lock");
    assert!(!lock.contains("://"), "no address is written: {lock}");
    project.write("clean.py", "print(1)\n");
    project.write("bad.py", "import os\n");
    home.ok(&project, &["exec", "--", "pyflakes", "clean.py"]);
    let bad = home.run(&project, &["exec", "--", "pyflakes", "bad.py"]);
    assert_eq!(
        (bad.code, bad.stdout.as_str()),
        (1, "bad.py:1:1: 'os' imported but unused\n")
    );
    assert_eq!(home.entries().len(), 1);

    // pip itself refuses other content.
    let hash = lock.split("= \"").last().expect("a hash")[..64].to_owned();
    project.write("devenv.lock", &lock.replace(&hash, &"0".repeat(64)));
    let stderr = home.fails(&project, 1, &["install"]);
    assert!(
        stderr.contains("THESE PACKAGES DO NOT MATCH THE HASHES"),
        "{stderr}"
    );
    assert_eq!(home.entries().len(), 1);
}

#[test]
fn a_crate_is_compiled_once() {
    let project = Project::new(
        "[project]\nname = \"tools\"\n\n[toolchain.jsonxf]\nfrom = \"cargo\"\nversion = \"1.1.1\"\n",
    );
    let home = Home::new();
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "jsonxf  1.1.1  installed\n"
    );
    let script = "echo '[ 1 ]' | jsonxf -m";
    let small = home.ok(&project, &["exec", "--", "sh", "-c", script]);
    assert_eq!(small.stdout.trim(), "[1]");
    assert_eq!(home.entries().len(), 1);
    assert_eq!(
        home.ok(&project, &["install"]).stdout,
        "jsonxf  1.1.1  ready\n"
    );

    let lock = project.read("devenv.lock");
    let checksum = lock.split("checksum = \"").nth(1).expect("a checksum")[..64].to_owned();
    project.write("devenv.lock", &lock.replace(&checksum, &"0".repeat(64)));
    let stderr = home.fails(&project, 1, &["install"]);
    assert!(
        stderr.contains("does not have the checksum that the lock has"),
        "{stderr}"
    );
    assert!(stderr.contains(&format!("found  {checksum}")), "{stderr}");
}
