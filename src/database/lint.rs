//! squawk's rules over migrations: what would lock a table for long, lose data, or break an application that still runs.
//!
//! Needs no database. A file is judged by itself, as it is run: in one transaction, or statement by statement where it says
//! `-- devenv: no-transaction`. Rules and their texts are squawk's, but for [`rules`].

mod locks;
mod rules;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use squawk_linter::{Linter, Rule, Violation};
use squawk_syntax::{SourceFile, ast};

use super::{Migration, sql};
use crate::event::{Fault, Severity, Site, Spot};

pub use rules::Rules;

/// Squawk's line for a file that no tool puts into a transaction.
const SWITCH: &str = "squawk-disable-assume-in-transaction";

/// What a migration has that a rule is against, by rising place, and warnings where squawk cannot read it.
pub fn lint(migration: &Migration, rules: &Rules) -> Vec<Fault> {
    if !rules.any() {
        return Vec::new();
    }
    let (text, mut findings) = readable(migration);
    // How a file is run is said by devenv's own line, and this one would claim otherwise.
    let text = text.replace(SWITCH, &"x".repeat(SWITCH.len()));
    // It indexes into trees that its own parser made of any text: a defect of it must not end the run.
    let found = catch_unwind(AssertUnwindSafe(|| violations(migration, &text, rules)));
    match found {
        Ok(found) => findings.extend(found.iter().map(|violation| finding(migration, violation))),
        Err(_) => findings.push(unread(migration, Spot::START, "it makes the lint stumble")),
    }
    findings.sort_by_key(|fault| match fault.site {
        Some(Site::File { line, column, .. }) => (line, column),
        Some(Site::Key(_) | Site::Text { .. }) | None => (0, 0),
    });
    findings
}

/// The text without the statements that squawk's parser does not know, and a warning for each of them. Postgres may know them
/// all the same, and what a parser makes of the rest of such a statement is no ground for a finding.
fn readable(migration: &Migration) -> (String, Vec<Fault>) {
    let sql = &migration.sql;
    let mut text = sql.clone();
    let mut warnings = Vec::new();
    if parse_error(sql).is_none() {
        return (text, warnings);
    }
    let Ok(split) = sql::split(sql) else {
        return (text, warnings);
    };
    for statement in split.statements {
        let span = statement.span;
        let Some((at, what)) = parse_error(&sql[span.clone()]) else {
            continue;
        };
        warnings.push(unread(migration, Spot::of(sql, span.start + at), &what));
        blank(&mut text, span);
    }
    (text, warnings)
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

fn unread(migration: &Migration, spot: Spot, what: &str) -> Fault {
    Fault::new(format!("the SQL lint cannot read this statement: {what}"))
        .severity(Severity::Warning)
        .code("syntax")
        .at_spot(&migration.file, &spot)
        .help("if Postgres takes it, all is well: the statement was left out, and no rule has looked at it")
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
