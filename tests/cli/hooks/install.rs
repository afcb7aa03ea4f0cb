//! Installing, uninstalling, and what is there already.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use expect_test::expect;

use super::{FILE, commit, repository};
use crate::support::{git::Git, write_program};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

fn states(git: &Git, folder: &str) -> String {
    git.ok(folder, &["hooks", "status"]).stdout
}

#[test]
fn are_installed_once_and_removed_again() {
    let git = repository("", FILE);
    assert!(states(&git, "work").contains("pre-push    not installed"));
    let first = git.ok("work", &["hooks", "install"]);
    assert_eq!(
        first.stdout,
        "Installed pre-commit, pre-push in [ROOT]/work/.git/hooks\n"
    );
    let hook = git.join("work/.git/hooks/pre-push");
    assert_eq!(mode(&hook), 0o755);
    let again = git.ok("work", &["hooks", "install"]);
    assert_eq!(
        again.stdout,
        "pre-commit, pre-push up to date in [ROOT]/work/.git/hooks\n"
    );
    expect![[r#"
        HOOK        STATE
        pre-commit  installed
        pre-push    installed
    "#]]
    .assert_eq(&states(&git, "work"));

    // One that git does not run.
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o644)).expect("changed");
    assert!(states(&git, "work").contains("pre-push    outdated"));
    git.ok("work", &["hooks", "install"]);
    assert_eq!(mode(&hook), 0o755);

    // One that the file no longer has, and one that an older devenv wrote.
    git.write(
        "work/devenv.toml",
        &FILE.replace("[hook.pre-commit]", "[hook.commit-msg]"),
    );
    expect![[r#"
        HOOK        STATE
        commit-msg  not installed: run `devenv hooks install`
        pre-commit  not in devenv.toml any more: run `devenv hooks install`
        pre-push    installed
    "#]]
    .assert_eq(&states(&git, "work"));
    let changed = git.ok("work", &["hooks", "install"]);
    expect![[r#"
        Installed commit-msg in [ROOT]/work/.git/hooks
        Removed pre-commit in [ROOT]/work/.git/hooks
    "#]]
    .assert_eq(&changed.stdout);

    let removed = git.ok("work", &["hooks", "uninstall"]);
    assert_eq!(removed.stdout, "Removed commit-msg, pre-push\n");
    assert!(!hook.exists());
    let none = git.ok("work", &["hooks", "uninstall"]);
    assert_eq!(none.stdout, "No hook of devenv is installed\n");
}

#[test]
fn status_answers_in_json() {
    let git = repository("", FILE);
    // As with `git init --template=`.
    fs::remove_dir_all(git.join("work/.git/hooks")).expect("a folder");
    assert!(states(&git, "work").contains("pre-push    not installed"));
    git.ok("work", &["hooks", "install"]);
    let answer = git.ok("work", &["hooks", "status", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    let hook = &answer["hooks"][1];
    assert_eq!(hook["hook"], "pre-push");
    assert_eq!(hook["state"], "installed");
    assert_eq!(
        (&hook["configured"], &hook["chained"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn a_foreign_hook_is_never_overwritten() {
    let git = repository("", FILE);
    let hook = git.join("work/.git/hooks/pre-push");
    let foreign = "#!/bin/sh\n# the hook of lefthook\ncat > \"$(dirname \"$0\")/said\"; echo \"$@\" >> \"$(dirname \"$0\")/said\"\n";
    write_program(&hook, foreign);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o711)).expect("set");
    let refused = git.devenv("work", &["hooks", "install"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    expect![[r#"
        error: `[ROOT]/work/.git/hooks/pre-push` is there already
         |
         = note: it is a hook of lefthook
         = help: `devenv hooks install --chain` keeps it and runs it first; or remove it if it is not needed
    "#]]
    .assert_eq(&refused.stderr);
    assert!(
        !git.join("work/.git/hooks/pre-commit").exists(),
        "all or none"
    );
    assert!(states(&git, "work").contains(
        "pre-push    foreign, of lefthook: `devenv hooks install --chain` keeps it and runs it first"
    ));

    // Both get arguments and input, and either can refuse.
    git.ok("work", &["hooks", "install", "--chain"]);
    assert!(
        states(&git, "work").contains("pre-push    installed, after one that was there before")
    );
    let pushed = git.try_git("work", &["push", "origin", "main"]);
    assert_eq!(pushed.code, 0, "{}", pushed.all());
    let said = git.read("work/.git/hooks/said");
    let head = git.git("work", &["rev-parse", "HEAD"]);
    assert!(
        said.starts_with(&format!("refs/heads/main {head} refs/heads/main 0000")),
        "{said}"
    );
    assert!(said.ends_with("origin ../remote.git\n"), "{said}");
    assert!(
        pushed.stderr.contains("pre-push: 1 check passed"),
        "{}",
        pushed.all()
    );

    write_program(
        &git.join("work/.git/hooks/pre-push.chained"),
        "#!/bin/sh\nexit 7\n",
    );
    assert_ne!(
        git.try_git("work", &["push", "origin", "main:other"]).code,
        0
    );
    write_program(&git.join("work/.git/hooks/pre-push.chained"), foreign);
    fs::set_permissions(
        git.join("work/.git/hooks/pre-push.chained"),
        fs::Permissions::from_mode(0o711),
    )
    .expect("set");

    let removed = git.ok("work", &["hooks", "uninstall"]);
    assert!(
        removed
            .stdout
            .contains("Put back what was there of pre-push"),
        "{}",
        removed.all()
    );
    assert_eq!(
        (git.read("work/.git/hooks/pre-push"), mode(&hook)),
        (foreign.to_owned(), 0o711)
    );
    assert!(!git.join("work/.git/hooks/pre-push.chained").exists());
}

#[test]
fn one_of_ours_that_was_edited_is_neither_replaced_nor_run_twice() {
    let git = repository("", FILE);
    git.ok("work", &["hooks", "install"]);
    let hook = git.join("work/.git/hooks/pre-push");
    let written = git.read("work/.git/hooks/pre-push");
    for edited in [
        written.clone() + "echo mine\n",
        written.replace("#!/bin/sh\n", "#!/bin/sh\necho mine\n"),
    ] {
        fs::write(&hook, &edited).expect("written");
        assert!(states(&git, "work").contains(
            "pre-push    written by devenv and edited since: remove it and run `devenv hooks install`"
        ));
        for args in [&["hooks", "install"][..], &["hooks", "install", "--chain"]] {
            let refused = git.devenv("work", args);
            assert_eq!(refused.code, 2, "{}", refused.all());
            expect![[r#"
                error: `[ROOT]/work/.git/hooks/pre-push` is there already
                 |
                 = note: it was written by devenv and edited since
                 = help: remove it and run `devenv hooks install`; lines of your own belong into a task, or into a program `[ROOT]/work/.git/hooks/pre-push.chained`, which runs first
            "#]]
            .assert_eq(&refused.stderr);
        }
        let removed = git.ok("work", &["hooks", "uninstall"]);
        assert!(
            removed.stderr.contains("was edited and is left alone"),
            "{}",
            removed.all()
        );
        assert_eq!(fs::read_to_string(&hook).expect("a file"), edited);
    }
}

#[test]
fn hooks_are_removed_wherever_git_looks_now() {
    let git = repository("", FILE);
    // Of all repositories, and of this one.
    for elsewhere in ["/nowhere/hooks", ".hooks"] {
        git.ok("work", &["hooks", "install"]);
        git.git("work", &["config", "core.hooksPath", elsewhere]);
        let removed = git.ok("work", &["hooks", "uninstall"]);
        assert_eq!(removed.stdout, "Removed pre-commit, pre-push\n");
        assert!(!git.join("work/.git/hooks/pre-push").exists());
        git.git("work", &["config", "--unset", "core.hooksPath"]);
    }
    // In both.
    git.ok("work", &["hooks", "install"]);
    git.git("work", &["config", "core.hooksPath", ".hooks"]);
    git.ok("work", &["hooks", "install"]);
    let removed = git.ok("work", &["hooks", "uninstall"]);
    assert_eq!(removed.stdout, "Removed pre-commit, pre-push\n");
    for folder in ["work/.git/hooks", "work/.hooks"] {
        assert!(!git.join(folder).join("pre-push").exists(), "{folder}");
    }
}

#[test]
fn a_folder_that_others_share_is_not_written_to() {
    let git = repository("", FILE);
    fs::create_dir(git.join("shared")).expect("a folder");
    let shared = git.join("shared").display().to_string();
    git.git("work", &["config", "--global", "core.hooksPath", &shared]);
    let refused = git.devenv("work", &["hooks", "install"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    expect![[r#"
        error: hooks of this repository are in `[ROOT]/shared`, which others may share
         |
         = note: git's `core.hooksPath` says so; devenv writes only into folders of the repository
         = help: give this repository its own: git config --local core.hooksPath "[ROOT]/work/.git/hooks"
    "#]]
    .assert_eq(&refused.stderr);
    assert_eq!(
        fs::read_dir(git.join("shared")).expect("a folder").count(),
        0
    );
    let own = git.join("work/.git/hooks").display().to_string();
    git.git("work", &["config", "--local", "core.hooksPath", &own]);
    git.ok("work", &["hooks", "install"]);

    // A folder of the checkout is everybody's: nothing of this machine is written there.
    git.git("work", &["config", "--local", "core.hooksPath", ".hooks"]);
    let noted = git.ok("work", &["hooks", "install"]);
    assert!(
        noted
            .stderr
            .contains("commit the hooks, or let git ignore them"),
        "{}",
        noted.all()
    );
    assert!(
        !git.read("work/.hooks/pre-push")
            .contains(env!("CARGO_BIN_EXE_devenv"))
    );
}

#[test]
fn a_project_in_a_subfolder_is_found_from_every_worktree() {
    let git = repository("tools/it's here/", FILE);
    git.ok("work/tools/it's here/src", &["hooks", "install"]);
    git.git(
        "work",
        &["worktree", "add", "-q", "-b", "side", "../linked"],
    );
    git.write("linked/tools/it's here/src/a", "forbidden\n");
    commit(&git, "linked");
    assert_ne!(git.try_git("linked", &["push", "origin", "side"]).code, 0);
    assert_ne!(git.try_git("work", &["push", "origin", "side"]).code, 0);
    assert_eq!(
        git.try_git("work/tools", &["push", "origin", "main"]).code,
        0
    );
    // A branch from before devenv.
    git.git("linked", &["checkout", "-q", "--orphan", "old"]);
    git.git("linked", &["rm", "-q", "-r", "-f", "."]);
    git.write("linked/forbidden", "forbidden\n");
    commit(&git, "linked");
    let pushed = git.try_git("linked", &["push", "origin", "old"]);
    assert_eq!(pushed.code, 0, "{}", pushed.all());
    assert!(
        pushed.stderr.contains("has no devenv.toml"),
        "{}",
        pushed.all()
    );
    git.write("linked/more", "forbidden\n");
    git.git("linked", &["add", "-A"]);
    let committed = git.try_git("linked", &["commit", "-m", "more"]);
    assert_eq!(committed.code, 0, "{}", committed.all());
}

#[test]
fn can_be_skipped_and_needs_the_program() {
    let git = repository("", FILE);
    git.ok("work", &["hooks", "install"]);
    git.write("work/src/a", "forbidden\n");
    commit(&git, "work");
    assert_ne!(git.try_git("work", &["push", "origin", "main"]).code, 0);
    let mut skipped = git.command("work", "git");
    skipped
        .args(["push", "origin", "main:skipped"])
        .env("DEVENV_HOOKS", "0");
    assert!(skipped.output().expect("git").status.success());
    assert_eq!(
        git.try_git(
            "work",
            &["push", "--no-verify", "origin", "main:unverified"]
        )
        .code,
        0
    );

    // Who types the command wants it to run.
    let mut typed = git.command("work", env!("CARGO_BIN_EXE_devenv"));
    typed
        .args(["hooks", "run", "pre-push"])
        .env("DEVENV_HOOKS", "0");
    let typed = typed.output().expect("devenv");
    assert_eq!(typed.status.code(), Some(1));

    // Neither on PATH nor where it was.
    let hook = git.join("work/.git/hooks/pre-push");
    let text = fs::read_to_string(&hook).expect("a file");
    fs::write(
        &hook,
        text.replace(env!("CARGO_BIN_EXE_devenv"), "/nowhere/devenv"),
    )
    .expect("written");
    let mut push = git.command("work", "git");
    push.args(["push", "origin", "main"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let missing = push.output().expect("git");
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success());
    assert!(
        stderr.contains("pre-push: devenv is not on PATH nor where it was"),
        "{stderr}"
    );

    // With the PATH of a program with windows, the one that installed it is found.
    fs::write(&hook, text).expect("written");
    let mut push = git.command("work", "git");
    push.args(["push", "origin", "main"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let refused = push.output().expect("git");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("`pre-push` does not pass"), "{stderr}");
}

#[test]
fn one_hook_is_of_one_project() {
    let git = repository("first/", FILE);
    git.ok("work/first", &["hooks", "install"]);
    git.write("work/second/devenv.toml", &FILE.replace("hooked", "second"));
    let refused = git.devenv("work/second", &["hooks", "install"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    let told = "`pre-push` is installed for another project of this repository";
    assert!(refused.stderr.contains(told), "{}", refused.all());
    // Moved, it is the same project.
    fs::remove_dir_all(git.join("work/second")).expect("a folder");
    fs::rename(git.join("work/first"), git.join("work/moved")).expect("renamed");
    assert!(states(&git, "work/moved").contains("pre-push    outdated"));
    git.ok("work/moved", &["hooks", "install"]);
    assert!(states(&git, "work/moved").contains("pre-push    installed"));
}

#[test]
fn an_installation_that_was_killed_is_taken_up() {
    let git = repository("", FILE);
    let kept = git.join("work/.git/hooks/pre-push.chained");
    write_program(&kept, "#!/bin/sh\necho kept >&2\n");
    assert!(states(&git, "work").contains("pre-push    not installed"));
    git.ok("work", &["hooks", "install"]);
    let pushed = git.try_git("work", &["push", "origin", "main"]);
    assert!(pushed.stderr.contains("kept\n"), "{}", pushed.all());
    // The other way round: uninstalled, or killed before it was installed.
    fs::remove_file(git.join("work/.git/hooks/pre-push")).expect("a file");
    let back = git.ok("work", &["hooks", "uninstall"]);
    assert!(
        back.stdout.contains("Put back what was there of pre-push"),
        "{}",
        back.all()
    );
    assert!(!kept.exists() && git.join("work/.git/hooks/pre-push").exists());
}

#[test]
fn outside_of_a_repository_and_without_hooks_it_says_so() {
    let git = Git::new();
    git.write("alone/devenv.toml", FILE);
    let alone = git.devenv("alone", &["hooks", "install"]);
    assert_eq!(alone.code, 2, "{}", alone.all());
    assert!(
        alone.stderr.contains("is in no git repository"),
        "{}",
        alone.all()
    );
    git.git("alone", &["init", "-q"]);
    git.write("alone/devenv.toml", "[project]\nname = \"x\"\n");
    let none = git.devenv("alone", &["hooks", "install"]);
    assert_eq!(none.code, 2, "{}", none.all());
    assert!(
        none.stderr.contains("has no `[hook.*]` table"),
        "{}",
        none.all()
    );
}
