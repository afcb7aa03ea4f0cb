//! Which rules are on, and what to do instead of what they are against.

use squawk_linter::{Linter, LinterSettings, Rule, Version, Violation};

use crate::{
    config::{LINT_RULES, Lint, nearest},
    database::Migration,
};

/// On by default in squawk, and off here: what takes long under no strong lock, such as `validate constraint`, is what the other
/// rules ask for, and a timeout would only end it.
const OFF: [Rule; 1] = [Rule::RequireStatementTimeout];

/// A statement that Postgres does not run in a transaction stands in one.
pub(super) const NOT_IN_TRANSACTION: &str = "not-in-transaction";
/// A statement that squawk's parser does not know.
pub(super) const SYNTAX: &str = "syntax";
/// Squawk's complaint about a comment, which has no name that it reads.
pub(super) const UNUSED_IGNORE: &str = "unused-ignore";

const OWN: [&str; 2] = [NOT_IN_TRANSACTION, SYNTAX];

/// What the migrations of a table are judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    enabled: bool,
    on: Vec<Rule>,
    /// Of devenv's own rules those that are not wanted.
    own_off: Vec<&'static str>,
    server: Option<Version>,
}

impl Rules {
    /// Those that the table wants, for a server of this major version.
    pub fn new(lint: &Lint, server: Option<&str>) -> Self {
        let named = |names: &[String]| -> Vec<Rule> {
            names.iter().filter_map(|name| name.parse().ok()).collect()
        };
        let (include, mut exclude) = (named(&lint.include), named(&lint.exclude));
        exclude.extend(OFF.into_iter().filter(|rule| !include.contains(rule)));
        let linter = Linter::with_rules(&include, &exclude);
        let is_off = |rule: &&str| lint.exclude.iter().any(|name| name == rule);
        Self {
            enabled: lint.enabled,
            on: linter.rules.into_iter().collect(),
            own_off: OWN.into_iter().filter(is_off).collect(),
            server: server.and_then(|version| version.parse().ok()),
        }
    }

    /// False where only names and text are checked.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether a rule that is not squawk's is wanted.
    pub(super) fn has(&self, own: &str) -> bool {
        !self.own_off.contains(&own)
    }

    /// Those for one file. `is_one`: it is a single statement, which is not run again over what it did before it failed; an index
    /// that failed to build is left invalid, and `if not exists` would keep it.
    pub(super) fn of(&self, migration: &Migration, is_one: bool) -> impl Iterator<Item = Rule> {
        let reruns = !migration.transactional && !is_one;
        let on = self.on.iter().copied();
        on.filter(move |rule| reruns || *rule != Rule::PreferRobustStmts)
    }

    pub(super) fn settings(&self, migration: &Migration) -> LinterSettings {
        LinterSettings {
            pg_version: self.server.unwrap_or_default(),
            assume_in_transaction: migration.transactional,
        }
    }
}

/// As messages are written here: lower case, no final period.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            format!("{}{}", first.to_lowercase(), &text[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

const OUTSIDE: &str =
    "in a migration of its own that has `-- devenv: no-transaction` on its first line";

/// The safer way, as squawk has it, or as it is here where that depends on how migrations are run or squawk says nothing.
pub(super) fn alternative(violation: &Violation, transactional: bool) -> Option<String> {
    let own = match transactional {
        true => in_transaction(violation.code),
        false => None,
    };
    if let Some(own) = own.or_else(|| own_alternative(violation)) {
        return Some(own);
    }
    let fix = violation.fix.as_ref().map(|fix| fix.title.as_str());
    violation.help.as_deref().or(fix).map(sentence)
}

