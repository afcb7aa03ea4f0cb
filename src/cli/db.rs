//! `devenv db`: a database as a whole. `copy` carries it from one runtime to the other.

use std::{
    fs::File,
    io::{self, Seek},
    ops::ControlFlow::{self, Break, Continue},
    process::ExitCode,
};

use serde::Serialize;

use super::{
    context::Context,
    interrupt, psql,
    run_lock::{self, Alone},
    run_steps::Run,
};
use crate::{
    config::{Postgres, StepId},
    database::{self, Target, Tool},
    event::{Explain, Fault, FaultClass, count},
    runtime::{AnyRuntime, Exec, Instance, InstanceState, Runtime, RuntimeKind},
    steps::postgres_volume,
    sys::terminal::{Captured, Stdio},
};

const COMMAND: &str = "db copy";

/// Carry a database over from one runtime to the other.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Copy a database from the other runtime into the one in use; what it is copied from stays as it is.
    Copy(Copy),
}

#[derive(Debug, clap::Args)]
struct Copy {
    /// Which database, such as `db` of `[postgres.db]`; may be left out when there is one.
    database: Option<String>,
    /// Where it is copied from; the runtime that is not in use when absent.
    #[arg(long, value_enum, value_name = "RUNTIME")]
    from: Option<From>,
    /// Copy although the database here holds something; what has the same name is replaced.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum From {
    Docker,
    Process,
}

#[derive(Debug, Serialize)]
struct Copied {
    database: StepId,
    from: &'static str,
    to: &'static str,
    /// Tables, views and sequences.
    relations: i64,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    match args.action {
        Action::Copy(args) => copy(cx, args).await,
    }
}

async fn copy(cx: &Context, args: Copy) -> Result<ExitCode, Fault> {
    // Between its steps nobody may stop a server, or fill the database that was found empty.
    let alone = run_lock::acquire(cx, COMMAND, None).await?;
    match alone.waited {
        true => copy_alone(&cx.fresh(), args, &alone).await,
        false => copy_alone(cx, args, &alone).await,
    }
}

async fn copy_alone(cx: &Context, args: Copy, alone: &Alone) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let id = match &args.database {
        Some(name) => psql::named(&*cx.plan()?, name)?,
        None => psql::only_database(&config, "devenv db copy ")?,
    };
    let (from, to) = ends(cx.kind(), args.from)?;
    let (source, target) = (cx.with_runtime(from), cx.with_runtime(to));
    let postgres = &config.postgres[&id.name];
    has_data(&source, &id).await?;
    // Before the long part.
    if let Break(code) = start(&target, &id, alone).await? {
        return Ok(code);
    }
    if !args.force {
        is_empty(&target, &id).await?;
    }
    let dump = tempfile::tempfile_in(cx.store()?.dir()).map_err(|error| unwritable(&error))?;
    if let Break(code) = copy_out(&source, &id, postgres, &dump, alone).await? {
        return Ok(code);
    }
    let relations = copy_in(&target, &id, postgres, dump).await?;
    let copied = Copied {
        database: id,
        from: from.as_str(),
        to: to.as_str(),
        relations,
    };
    cx.print(&match cx.json() {
        // The last of the lines that its runs have written.
        true => format!("{}\n", serde_json::json!(copied)),
        false => text(&copied),
    });
    Ok(ExitCode::SUCCESS)
}

fn text(copied: &Copied) -> String {
    let Copied {
        database, from, to, ..
    } = copied;
    let count = count(
        usize::try_from(copied.relations).unwrap_or_default(),
        "relation",
    );
    format!("Copied {database} from {from} to {to}: {count}\n")
}

/// Where from and where to.
fn ends(used: RuntimeKind, from: Option<From>) -> Result<(RuntimeKind, RuntimeKind), Fault> {
    let from = match from {
        None => used.other(),
        Some(From::Docker) => RuntimeKind::Docker,
        Some(From::Process) => RuntimeKind::Process,
    };
    if from == used {
        let fault = Fault::new(format!(
            "the runtime in use is `{}`, which is where the data are to come from",
            from.as_str()
        ));
        return Err(fault.class(FaultClass::Usage).help(format!(
            "name where they are to go: `--runtime {}`",
            used.other().as_str()
        )));
    }
    Ok((from, used))
}

async fn has_data(cx: &Context, id: &StepId) -> Result<(), Fault> {
    let runtime = cx.runtime()?;
    let volumes = runtime.volumes().await.map_err(|error| error.explain())?;
    if volumes.contains(&postgres_volume(id)) {
        return Ok(());
    }
    let fault = Fault::new(format!("`{id}` has no data as a {}", runtime.kind().unit()));
    Err(fault
        .class(FaultClass::Usage)
        .help("there is nothing to copy; `devenv up` makes a new database"))
}

