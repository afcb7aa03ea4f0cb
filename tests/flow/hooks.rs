//! Hooks that check the checkout itself: what they start is beside what is up, and goes with them.

use std::process::Command;

use super::{
    both::{Both, in_both},
    ci::left,
};
use crate::support::{Project, Ran};

in_both!(
    neither_sees_nor_touches_what_is_up_and_leaves_nothing,
    what_a_killed_one_left_is_taken_down_by_the_next_or_by_down,
);

/// A commit of all there is, with a hook whose task writes down which database it was given.
fn with_hook(both: &Both) -> &Project {
    let project = &both.project;
    let config = project.read("devenv.toml");
    let hook = r#"
[task.check]
run = "echo $URL > .devenv/given; test ! -e .devenv/bad"
env = { URL = "${postgres.db.url}" }
needs = ["app.web"]

[hook.pre-push]
run = ["task.check"]

[hook.post-merge]
run = ["task.check"]
"#;
    project.write("devenv.toml", &format!("{config}{hook}"));
    project.write(".gitignore", ".devenv/\nout/\n");
    for args in [
        &["init", "-q"][..],
        &["add", "-A"],
        &["commit", "-q", "-m", "x"],
    ] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let status = git.args(args).current_dir(project.path()).status();
        assert!(status.expect("git").success());
    }
    project
}

fn hook(project: &Project, name: &str) -> Ran {
    project.run(&["hooks", "run", name])
}

fn neither_sees_nor_touches_what_is_up_and_leaves_nothing(both: Both) {
    let project = with_hook(&both);
    // With nothing up, and beside what is.
    for is_up in [false, true] {
        if is_up {
            project.ok(&["up"]);
            project.sql("insert into users values ('ada')");
        }
        let states = || ["app.web", "postgres.db"].map(|step| project.state(step));
        let before = states();
        for (name, bad, code) in [
            ("pre-push", false, 0),
            ("post-merge", false, 0),
            ("post-merge", true, 1),
        ] {
            if bad {
                project.write(".devenv/bad", "");
            }
            let ran = hook(project, name);
            assert_eq!(ran.code, code, "{name}: {}", ran.all());
            assert!(!project.read(".devenv/given").contains(":15434/"));
            assert_eq!(left(project), Vec::<String>::new(), "{name}");
            assert_eq!(states(), before, "{name}");
        }
        std::fs::remove_file(project.join(".devenv/bad")).expect("a file");
        // A pass would be one of the same tree.
        let passed = project.join(".git/devenv/hooks/passed");
        std::fs::remove_dir_all(passed).expect("a folder");
    }
    assert_eq!(project.sql("select count(*) from users"), "1");
    project.ok(&["plan", "--detailed-exit-code"]);
}

fn what_a_killed_one_left_is_taken_down_by_the_next_or_by_down(both: Both) {
    let project = with_hook(&both);
    let config = project.read("devenv.toml");
    // A post-merge hook is about the checkout, whatever it holds.
    let slow = config.replace(
        "run = \"echo $URL",
        "run = \"test ! -e .devenv/slow || { kill -9 $PPID; sleep 100; }; echo $URL",
    );
    project.write("devenv.toml", &slow);
    let kill = || {
        project.write(".devenv/slow", "");
        assert_ne!(hook(project, "post-merge").code, 0);
        assert_ne!(left(project), Vec::<String>::new(), "it had a database");
        std::fs::remove_file(project.join(".devenv/slow")).expect("a file");
    };
    kill();
    let next = hook(project, "post-merge");
    assert_eq!(next.code, 0, "{}", next.all());
    assert_eq!(left(project), Vec::<String>::new());
    kill();
    project.ok(&["down"]);
    assert_eq!(left(project), Vec::<String>::new());
}
