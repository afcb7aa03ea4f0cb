//! Which statements may wait for a lock on what other sessions use, so that a `lock_timeout` has a point.

use std::collections::BTreeSet;

use squawk_syntax::{
    SourceFile,
    ast::{self, AstNode},
};

use super::blank;

/// The text without the statements that wait for nobody: what is new in the same file is used by no other session, `concurrently`
/// blocks nobody behind it, and what only adds functions, types and the like locks no table.
pub(super) fn waiting(file: &SourceFile, text: &str) -> String {
    let created: BTreeSet<String> = file.stmts().filter_map(created).collect();
    let mut left = text.to_owned();
    for statement in file.stmts() {
        if !waits(&statement, &created) {
            let range = statement.syntax().text_range();
            blank(
                &mut left,
                usize::from(range.start())..usize::from(range.end()),
            );
        }
    }
    left
}

fn created(statement: ast::Stmt) -> Option<String> {
    let ast::Stmt::CreateTable(table) = statement else {
        return None;
    };
    Some(table.table_name()?.path()?.segment()?.text())
}

fn waits(statement: &ast::Stmt, created: &BTreeSet<String>) -> bool {
    match statement {
        // Its settings are what the rule looks for.
        ast::Stmt::Set(_) => true,
        ast::Stmt::CreateIndex(index) => {
            index.concurrently_token().is_none() && uses_others(statement, created)
        }
        ast::Stmt::DropIndex(index) => index.concurrently_token().is_none(),
        ast::Stmt::Refresh(view) => view.concurrently_token().is_none(),
        ast::Stmt::CreateTable(_)
        | ast::Stmt::AlterTable(_)
        | ast::Stmt::CreateTrigger(_)
        | ast::Stmt::CreatePolicy(_)
        | ast::Stmt::CreateRule(_)
        | ast::Stmt::Truncate(_)
        | ast::Stmt::Lock(_) => uses_others(statement, created),
        ast::Stmt::AlterIndex(_)
        | ast::Stmt::AlterMaterializedView(_)
        | ast::Stmt::AlterPolicy(_)
        | ast::Stmt::AlterRule(_)
        | ast::Stmt::AlterTrigger(_)
        | ast::Stmt::AlterView(_)
        | ast::Stmt::Cluster(_)
        | ast::Stmt::DropMaterializedView(_)
        | ast::Stmt::DropOwned(_)
        | ast::Stmt::DropPolicy(_)
        | ast::Stmt::DropRule(_)
        | ast::Stmt::DropSchema(_)
        | ast::Stmt::DropTable(_)
        | ast::Stmt::DropTrigger(_)
        | ast::Stmt::DropView(_)
        | ast::Stmt::Reindex(_)
        | ast::Stmt::Vacuum(_) => true,
        _ => false,
    }
}

/// Whether it names a table that was there before. One that names none that can be told may use any.
fn uses_others(statement: &ast::Stmt, created: &BTreeSet<String>) -> bool {
    let named: Vec<_> = (statement.syntax().descendants())
        .filter_map(|node| {
            let table = ast::TableNameRef::cast(node.clone()).and_then(|table| table.path_ref());
            let relation = || ast::RelationNameRef::cast(node)?.path_ref();
            Some(table.or_else(relation)?.segment()?.text())
        })
        .collect();
    let makes = matches!(statement, ast::Stmt::CreateTable(_));
    named.iter().any(|name| !created.contains(name)) || named.is_empty() && !makes
}
