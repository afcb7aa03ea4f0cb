//! squawk's rules over migrations: what would lock a table for long, lose data, or break an application that still runs.
//!
//! Needs no database. A file is judged by itself, as it is run: in one transaction, or statement by statement where it says
//! `-- devenv: no-transaction`. Rules and their texts are squawk's, but for [`rules`] and two rules of its own.

mod ignores;
mod locks;
mod rules;
mod transaction;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use squawk_linter::{Linter, Rule, Violation};
use squawk_syntax::{SourceFile, ast};

use super::{Migration, sql};
use crate::event::{Fault, Severity, Site, Spot};

use ignores::Ignores;
pub use rules::Rules;
#[cfg(test)]
pub(super) use transaction::REFUSED;

/// Squawk's line for a file that no tool puts into a transaction.
const SWITCH: &str = "squawk-disable-assume-in-transaction";

/// A finding of a rule that squawk has not.
struct Own {
    rule: &'static str,
    /// The lines on or above which a comment can accept it.
    lines: [usize; 2],
    fault: Fault,
}

/// What a migration has that a rule is against, by rising place, and a warning where squawk fails at it.
pub fn lint(migration: &Migration, rules: &Rules) -> Vec<Fault> {
    if !rules.enabled() {
        return Vec::new();
    }
    let (text, mut unread) = readable(migration);
    unread.retain(|one| rules.has(one.rule));
    // How a file is run is said by devenv's own line, and this one would claim otherwise.
    let text = text.replace(SWITCH, &"x".repeat(SWITCH.len()));
    // It indexes into trees that its own parser made of any text: a defect of it must not end the run.
    let found = catch_unwind(AssertUnwindSafe(|| judged(migration, &text, rules)));
    let mut findings = match found {
        Ok((mut findings, more, ignores)) => {
            let is_accepted =
                |one: &Own| one.lines.iter().any(|line| ignores.accept(one.rule, *line));
            let all = unread.into_iter().chain(more);
            let left = all.filter(|one| rules.has(one.rule) && !is_accepted(one));
            findings.extend(left.map(|one| one.fault));
            findings
        }
        Err(_) => {
            let warning = Fault::new("the SQL lint stumbles over this file")
                .severity(Severity::Warning)
                .code(rules::SYNTAX)
                .at_spot(&migration.file, &Spot::START)
                .help("if Postgres takes it, all is well: no rule has looked at it");
            let unread = unread.into_iter().map(|one| one.fault);
            unread.chain([warning]).collect()
        }
    };
    findings.sort_by_key(|fault| match fault.site {
        Some(Site::File { line, column, .. }) => (line, column),
        Some(Site::Key(_) | Site::Text { .. }) | None => (0, 0),
    });
    findings
}

/// The text without the statements that squawk's parser does not know, and a finding for each of them: what it makes of the rest
/// of such a statement is no ground for another.
fn readable(migration: &Migration) -> (String, Vec<Own>) {
    let sql = &migration.sql;
    let mut text = sql.clone();
    let mut unread = Vec::new();
    if parse_error(sql).is_none() {
        return (text, unread);
    }
    let Ok(split) = sql::split(sql) else {
        return (text, unread);
    };
    for statement in split.statements {
        let span = statement.span;
        let Some((at, what)) = parse_error(&sql[span.clone()]) else {
            continue;
        };
        let fault = Fault::new(format!("the SQL lint cannot read this statement: {what}"))
            .help("correct it; or where Postgres takes it all the same, write `-- squawk-ignore syntax` on the line above it, and no rule looks at it");
        unread.push(own(
            migration,
            rules::SYNTAX,
            span.start..span.start + at,
            fault,
        ));
        blank(&mut text, span);
    }
    (text, unread)
}

