use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

/// A repository with a real remote.
struct Repository {
    dir: TempDir,
}

impl Repository {
    /// `work` is a clone of `origin.git`, whose `main` has two files in `m`.
    async fn new() -> Self {
        let own = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        own.git(".", &["init", "-q", "--bare", "-b", "main", "origin.git"])
            .await;
        own.git(".", &["init", "-q", "-b", "main", "work"]).await;
        own.git("work", &["remote", "add", "origin", "../origin.git"])
            .await;
        own.write("m/V1__a.sql", "select 1;\n");
        own.write("m/V2__b.sql", "select 2;\n");
        own.commit("two migrations").await;
        own.git("work", &["push", "-q", "origin", "main"]).await;
        own
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path("work").join(path);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    async fn commit(&self, message: &str) {
        self.git("work", &["add", "-A"]).await;
        self.git("work", &["commit", "-q", "-m", message]).await;
    }

    async fn git(&self, dir: &str, args: &[&str]) -> String {
        let settings = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "protocol.file.allow=always",
        ];
        let output = run(&self.path(dir), &[&settings, args].concat())
            .await
            .expect("git runs");
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        text(&output.stdout)
    }

    /// By what the base is found, or why there is none.
    async fn base(&self, dir: &str) -> Result<String, String> {
        match base(&self.path(dir), &Since::Branch)
            .await
            .expect("git answers")
        {
            Base::Commit { of, .. } => Ok(of),
            Base::None { why } => Err(why),
        }
    }

    async fn unchanged(&self, since: &Since) -> Vec<String> {
        let dir = self.path("work/m");
        match base(&dir, since).await.expect("git answers") {
            Base::Commit { id, .. } => unchanged(&dir, &id)
                .await
                .expect("git answers")
                .into_iter()
                .collect(),
            Base::None { why } => panic!("no base: {why}"),
        }
    }
}

#[tokio::test]
async fn the_base_is_where_the_branch_left_the_default_branch() {
    let repository = Repository::new().await;
    assert_eq!(repository.base("work").await, Ok("origin/main".to_owned()));
    assert_eq!(
        repository.unchanged(&Since::Branch).await,
        ["V1__a.sql", "V2__b.sql"]
    );
    repository
        .git("work", &["checkout", "-q", "-b", "topic"])
        .await;
    repository.write("m/V3__c.sql", "select 3;\n");
    repository.commit("a third").await;
    repository.write("m/V2__b.sql", "select 22;\n");
    repository.write("m/V4__untracked.sql", "select 4;\n");
    assert_eq!(repository.unchanged(&Since::Branch).await, ["V1__a.sql"]);
    // The default branch goes on: what is new there is no change here.
    repository.git("work", &["stash", "-q", "-u"]).await;
    repository.git("work", &["checkout", "-q", "main"]).await;
    repository.write("m/V1__a.sql", "select 11;\n");
    repository.commit("on the other side").await;
    repository
        .git("work", &["push", "-q", "origin", "main"])
        .await;
    repository.git("work", &["checkout", "-q", "topic"]).await;
    assert_eq!(
        repository.unchanged(&Since::Branch).await,
        ["V1__a.sql", "V2__b.sql"]
    );
}

#[tokio::test]
async fn line_ends_are_compared_as_git_stores_them_and_nothing_is_written() {
    let repository = Repository::new().await;
    repository.write("m/V3__crlf.sql", "select 3;\r\n");
    let config = ["config", "core.autocrlf"];
    repository
        .git("work", &[&config[..], &["false"]].concat())
        .await;
    repository.commit("one that is stored with CRLF").await;
    repository
        .git("work", &["push", "-q", "origin", "main"])
        .await;
    repository
        .git("work", &[&config[..], &["true"]].concat())
        .await;
    repository.write("m/V1__a.sql", "select 1;\r\n");
    repository.write("m/V2__b.sql", "select 2;\n");
    let index = || fs::read(repository.path("work/.git/index")).expect("an index");
    let before = index();
    let all = ["V1__a.sql", "V2__b.sql", "V3__crlf.sql"];
    assert_eq!(repository.unchanged(&Since::Branch).await, all);
    assert!(before == index(), "the index was written");
    fs::remove_file(repository.path("work/m/V2__b.sql")).expect("removed");
    repository.write("m/V1__a.sql", "select 1; \r\n");
    assert_eq!(repository.unchanged(&Since::Branch).await, ["V3__crlf.sql"]);
}

#[tokio::test]
async fn repositories_of_either_hash_are_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = ["-c", "user.name=a", "-c", "user.email=a@b"];
    for format in ["sha1", "sha256"] {
        let work = dir.path().join(format);
        fs::create_dir(&work).expect("made");
        fs::write(work.join("V1__a.sql"), "select 1;").expect("written");
        let init = format!("--object-format={format}");
        for args in [
            &["init", "-q", &init][..],
            &["add", "-A"],
            &["commit", "-q", "-m", "x"],
        ] {
            let output = run(&work, &[&settings, args].concat())
                .await
                .expect("git runs");
            assert!(output.status.success(), "{args:?}");
        }
        let head = unchanged(&work, "HEAD").await.expect("git answers");
        assert_eq!(head.into_iter().collect::<Vec<_>>(), ["V1__a.sql"]);
    }
}

