//! The names of git's hooks.

use super::Rule;
use crate::config::suggest;

/// All hooks of git 2.47: <https://git-scm.com/docs/githooks>.
const HOOKS: [&str; 28] = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Names of git's hooks.
pub(in crate::config) enum HookName {}

impl Rule for HookName {
    const WHAT: &'static str = "a git hook";
    const PATTERN: Option<&'static str> = Some(
        "^(applypatch-msg|commit-msg|fsmonitor-watchman|p4-(changelist|post-changelist|pre-submit|prepare-changelist)|\
         post-(applypatch|checkout|commit|index-change|merge|receive|rewrite|update)|\
         pre-(applypatch|auto-gc|commit|merge-commit|push|rebase|receive)|prepare-commit-msg|proc-receive|push-to-checkout|\
         reference-transaction|sendemail-validate|update)$",
    );
    const HELP: Option<&'static str> = Some("`git help githooks` lists them all");

    fn check(text: &str) -> Result<(), String> {
        if HOOKS.contains(&text) {
            return Ok(());
        }
        Err(match suggest::nearest(text, HOOKS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "expected such as `pre-push` or `pre-commit`".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn the_schema_knows_the_same_names() {
        let pattern = Regex::new(HookName::PATTERN.expect("a pattern")).expect("a good one");
        assert!(HOOKS.iter().all(|name| pattern.is_match(name)));
        assert!(HOOKS.is_sorted());
        for name in ["pre-pusch", "pre", "update-", "post"] {
            assert!(!pattern.is_match(name) && HookName::check(name).is_err());
        }
    }
}
