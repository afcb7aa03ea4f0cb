//! Statements that Postgres refuses in a transaction, SQLSTATE 25001.
//!
//! Source: the calls of `PreventInTransactionBlock` in Postgres. What depends on the database's state (a partitioned table, a
//! subscription without a slot) is not judged, and an index that is built `concurrently` has a rule of squawk.

use squawk_syntax::{
    SourceFile,
    ast::{self, AstNode},
};

/// Where such a statement begins, and what it is. `inside`: the file is run in a transaction.
pub(super) fn refused(file: &SourceFile, mut inside: bool) -> Vec<(usize, &'static str)> {
    let mut refused = Vec::new();
    for statement in file.stmts() {
        match &statement {
            ast::Stmt::Begin(_) => inside = true,
            ast::Stmt::Commit(_)
            | ast::Stmt::Rollback(ast::Rollback::RollbackTransaction(_))
            | ast::Stmt::PrepareTransaction(_) => inside = false,
            _ if inside => refused.extend(what(&statement).map(|what| (start(&statement), what))),
            _ => {}
        }
    }
    refused
}

fn what(statement: &ast::Stmt) -> Option<&'static str> {
    match statement {
        ast::Stmt::AlterDatabase(alter) => match alter.action()? {
            ast::AlterDatabaseAction::SetTablespace(_) => Some("alter database … set tablespace"),
            _ => None,
        },
        ast::Stmt::AlterSubscription(alter) => alter_subscription(alter),
        ast::Stmt::AlterSystem(_) => Some("alter system"),
        ast::Stmt::AlterTable(_) => has::<ast::DetachConcurrently>(statement)
            .then_some("alter table … detach partition … concurrently"),
        ast::Stmt::Cluster(cluster) => {
            let one = cluster.table_name_ref().is_some() || cluster.cluster_legacy().is_some();
            (!one).then_some("cluster")
        }
        ast::Stmt::CreateDatabase(_) => Some("create database"),
        ast::Stmt::CreateSubscription(subscription) => {
            let slot = |name: &str| matches!(name, "connect" | "create_slot");
            (!names(subscription.with_params(), slot)).then_some("create subscription")
        }
        ast::Stmt::CreateTablespace(_) => Some("create tablespace"),
        ast::Stmt::Discard(discard) => match discard.discard_target()? {
            ast::DiscardTarget::DiscardAll(_) => Some("discard all"),
            _ => None,
        },
        ast::Stmt::DropDatabase(_) => Some("drop database"),
        ast::Stmt::DropIndex(drop) => {
            (drop.concurrently_token().is_some()).then_some("drop index concurrently")
        }
        ast::Stmt::DropTablespace(_) => Some("drop tablespace"),
        ast::Stmt::Reindex(reindex) => self::reindex(reindex),
        ast::Stmt::Vacuum(_) => Some("vacuum"),
        _ => None,
    }
}

fn alter_subscription(alter: &ast::AlterSubscription) -> Option<&'static str> {
    let refreshes = |with| !names(with, |name| name == "refresh");
    let refused = match alter.action()? {
        ast::AlterSubscriptionAction::RefreshPublication(_) => true,
        ast::AlterSubscriptionAction::SetPublication(set) => refreshes(set.with_params()),
        ast::AlterSubscriptionAction::AddPublication(add) => refreshes(add.with_params()),
        ast::AlterSubscriptionAction::DropSubscriptionPublication(drop) => {
            refreshes(drop.with_params())
        }
        _ => false,
    };
    refused.then_some("alter subscription … publication")
}

fn reindex(reindex: &ast::Reindex) -> Option<&'static str> {
    let concurrently = match reindex.reindex_target()? {
        ast::ReindexTarget::ReindexTargetDatabase(_) => return Some("reindex database"),
        ast::ReindexTarget::ReindexTargetSchema(_) => return Some("reindex schema"),
        ast::ReindexTarget::ReindexTargetSystem(_) => return Some("reindex system"),
        ast::ReindexTarget::ReindexTargetIndex(index) => index.concurrently_token(),
        ast::ReindexTarget::ReindexTargetTable(table) => table.concurrently_token(),
    };
    // With a value, such as `(concurrently false)`, it may be off.
    let option = |option: ast::ReindexOption| match option {
        ast::ReindexOption::ReindexOptionConcurrently(option) => {
            let text = option.syntax().text();
            text == "concurrently" || text == "CONCURRENTLY"
        }
        _ => false,
    };
    let options = reindex.reindex_option_list();
    let listed = options.is_some_and(|list| list.reindex_options().any(option));
    (concurrently.is_some() || listed).then_some("reindex concurrently")
}

fn has<T: AstNode>(statement: &ast::Stmt) -> bool {
    statement
        .syntax()
        .descendants()
        .any(|node| T::can_cast(node.kind()))
}

/// Whether an option of that name is given: what it is set to decides.
fn names(with: Option<ast::WithParams>, is: impl Fn(&str) -> bool) -> bool {
    let options = with.and_then(|with| with.attribute_list());
    let mut options = options
        .into_iter()
        .flat_map(|list| list.attribute_options());
    options.any(|option| {
        let name = option.name();
        name.is_some_and(|name| is(&name.syntax().text().to_string().to_lowercase()))
    })
}

/// Comments in front of a statement are a part of its node.
fn start(statement: &ast::Stmt) -> usize {
    let node = statement.syntax();
    let first = node
        .children_with_tokens()
        .find(|one| !one.kind().is_trivia());
    first
        .map_or_else(|| node.text_range(), |first| first.text_range())
        .start()
        .into()
}

/// One of each.
#[cfg(test)]
pub(in crate::database) const REFUSED: [&str; 20] = [
    "alter database a set tablespace pg_default",
    "alter subscription s refresh publication",
    "alter subscription s set publication p",
    "alter system set work_mem = '8MB'",
    "alter table a detach partition b concurrently",
    "cluster",
    "cluster verbose",
    "create database a",
    "create subscription s connection 'dbname=a' publication p",
    "create tablespace t location '/nonexistent/t'",
    "discard all",
    "drop database a",
    "drop index concurrently if exists a_b",
    "drop tablespace t",
    "reindex index concurrently a_b",
    "reindex (concurrently, verbose) table a",
    "reindex schema public",
    "reindex database postgres",
    "vacuum",
    "vacuum (analyze) a",
];