/// Spaces in its place, so that all else keeps line and column.
fn blank(text: &mut String, span: Range<usize>) {
    let blank: String = text[span.clone()]
        .chars()
        .flat_map(|c| match c {
            '\n' => "\n".chars(),
            c => "    "[..c.len_utf8()].chars(),
        })
        .collect();
    text.replace_range(span, &blank);
}

/// The first error that squawk's parser finds: its place and what it says.
fn parse_error(sql: &str) -> Option<(usize, String)> {
    let parsed = catch_unwind(|| SourceFile::parse(sql).errors());
    match parsed {
        Ok(errors) => {
            let first = errors.into_iter().next()?;
            let at = usize::from(first.range().start());
            Some((at, rules::sentence(first.message())))
        }
        Err(_) => Some((0, "its parser stumbles".to_owned())),
    }
}

/// Of the statement that begins at the range's start, with the place at its end.
fn own(migration: &Migration, rule: &'static str, at: Range<usize>, fault: Fault) -> Own {
    let spot = Spot::of(&migration.sql, at.end);
    Own {
        rule,
        lines: [Spot::of(&migration.sql, at.start).line, spot.line],
        fault: fault.code(rule).at_spot(&migration.file, &spot),
    }
}

/// What squawk finds, what only devenv's own rules do, and the comments that accept findings of these.
fn judged(migration: &Migration, text: &str, rules: &Rules) -> (Vec<Fault>, Vec<Own>, Ignores) {
    let parsed = SourceFile::parse(text);
    let ignores = Ignores::of(&parsed.syntax_node(), text);
    let squawks = violations(migration, text, rules).into_iter();
    let squawks = squawks.filter(|one| !rules::is_own_name(one));
    let squawks = squawks.map(|violation| finding(migration, &violation));
    let refused = transaction::refused(&parsed.tree(), migration.transactional);
    let refused = refused.into_iter().map(|(at, what)| {
        let fault = Fault::new(format!("`{what}` cannot run in a transaction"))
            .help(rules::outside(migration.transactional));
        own(migration, rules::NOT_IN_TRANSACTION, at..at, fault)
    });
    let bare = ignores.without_effect().map(|at| {
        let fault = Fault::new("this comment names no rule, and so accepts nothing")
            .help(rules::NAME_A_RULE);
        own(migration, rules::UNUSED_IGNORE, at..at, fault)
    });
    let more = refused.chain(bare).collect();
    (squawks.collect(), more, ignores)
}

fn violations(migration: &Migration, text: &str, rules: &Rules) -> Vec<Violation> {
    let parsed = SourceFile::parse(text);
    let file = parsed.tree();
    let lint = |wanted: &dyn Fn(&Rule) -> bool, text: &str| {
        let on = rules.of(migration, is_one(&file)).filter(wanted);
        let mut linter = Linter::from(on);
        linter.settings = rules.settings(migration);
        linter.lint(&SourceFile::parse(text), text)
    };
    let is_timeout = |rule: &Rule| *rule == Rule::RequireLockTimeout;
    // Squawk takes one statement for a file that no transaction is put around.
    let mut found = lint(&|rule| !is_timeout(rule), &format!("{text}\n;select 1;"));
    let timeouts = lint(&is_timeout, &locks::waiting(&file, text));
    // Each look complains of the comments that name no rule.
    found.extend(timeouts.into_iter().filter(|one| is_timeout(&one.code)));
    found
}

/// Whether all the file does is one statement, beside settings: when that fails, nothing was done.
fn is_one(file: &SourceFile) -> bool {
    let does = |statement: &ast::Stmt| !matches!(statement, ast::Stmt::Set(_));
    file.stmts().filter(does).count() <= 1
}

fn finding(migration: &Migration, violation: &Violation) -> Fault {
    let at = usize::from(violation.text_range.start());
    let fault = Fault::new(rules::sentence(&violation.message))
        .code(violation.code.to_string())
        .at_spot(&migration.file, &Spot::of(&migration.sql, at));
    match rules::alternative(violation, migration.transactional) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

#[cfg(test)]
mod tests;
