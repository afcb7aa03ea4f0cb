//! The CI system that runs the command, as its variables say.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value as Json;

use crate::{
    git::{Base, Since, base},
    report::Folds,
    sys::git::folder_of,
};

/// A commit that is not: a branch that was just made has no earlier one.
fn is_commit(id: &str) -> bool {
    !id.is_empty() && !id.bytes().all(|byte| byte == b'0')
}

/// How its log folds, if it is one that does.
pub fn folds(root: &Path) -> Option<Folds> {
    if is_true("GITHUB_ACTIONS") {
        let prefix = folder_of(root);
        return Some(Folds::Github { prefix });
    }
    let began = SystemTime::now().duration_since(UNIX_EPOCH);
    is_true("GITLAB_CI").then(|| Folds::Gitlab {
        began: began.map_or(0, |time| time.as_secs()),
    })
}

/// Where the summary of a step is to be added, on GitHub.
pub fn summary() -> Option<PathBuf> {
    variable("GITHUB_STEP_SUMMARY").map(PathBuf::from)
}

/// What the work that is checked began from: the branch a pull request is for, the commit before a push. What this clone does not
/// have says nothing.
pub async fn since(root: &Path) -> Since {
    for wanted in candidates() {
        let since = Since::Ref(wanted);
        if let Ok(Base::Commit { .. }) = base(root, &since).await {
            return since;
        }
    }
    Since::Branch
}

fn candidates() -> Vec<String> {
    let target = variable("GITHUB_BASE_REF").map(|branch| format!("origin/{branch}"));
    let before = variable("GITHUB_EVENT_PATH").and_then(|path| before(Path::new(&path)));
    let merge = variable("CI_MERGE_REQUEST_DIFF_BASE_SHA");
    let pushed = variable("CI_COMMIT_BEFORE_SHA");
    let all = [target, before, merge, pushed].into_iter().flatten();
    all.filter(|id| is_commit(id)).collect()
}

/// The commit before a push: <https://docs.github.com/webhooks/webhook-events-and-payloads#push>.
fn before(event: &Path) -> Option<String> {
    let event: Json = serde_json::from_slice(&fs::read(event).ok()?).ok()?;
    Some(event.get("before")?.as_str()?.to_owned())
}

fn is_true(name: &str) -> bool {
    variable(name).is_some_and(|value| value == "true")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_event_names_the_commit_before_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("event.json");
        let read = |text: &str| {
            fs::write(&path, text).expect("written");
            before(&path)
        };
        assert_eq!(read(r#"{"before": "1a2b"}"#).as_deref(), Some("1a2b"));
        assert_eq!(read(r#"{"pull_request": {}}"#), None);
        assert_eq!(read("no JSON"), None);
        assert_eq!(before(&dir.path().join("none")), None);
    }

    #[test]
    fn a_new_branch_has_no_commit_before() {
        assert!(is_commit("1a2b"));
        assert!(!is_commit("0000000000000000000000000000000000000000"));
        assert!(!is_commit(""));
    }
}
