//! What steps of a hook see, what a pass depends on, and how it is told.

use expect_test::expect;

use super::{FILE, commit, repository};
use crate::support::git::Git;

/// A repository whose hook runs this script, and other lines of its devenv.toml.
fn with_check(script: &str, more: &str) -> Git {
    let file = format!(
        "[project]\nname = \"hooked\"\n[task.check]\nrun = '''{script}'''\n[hook.pre-push]\nrun = [\"task.check\"]\n{more}"
    );
    let git = repository("", &file);
    git.ok("work", &["hooks", "install"]);
    git
}

/// A change that is not committed: what is pushed has to be checked elsewhere.
fn dirty(git: &Git) {
    git.write("work/src/a", "not committed\n");
}

#[track_caller]
fn pushes(git: &Git, branch: &str) -> String {
    let pushed = git.try_git(
        "work",
        &["push", "-q", "origin", &format!("HEAD:refs/heads/{branch}")],
    );
    assert_eq!(pushed.code, 0, "{}", pushed.all());
    pushed.stderr
}

#[test]
fn one_line_when_all_is_well_and_the_fault_when_not() {
    let git = repository("", FILE);
    git.ok("work", &["hooks", "install"]);
    let head = |git: &Git| git.git("work", &["rev-parse", "HEAD"])[..7].to_owned();
    let said = pushes(&git, "main");
    let line = format!("pre-push: 1 check passed for `{}` in ", head(&git));
    assert!(
        said.starts_with(&line) && said.lines().count() == 1,
        "{said}"
    );
    let known = pushes(&git, "again");
    assert_eq!(
        known,
        format!("pre-push: `{}` was checked before\n", head(&git))
    );

    git.write("work/src/a", "forbidden\n");
    commit(&git, "work");
    let refused = git.try_git("work", &["push", "-q", "origin", "main"]);
    let said = refused.stderr.replace(&head(&git), "1a2b3c4");
    expect![[r#"

        error: `! grep -r forbidden src` failed with code 1
         --> devenv.toml:5:1
          |
        5 | run = "! grep -r forbidden src"
          | ^^^
          |
          = note: its last output:
                  src/a:forbidden

        error: `pre-push` does not pass: `task.check` failed for `1a2b3c4` of `refs/heads/main`
         |
         = help: `devenv run task.check` runs it here; commit what mends it; `git push --no-verify` pushes without the checks
        error: failed to push some refs to '../remote.git'
    "#]]
    .assert_eq(&said);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let more = "[task.other]\nrun = \"echo second >&2; false\"\nneeds = [\"task.fine\"]\n[task.fine]\nrun = \"sleep 1\"\n";
    let git = with_check("echo first >&2; false", more);
    let file = git.read("work/devenv.toml");
    let both = "run = [\"task.check\", \"task.other\"]";
    git.write(
        "work/devenv.toml",
        &file.replace("run = [\"task.check\"]", both),
    );
    commit(&git, "work");
    let refused = git.try_git("work", &["push", "-q", "origin", "main"]);
    assert_ne!(refused.code, 0);
    for part in ["first", "second", "`task.check`, `task.other` failed"] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.all());
    }
}