#[tokio::test]
async fn a_ref_that_is_asked_for_is_the_base() {
    let repository = Repository::new().await;
    repository.write("m/V3__c.sql", "select 3;\n");
    repository.commit("a third").await;
    repository.git("work", &["tag", "released"]).await;
    let released = Since::Ref("released".to_owned());
    assert_eq!(repository.unchanged(&released).await.len(), 3);
    assert_eq!(repository.unchanged(&Since::Branch).await.len(), 2);
    for wanted in ["nope", "--all", "HEAD:m"] {
        let wanted = Since::Ref(wanted.to_owned());
        let error = base(&repository.path("work"), &wanted)
            .await
            .expect_err("no commit");
        assert!(matches!(error, BaseError::Unknown { .. }), "{error}");
    }
}

#[tokio::test]
async fn other_names_of_the_default_branch_are_found() {
    let repository = Repository::new().await;
    let set = async |to: &str| {
        let set = ["symbolic-ref", "refs/remotes/origin/HEAD", to];
        repository.git("work", &set).await
    };
    repository
        .git("work", &["push", "-q", "origin", "main:trunk"])
        .await;
    set("refs/remotes/origin/trunk").await;
    assert_eq!(repository.base("work").await, Ok("origin/HEAD".to_owned()));
    set("refs/remotes/origin/gone").await;
    assert_eq!(repository.base("work").await, Ok("origin/main".to_owned()));
    repository
        .git("work", &["symbolic-ref", "-d", "refs/remotes/origin/HEAD"])
        .await;
    repository
        .git("work", &["update-ref", "-d", "refs/remotes/origin/main"])
        .await;
    repository
        .git("work", &["branch", "-q", "--set-upstream-to=origin/trunk"])
        .await;
    assert_eq!(repository.base("work").await, Ok("@{upstream}".to_owned()));
}

#[tokio::test]
async fn without_a_base_everything_is_new() {
    let repository = Repository::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    let none = base(dir.path(), &Since::Branch).await.expect("no failure");
    assert!(matches!(none, Base::None { .. }), "{none:?}");
    repository
        .git("work", &["remote", "remove", "origin"])
        .await;
    let why = repository.base("work").await.expect_err("no base");
    assert_eq!(
        why,
        "git knows no default branch of a remote, and no upstream"
    );
    assert_eq!(
        base(&repository.path("work"), &Since::Always)
            .await
            .expect("no failure"),
        Base::None {
            why: "all were asked for".to_owned()
        }
    );
    repository.git(".", &["init", "-q", "empty"]).await;
    assert!(repository.base("empty").await.is_err());
}

#[tokio::test]
async fn a_shallow_clone_may_have_no_base() {
    let repository = Repository::new().await;
    repository
        .git("work", &["checkout", "-q", "-b", "topic"])
        .await;
    repository.write("m/V3__c.sql", "select 3;\n");
    repository.commit("a third").await;
    repository
        .git("work", &["push", "-q", "origin", "topic"])
        .await;
    repository.git("work", &["checkout", "-q", "main"]).await;
    repository.write("m/V4__d.sql", "select 4;\n");
    repository.commit("on the other side").await;
    repository
        .git("work", &["push", "-q", "origin", "main"])
        .await;
    let origin = format!("file://{}", repository.path("origin.git").display());
    let clone = [
        "clone",
        "-q",
        "--depth=1",
        "--no-single-branch",
        "-b",
        "topic",
        &origin,
        "shallow",
    ];
    repository.git(".", &clone).await;
    let why = repository.base("shallow").await.expect_err("no base");
    assert_eq!(why, "this clone has no commit in common with `origin/HEAD`");
    // As a CI job has it: nothing but the commit.
    let clone = ["clone", "-q", "--depth=1", "-b", "topic", &origin, "single"];
    repository.git(".", &clone).await;
    let _ = repository.base("single").await;
    let main = Since::Ref("origin/main".to_owned());
    let shallow = base(&repository.path("shallow"), &main)
        .await
        .expect("it is there");
    assert!(matches!(shallow, Base::Commit { .. }), "{shallow:?}");
}

#[tokio::test]
async fn the_folder_may_be_a_projects_within_the_repository() {
    let repository = Repository::new().await;
    repository.write("apps/one/m/V1__a.sql", "select 1;\n");
    repository.write("apps/one/m/sub/V9__z.sql", "select 1;\n");
    repository.commit("a project").await;
    repository
        .git("work", &["push", "-q", "origin", "main"])
        .await;
    repository.write("m/V1__a.sql", "select 'another file of that name';\n");
    let dir = repository.path("work/apps/one/m");
    let Base::Commit { id, .. } = base(&dir, &Since::Branch).await.expect("git answers") else {
        panic!("no base");
    };
    let names = unchanged(&dir, &id).await.expect("git answers");
    assert!(names.contains("V1__a.sql"), "{names:?}");
}
