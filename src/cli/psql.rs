//! `devenv psql`: a SQL prompt on the app's database.

use std::{collections::BTreeMap, process::ExitCode};

use super::{candidates, context::Context, names};
use crate::{
    config::{Config, StepId, StepKind},
    database::Target,
    event::{Fault, FaultClass},
    plan::Plan,
    runtime::{Exec, RuntimeKind},
    steps::POSTGRES_PORT,
};

/// Open psql on the app's database, beside its server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which database, such as `db` of `[postgres.db]`; may be left out when there is one.
    #[arg(long, short, add = candidates::names(StepKind::Postgres))]
    database: Option<String>,
    /// Arguments for psql, such as `-c 'select 1'`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    cx.needs_no_lock()?;
    let config = cx.config()?;
    let id = match args.database {
        Some(name) => named(&*cx.plan()?, &name)?,
        None => only_database(&config, "--database ")?,
    };
    let target = cx.database(&id).await?;
    let mut argv = vec![
        "psql".to_owned(),
        "--no-psqlrc".to_owned(),
        // The server trusts nobody over TCP without a password, so psql beside it gets it, too.
        "--host=127.0.0.1".to_owned(),
        format!("--port={}", port_inside(cx.kind(), &target)),
        format!("--username={}", target.user),
        format!("--dbname={}", target.database),
    ];
    argv.extend(args.arguments);
    let exec = Exec {
        argv,
        env: BTreeMap::from([("PGPASSWORD".to_owned(), target.password.clone())]),
        ..Exec::default()
    };
    super::exec::inside(cx, &id, exec).await
}

/// The server's port where a command beside it runs.
pub fn port_inside(kind: RuntimeKind, target: &Target) -> u16 {
    match kind {
        RuntimeKind::Docker => POSTGRES_PORT,
        RuntimeKind::Process => target.port,
    }
}

pub fn named(plan: &Plan, name: &str) -> Result<StepId, Fault> {
    let id = names::step(plan, name, &[StepKind::Postgres])?;
    match id.kind {
        StepKind::Postgres => Ok(id),
        _ => Err(Fault::new(format!("`{id}` is not a Postgres"))
            .class(FaultClass::Usage)
            .help("name one with `--database postgres.NAME`")),
    }
}

/// The one there is. `naming` is what is written before the name of one of several.
pub fn only_database(config: &Config, naming: &str) -> Result<StepId, Fault> {
    let names: Vec<_> = config.postgres.keys().collect();
    match names.as_slice() {
        [name] => Ok(StepId::new(StepKind::Postgres, *name)),
        [] => Err(Fault::new("devenv.toml has no `[postgres.*]` table")
            .class(FaultClass::Usage)
            .help("add `[postgres.db]` with `version`")),
        [_, _, ..] => {
            let named = |name: &&String| format!("`{naming}{name}`");
            let named: Vec<_> = names.iter().map(named).collect();
            Err(Fault::new("there are several databases")
                .class(FaultClass::Usage)
                .help(format!("name one: {}", named.join(", "))))
        }
    }
}