fn in_transaction(rule: Rule) -> Option<String> {
    Some(match rule {
        Rule::RequireConcurrentIndexCreation
        | Rule::RequireConcurrentIndexDeletion
        | Rule::RequireConcurrentReindex
        | Rule::RequireConcurrentPartitionDetach => format!("use `concurrently`, {OUTSIDE}"),
        Rule::BanConcurrentIndexCreationInTransaction => format!("build it {OUTSIDE}"),
        Rule::RequireLockTimeout => lock_timeout("set local"),
        _ => return None,
    })
}

fn lock_timeout(set: &str) -> String {
    format!(
        "put `{set} lock_timeout = '5s';` above it: who waits for the lock holds up everybody behind it"
    )
}

fn own_alternative(violation: &Violation) -> Option<String> {
    let text = match violation.code {
        Rule::RequireLockTimeout => return Some(lock_timeout("set")),
        Rule::UnusedIgnore => return unknown_rule(&violation.message),
        Rule::BanDropColumn => {
            "release an app that does not use the column first, and drop it in a later migration"
        }
        Rule::BanDropTable
        | Rule::BanDropView
        | Rule::BanDropFunction
        | Rule::BanDropType
        | Rule::BanDropSequence
        | Rule::BanDropDomain
        | Rule::BanDropSchema
        | Rule::BanDropExtension => {
            "release an app that does not use it first, and drop it in a later migration"
        }
        Rule::BanDropDatabase => "leave it to whoever made the database",
        Rule::BanDropNotNull => "see first that every app that reads the column can do with nulls",
        Rule::BanDropDefault => {
            "see first that every app that writes rows gives the column a value"
        }
        Rule::BanDropConstraint => "see first that no app relies on what the constraint keeps out",
        Rule::BanCharField => "use `text`",
        Rule::ChangingColumnType => {
            "add a column of the new type, write both, copy the old values in batches, and switch the app over before the old one is dropped"
        }
        Rule::RenamingColumn => {
            "add a column of the new name, write both, copy the old values, and switch the app over before the old one is dropped"
        }
        Rule::RenamingTable => {
            "make a view of the old name in the same migration, for the apps that still use it"
        }
        Rule::RenamingObject => "keep the old name until no app uses it",
        Rule::BanCreateDomainWithConstraint | Rule::BanAlterDomainWithAddConstraint => {
            "put a `check` constraint on the columns instead"
        }
        Rule::IdentifierTooLong => "choose a name of at most 63 bytes",
        Rule::BanDuplicateColumnAssignments => "assign each column once",
        Rule::RequireTableSchema => {
            "write the schema before the table's name, such as `public.users`"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Of a `-- squawk-ignore` that names no rule.
fn unknown_rule(message: &str) -> Option<String> {
    let name = message.strip_prefix("unknown name ")?;
    Some(match nearest(name, LINT_RULES.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => NAME_A_RULE.to_owned(),
    })
}

pub(super) const NAME_A_RULE: &str = "name a rule as its findings do, with commas between several";

/// Whether it complains of a name that is devenv's own.
pub(super) fn is_own_name(violation: &Violation) -> bool {
    let name = violation.message.strip_prefix("unknown name ");
    violation.code == Rule::UnusedIgnore && name.is_some_and(|name| OWN.contains(&name))
}

/// Of a statement that Postgres does not run in a transaction.
pub(super) fn outside(transactional: bool) -> String {
    match transactional {
        true => format!("run it {OUTSIDE}"),
        false => "put it before `begin` or behind `commit`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_file_knows_the_rules_that_squawk_has() {
        for name in LINT_RULES {
            assert!(name.parse::<Rule>().is_ok() || OWN.contains(name), "{name}");
        }
        // Squawk reads no name for its complaint about an ignore comment.
        let mut on: BTreeSet<_> = (Linter::with_default_rules().rules.iter())
            .map(ToString::to_string)
            .filter(|name| name != UNUSED_IGNORE)
            .collect();
        on.retain(|name| !LINT_RULES.contains(&name.as_str()));
        assert_eq!(on, BTreeSet::new(), "not known");
        assert!(LINT_RULES.is_sorted());
    }
}
