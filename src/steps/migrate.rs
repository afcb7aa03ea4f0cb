//! `migrate.*`: every migration of the folder is applied.

use super::{Cx, blocking};
use crate::{
    config::Migrate,
    database::{self, Migration, ScanError, Target},
    event::{Explain, Fault, count},
    plan::{Acted, Action, Output, Reason, Verdict},
};

pub(super) async fn decide(cx: &Cx<'_>) -> Result<Verdict, Fault> {
    let table = table(cx);
    let migrations = scan(cx, table).await?;
    let Some(target) = target(cx, table).await? else {
        return Ok(Verdict::act(
            Action::Apply,
            vec![Reason::Upstream {
                step: table.postgres.clone(),
            }],
        ));
    };
    let status = database::status(&target, &migrations, &table.table)
        .await
        .map_err(|error| error.explain())?;
    status.settled().map_err(|error| error.explain())?;
    let pending = status.pending().map(|migration| Reason::Pending {
        what: match &migration.file {
            Some(file) => format!("`{}` is not applied", file.display()),
            None => format!("version {} is not applied", migration.version),
        },
    });
    let pending: Vec<_> = pending.collect();
    Ok(match pending.is_empty() {
        true => Verdict::Keep(Output::default()),
        false => Verdict::act(Action::Apply, pending),
    })
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let table = table(cx);
    let migrations = scan(cx, table).await?;
    let target = target(cx, table)
        .await?
        .expect("the engine finishes a step's needs before it");
    let options = database::Options {
        table: table.table.clone(),
        lock_timeout: table.lock_timeout,
    };
    let applied = database::apply(&target, &migrations, &options, &cx.events, &cx.cancel)
        .await
        .map_err(|error| error.explain())?;
    Ok(Acted {
        output: Output::default(),
        summary: format!(
            "Applied {} to {}",
            count(applied.count(), "migration"),
            table.postgres
        ),
    })
}

/// What is wrong with the folder and its files; needs no database.
pub(super) async fn check(cx: &Cx<'_>) -> Vec<Fault> {
    let (root, dir) = (cx.steps.root.clone(), table(cx).dir.clone());
    let faults = blocking(move || match database::scan(&root, &dir) {
        Ok(_) => Ok::<_, ScanError>(Vec::new()),
        Err(error) => Ok(error.faults()),
    })
    .await;
    let faults = faults.unwrap_or_else(|fault| vec![fault]).into_iter();
    faults.map(|fault| fault.at_key(cx.key("dir"))).collect()
}

async fn scan(cx: &Cx<'_>, table: &Migrate) -> Result<Vec<Migration>, Fault> {
    let (root, dir) = (cx.steps.root.clone(), table.dir.clone());
    let scanned = blocking(move || database::scan(&root, &dir)).await;
    scanned.map_err(|fault| fault.at_key(cx.key("dir")))
}

/// The database's address, once its step has run.
async fn target(cx: &Cx<'_>, table: &Migrate) -> Result<Option<Target>, Fault> {
    match cx.outputs.get(&table.postgres) {
        Some(output) => super::postgres::target(cx.steps, &table.postgres, output)
            .await
            .map(Some),
        None => Ok(None),
    }
}

fn table<'a>(cx: &'a Cx<'_>) -> &'a Migrate {
    cx.config()
        .migrate
        .get(&cx.id().name)
        .expect("the plan has only migrations of the file")
}
