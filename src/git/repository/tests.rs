use super::*;
use crate::sys::git::testing::git;

fn found(cwd: &Path, git_dir: Option<&str>) -> Repository {
    let given = Given {
        cwd: cwd.to_path_buf(),
        git_dir: git_dir.map(Into::into),
        ..Given::default()
    };
    Repository::find(&given).expect("a repository")
}

/// A folder with `main`, a repository with one commit, in it.
fn main() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let root = real(dir.path());
    git(&root, &["init", "-q", "main"]);
    let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
    git(&root.join("main"), &commit);
    (dir, root)
}

#[test]
fn a_repository_is_found_from_below_and_where_git_says() {
    let (_dir, root) = main();
    let main = root.join("main");
    fs::create_dir(main.join("sub")).expect("a folder");
    let expected = Repository {
        git_dir: main.join(".git"),
        common_dir: main.join(".git"),
        top: Some(main.clone()),
        other_index: None,
    };
    assert_eq!(found(&main.join("sub"), None), expected);
    assert_eq!(found(&main, Some(".git")), expected);
    assert!(Repository::at(&root).is_none());
}

#[test]
fn worktrees_and_bare_repositories_share_the_common_folder() {
    let (_dir, root) = main();
    git(&root, &["clone", "-q", "--bare", "main", "bare.git"]);
    let bare = root.join("bare.git");
    let found_bare = found(&bare, Some("."));
    assert_eq!(
        (found_bare.git_dir.clone(), found_bare.top),
        (bare.clone(), None)
    );
    assert_eq!(found(&bare.join("refs"), None).git_dir, bare);

    git(&bare, &["worktree", "add", "-q", "../linked"]);
    let linked = found(&root.join("linked"), None);
    assert_eq!(linked.git_dir, bare.join("worktrees/linked"));
    assert_eq!(linked.common_dir, bare);
    assert_eq!(linked.top, Some(root.join("linked")));
}

#[test]
fn only_an_index_that_is_not_the_worktrees_own_is_another() {
    let (_dir, root) = main();
    let main = root.join("main");
    let index = |file: &str| {
        let given = Given {
            cwd: main.clone(),
            git_dir: Some(".git".into()),
            index_file: Some(file.into()),
            ..Given::default()
        };
        Repository::find(&given).expect("a repository").other_index
    };
    assert_eq!(index(".git/index"), None);
    assert_eq!(
        index(main.join(".git/index").to_str().expect("UTF-8")),
        None
    );
    let other = ".git/next-index-7.lock";
    assert_eq!(index(other), Some(main.join(other)));
}