#[test]
fn a_person_can_run_it_again_and_read_json() {
    let git = repository("", FILE);
    git.ok("work", &["hooks", "run", "pre-push"]);
    let known = git.ok("work", &["hooks", "run", "pre-push"]);
    assert!(
        known.stderr.ends_with("was checked before\n"),
        "{}",
        known.all()
    );
    let forced = git.ok(
        "work",
        &["hooks", "run", "pre-push", "--force", "--output", "json"],
    );
    let answer: serde_json::Value = serde_json::from_str(&forced.stdout).expect("JSON");
    assert_eq!(answer["checked"][0]["steps"], 1);
    let tree = git.git("work", &["rev-parse", "HEAD^{tree}"]);
    assert_eq!(answer["checked"][0]["tree"], tree);

    git.write("work/src/a", "forbidden\n");
    git.git("work", &["add", "-A"]);
    let failed = git.devenv("work", &["hooks", "run", "pre-commit", "--output", "json"]);
    assert_eq!(failed.code, 1, "{}", failed.all());
    let answer: serde_json::Value = serde_json::from_str(&failed.stdout).expect("JSON");
    let tree = &answer["answer"]["failed"][0];
    assert_eq!(tree["name"], "what is staged");
    assert_eq!(tree["failed"], serde_json::json!(["task.check"]));
    assert_eq!(answer["error"]["exit_code"], 1);

    let unknown = git.devenv("work", &["hooks", "run", "pre-pusch"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("did you mean `pre-push`?"),
        "{}",
        unknown.all()
    );
}

#[test]
fn gits_variables_do_not_reach_what_steps_run() {
    // A repository of the task's own must be just that, in either place.
    let script = "env | grep '^GIT_\\(DIR\\|INDEX_FILE\\|WORK_TREE\\|PREFIX\\)=' && exit 1; \
        rm -rf ../own.$DEVENV_HOOK && git init -q ../own.$DEVENV_HOOK && cd ../own.$DEVENV_HOOK && echo x > x && git add x && git commit -q -m own";
    let more = "[hook.pre-commit]\nrun = [\"task.check\"]\n";
    let git = with_check(script, more);
    for round in 0..2 {
        let before = git.git("work", &["rev-list", "--all", "--count"]);
        git.write("work/src/a", &format!("{round}\n"));
        git.git("work", &["add", "-A"]);
        if round == 1 {
            dirty(&git);
        }
        // The commit and then the push, in a subfolder with its prefix.
        for args in [
            &["commit", "-q", "-m", "x"][..],
            &["push", "-q", "origin", "HEAD:refs/heads/main"],
        ] {
            let ran = git.try_git("work/src", args);
            assert_eq!(ran.code, 0, "{}", ran.all());
        }
        let after = git.git("work", &["rev-list", "--all", "--count"]);
        let number = |text: &str| text.parse::<u32>().expect("a number");
        assert_eq!(number(&after), number(&before) + 1);
        assert!(
            !git.git("work", &["ls-files"])
                .lines()
                .any(|file| file == "x")
        );
    }
}

#[test]
fn a_pass_ends_with_what_it_depended_on() {
    let git = with_check("echo run >> ../runs; test \"$MODE\" = good", "");
    let file = git.read("work/devenv.toml");
    let file = file.replace(
        "[hook",
        "env = { MODE = \"${env.HOOK_MODE:-good}\" }\n[hook",
    );
    git.write(
        "work/devenv.toml",
        &format!("{file}[toolchain.tool]\nfrom = \"system\"\nversion = \">=1\"\n"),
    );
    git.write("work/.gitignore", ".devenv/\n.env\n");
    let tool = |version: &str| {
        let script = format!("#!/bin/sh\necho tool {version}\n");
        crate::support::write_program(&git.join("programs/tool"), script);
    };
    tool("1.0");
    commit(&git, "work");
    let path = format!(
        "{}:{}",
        git.join("programs").display(),
        std::env::var("PATH").expect("a PATH")
    );
    let runs = |mode: Option<&str>| {
        let mut command = git.command("work", env!("CARGO_BIN_EXE_devenv"));
        command
            .args(["hooks", "run", "pre-push"])
            .env("PATH", &path);
        let passed = command
            .envs(mode.map(|mode| ("HOOK_MODE", mode)))
            .output()
            .expect("devenv");
        (git.read("runs").lines().count(), passed.status.success())
    };
    let again = |git: &Git| git.write("runs", "").read("runs");
    assert_eq!((runs(None).0, runs(None).0), (1, 1));
    again(&git);
    // A variable that the file mentions, also by way of the checkout's `.env`; a program; and back.
    assert!(!runs(Some("bad")).1);
    assert_eq!(runs(None), (1, true));
    git.write("work/.env", "HOOK_MODE=bad\n");
    assert!(!runs(None).1);
    std::fs::remove_file(git.join("work/.env")).expect("a file");
    again(&git);
    tool("1.10");
    assert_eq!((runs(None), runs(None)), ((1, true), (1, true)));
    let records = git.join("work/.git/devenv/hooks/passed/pre-push");
    let record = std::fs::read_dir(records)
        .expect("passes")
        .next()
        .expect("one")
        .expect("one");
    let text = std::fs::read_to_string(record.path()).expect("a pass");
    assert!(
        text.contains("HOOK_MODE") && !text.contains("good"),
        "{text}"
    );
}

#[test]
fn a_private_worktree_sees_what_is_shared_and_ignored() {
    let script = "test \"$VALUE $TOKEN\" = \"one hunter2\" && cat target/built && test ! -e loose && touch target/made";
    let git = with_check(
        script,
        "share = [\"target\", \"loose\", \"absent\", \"src\"]\n",
    );
    let file = git
        .read("work/devenv.toml")
        .replace("[hook", "env = { VALUE = \"${env.VALUE}\", TOKEN = \"${secret.token}\" }\n[secret.token]\nfile = \"token.txt\"\n[hook");
    git.write("work/devenv.toml", &file);
    git.write("work/.gitignore", ".devenv/\n.env\ntarget/\ntoken.txt\n");
    git.write("work/.env", "VALUE=one\n");
    git.write("work/token.txt", "hunter2\n");
    commit(&git, "work");
    git.write("work/target/built", "x");
    // Not ignored, so no file of the tree either.
    git.write("work/loose/x", "x");
    dirty(&git);
    pushes(&git, "main");
    assert!(git.join("work/target/made").exists());
    for kept in ["target/built", ".env", "token.txt"] {
        assert!(git.join("work").join(kept).exists());
    }
    assert!(!git.join("work/.git/devenv/hooks/work/0").exists());
}

#[test]
fn other_hooks_get_their_arguments_and_run_in_the_checkout() {
    let script = "echo \"$DEVENV_HOOK $#\" > ../said; grep -q '^topic: ' \"$DEVENV_HOOK_ARG_1\"";
    let more = "[hook.commit-msg]\nrun = [\"task.check\"]\n[hook.post-checkout]\nrun = [\"task.old\"]\n[task.old]\nrun = \"echo $DEVENV_HOOK_ARG_3 > ../said\"\n";
    let git = with_check(script, more);
    git.ok("work", &["hooks", "install"]);
    git.write("work/src/b", "b\n");
    git.git("work", &["add", "-A"]);
    let refused = git.try_git("work/src", &["commit", "-m", "no topic"]);
    assert!(
        refused
            .stderr
            .contains("`commit-msg` does not pass: `task.check` failed for the checkout"),
        "{}",
        refused.all()
    );
    let made = git.try_git("work/src", &["commit", "-m", "topic: b"]);
    assert_eq!(made.code, 0, "{}", made.all());
    assert_eq!(git.read("said"), "commit-msg 0\n");
    git.git("work", &["checkout", "-q", "-b", "side"]);
    assert_eq!(git.read("said"), "1\n");
}

/// In the repository that is pushed to, whose checkout is another branch, and in a bare one that only has the script.
#[test]
fn what_comes_in_is_checked_where_it_comes_in() {
    for hook in ["pre-receive", "update"] {
        let git = repository("", &FILE.replace("pre-push", hook));
        git.ok("work", &["hooks", "install"]);
        git.git("work", &["clone", "-q", "--bare", ".", "../bare"]);
        let script = format!("hooks/{hook}");
        let to = git.join(&format!("bare/{script}"));
        std::fs::copy(git.join(&format!("work/.git/{script}")), to).expect("copied");
        git.git("work", &["clone", "-q", ".", "../other"]);
        git.git("other", &["remote", "add", "bare", "../bare"]);
        for remote in ["origin", "bare"] {
            git.git("other", &["checkout", "-q", "-B", "side", "origin/main"]);
            git.write("other/src/a", "better\n");
            commit(&git, "other");
            let good = git.try_git("other", &["push", "-q", remote, "side"]);
            assert_eq!(good.code, 0, "{hook} {remote}: {}", good.all());
            assert!(good.stderr.contains("1 check passed for"), "{}", good.all());
            git.write("other/src/a", "forbidden\n");
            commit(&git, "other");
            let bad = git.try_git("other", &["push", "-q", remote, "side"]);
            assert_ne!(bad.code, 0, "{hook} {remote}: {}", bad.all());
            assert!(bad.stderr.contains("src/a:forbidden"), "{}", bad.all());
            git.git("other", &["push", "-q", remote, ":side"]);
        }
    }
}

/// Whatever it has as inputs: git gives each message in a file of the same name.
#[test]
fn a_task_that_asks_what_git_told_runs_every_time() {
    let file = "[project]\nname = \"hooked\"\n[task.topic]\nrun = 'grep -q \"^topic: \" \"$DEVENV_HOOK_ARG_1\"'\ninputs = [\"src\"]\n\
                pass = [\"DEVENV_HOOK_ARG_1\"]\n[hook.commit-msg]\nrun = [\"task.topic\"]\n";
    let git = repository("", file);
    git.ok("work", &["hooks", "install"]);
    let commit = |message: &str| git.try_git("work", &["commit", "--allow-empty", "-m", message]);
    assert_eq!(commit("topic: a").code, 0);
    assert_ne!(commit("no topic").code, 0);
    assert_eq!(commit("topic: b").code, 0);
}

#[test]
fn stale_generated_code_is_refused_with_its_diff() {
    let file = "[project]\nname = \"hooked\"\n[proto.hello]\nrust = { out = \"gen\" }\n[hook.pre-push]\nrun = [\"proto.hello\"]\n";
    let git = repository("", file);
    let proto = "syntax = \"proto3\";\npackage hello;\nmessage Hello { string name = 1; }\n";
    git.write("work/proto/hello.proto", proto);
    git.ok("work", &["proto"]);
    git.ok("work", &["hooks", "install"]);
    commit(&git, "work");
    pushes(&git, "main");
    git.write(
        "work/proto/hello.proto",
        &proto.replace("name = 1", "name = 2"),
    );
    commit(&git, "work");
    let generated = git.read("work/gen/hello.rs");
    // In the checkout, and beside one that has it right and not committed.
    for round in 0..2 {
        let refused = git.try_git("work", &["push", "origin", "main"]);
        assert_ne!(refused.code, 0, "{round}");
        for part in [
            "generated code is out of date: 1 file changed",
            "-    #[prost(string, tag = \"1\")]",
            "+    #[prost(string, tag = \"2\")]",
            "run `devenv proto`",
        ] {
            assert!(refused.stderr.contains(part), "{part} in {}", refused.all());
        }
        match round {
            0 => assert_eq!(git.read("work/gen/hello.rs"), generated),
            _ => assert_ne!(git.read("work/gen/hello.rs"), generated),
        }
        git.ok("work", &["proto"]);
    }
    commit(&git, "work");
    let passed = pushes(&git, "main");
    assert!(passed.contains("1 check passed"), "{passed}");
    assert!(pushes(&git, "again").contains("was checked before"));
}

#[test]
fn what_a_task_would_write_otherwise_is_refused() {
    let file = "[project]\nname = \"hooked\"\n[task.gen]\nrun = \"tr a-z A-Z < in.txt > gen.txt\"\ninputs = [\"in.txt\"]\n\
                outputs = [\"gen.txt\"]\n[hook.pre-push]\nrun = [\"task.gen\"]\n";
    let git = repository("", file);
    git.write("work/in.txt", "one\n");
    git.ok("work", &["run", "gen"]);
    git.ok("work", &["hooks", "install"]);
    commit(&git, "work");
    pushes(&git, "main");
    git.write("work/in.txt", "two\n");
    commit(&git, "work");
    let refused = git.try_git("work", &["push", "origin", "main"]);
    assert_ne!(refused.code, 0);
    for part in [
        "the steps wrote files that are committed otherwise: `gen.txt`",
        "-ONE",
        "+TWO",
    ] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.all());
    }
    git.ok("work", &["run", "gen"]);
    commit(&git, "work");
    assert!(pushes(&git, "main").contains("1 check passed"));
}