async fn is_empty(cx: &Context, id: &StepId) -> Result<(), Fault> {
    let there = database::relations(&cx.database(id).await?).await;
    let there = there.map_err(|error| error.explain())?;
    if there == 0 {
        return Ok(());
    }
    let has = count(usize::try_from(there).unwrap_or_default(), "relation");
    let unit = cx.kind().unit();
    let fault = Fault::new(format!("`{id}` holds {has} already as a {unit}"));
    Err(fault
        .class(FaultClass::Usage)
        .help("`--force` replaces what has the same name, in one transaction"))
}

/// Writes the database into the file. A server that runs is left alone; one that does not is started for this, and stopped again.
async fn copy_out(
    cx: &Context,
    id: &StepId,
    postgres: &Postgres,
    dump: &File,
    alone: &Alone,
) -> Result<ControlFlow<ExitCode>, Fault> {
    let runtime = cx.runtime()?;
    let listing = runtime.list().await.map_err(|error| error.explain())?;
    let runs =
        |instance: &Instance| instance.step == *id && instance.state == InstanceState::Running;
    if listing.instances.iter().any(runs) {
        write(cx, id, postgres, dump).await?;
        return Ok(Continue(()));
    }
    // Where it listens while it is copied from is not where it is to be found later.
    let ports = cx.store()?.ports();
    let done = async {
        match start(cx, id, alone).await? {
            Continue(()) => write(cx, id, postgres, dump).await.map(Continue),
            Break(code) => Ok(Break(code)),
        }
    };
    let done = done.await;
    let removed = runtime.remove(id).await;
    let kept = cx.store()?.save_ports(&ports);
    let done = done?;
    removed.map_err(|error| error.explain())?;
    kept.map_err(|error| error.explain())?;
    Ok(done)
}

async fn write(cx: &Context, id: &StepId, postgres: &Postgres, dump: &File) -> Result<(), Fault> {
    let runtime = cx.runtime()?;
    let out = dump.try_clone().map_err(|error| unwritable(&error))?;
    let stdio = Stdio::null().with_output(tokio::fs::File::from_std(out));
    let target = cx.database(id).await?;
    let tool = database::dump(
        postgres,
        &target,
        psql::port_inside(runtime.kind(), &target),
    );
    run_beside(&runtime, (id, postgres, &target), tool, stdio).await
}

/// Fills the database from the file; how many relations it has then.
async fn copy_in(
    cx: &Context,
    id: &StepId,
    postgres: &Postgres,
    mut dump: File,
) -> Result<i64, Fault> {
    let runtime = cx.runtime()?;
    let target = cx.database(id).await?;
    dump.rewind().map_err(|error| unwritable(&error))?;
    let stdio = Stdio::null().with_input(tokio::fs::File::from_std(dump));
    let port = psql::port_inside(runtime.kind(), &target);
    let tool = database::restore(postgres, &target, port);
    run_beside(&runtime, (id, postgres, &target), tool, stdio).await?;
    let relations = database::relations(&target).await;
    relations.map_err(|error| error.explain())
}

/// The database alone, with what it needs. Its failure has been shown.
async fn start(cx: &Context, id: &StepId, alone: &Alone) -> Result<ControlFlow<ExitCode>, Fault> {
    let run = Run {
        part_of: Some(alone),
        ..Run::new(COMMAND, vec![id.clone()])
    };
    let ended = run.execute(cx).await?;
    Ok(match ended.succeeded {
        true => Continue(()),
        false => Break(ended.code),
    })
}

/// Runs a tool beside the server; what it complains of is the failure. Nothing of it goes on when it is interrupted.
async fn run_beside(
    runtime: &AnyRuntime,
    (id, postgres, target): (&StepId, &Postgres, &Target),
    tool: Tool,
    stdio: Stdio,
) -> Result<(), Fault> {
    let name = tool.name;
    let errors = Captured::default();
    let exec = Exec {
        argv: tool.argv,
        env: tool.env,
        ..Exec::default()
    };
    let stdio = stdio.with_errors(errors.clone());
    let code = async {
        let code = runtime.exec(id, exec, stdio).await;
        code.map_err(|error| error.explain())
    };
    match interrupt::ending_after_run(code).await {
        Ok(0) => Ok(()),
        Ok(code) => {
            let fault = Fault::new(format!("{name} of `{id}` failed with code {code}"));
            Err(fault
                .note(errors.text().trim_end().to_owned())
                .help("nothing of it was kept; correct what it says and copy again"))
        }
        Err(fault) => {
            let ended = database::end(postgres, target).await;
            Err(fault.after(ended.err().map(|error| error.explain())))
        }
    }
}

fn unwritable(error: &io::Error) -> Fault {
    Fault::new("cannot write the copy into a file of `.devenv`")
        .class(FaultClass::Environment)
        .note(error.to_string())
}
