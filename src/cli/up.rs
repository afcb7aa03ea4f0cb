//! `devenv up`: does what `devenv plan` says, prints where everything answers, and returns.

use std::process::ExitCode;

use super::{
    candidates,
    context::Context,
    interrupt, logs, names, ps,
    run_steps::{Orphans, Run},
};
use crate::{
    config::{Config, StepId},
    engine::Heeds,
    event::Fault,
    plan::{Output, Outputs},
    report,
    runtime::{LogOptions, Runtime},
    steps,
};

/// Bring the project up: toolchain, protos, images, databases, migrations, services, apps.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps to bring up, with all they need, by name (`hello`) or id (`app.hello`); everything but tasks when absent.
    #[arg(add = candidates::steps())]
    steps: Vec<String>,
    /// Follow the logs until Ctrl-C; everything keeps running.
    #[arg(long, short)]
    attach: bool,
    /// Show where the time went, and the critical path.
    #[arg(long)]
    timings: bool,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let steps = names::steps(&*cx.plan()?, &args.steps, names::RUNNING)?;
    let run = Run {
        orphans: Orphans::Remove,
        timings: args.timings,
        ..Run::new("up", steps.clone())
    };
    let ended = run.execute(cx).await?;
    // The run has ended, and with it its own watch.
    let signals = interrupt::signals(Heeds::All)?;
    if !ended.succeeded {
        return Ok(ended.code);
    }
    if !cx.json() {
        print_places(cx, &ended.outputs)?;
    }
    // What was named may be nothing that writes logs, such as a task.
    let followed = attached(&steps);
    if args.attach && (steps.is_empty() || !followed.is_empty()) {
        let options = LogOptions {
            follow: true,
            tail: Some(0),
            ..LogOptions::default()
        };
        logs::show(cx, &followed, options, true, signals).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Of what was brought up, what has logs to follow.
fn attached(steps: &[StepId]) -> Vec<StepId> {
    let runs = steps.iter().filter(|id| id.kind.is_running_service());
    runs.cloned().collect()
}

/// The table of ports, with the address of what speaks HTTP.
fn print_places(cx: &Context, outputs: &Outputs) -> Result<(), Fault> {
    let (config, runtime) = (cx.config()?, cx.runtime()?);
    let mut table = report::Table::new(["STEP", "PORT", "ADDRESS", "INSTEAD OF"]);
    let mut moved = false;
    for (step, output) in outputs {
        for (name, port) in steps::ports(output) {
            let ports = [(name.clone(), port)].into();
            let address = ps::url(&config, runtime.host(), step, &ports)
                .unwrap_or_else(|| format!("{}:{port}", runtime.host()));
            let instead = instead_of(&config, outputs, (step, &name, port));
            moved |= instead.is_some();
            table.row([step.to_string(), name, address, instead.unwrap_or_default()]);
        }
    }
    if !moved {
        table = table.without("INSTEAD OF");
    }
    if !table.is_empty() {
        cx.print(&table.to_string());
    }
    Ok(())
}

/// The wanted port, and why it is another one; `None` when it is the wanted one.
fn instead_of(config: &Config, outputs: &Outputs, of: (&StepId, &str, u16)) -> Option<String> {
    let (step, name, port) = of;
    let published = steps::published(config);
    let mut own = published
        .iter()
        .filter(|(id, other, _)| id == step && other == name);
    let wanted = own.next()?.2.host;
    if wanted == port {
        return None;
    }
    let has_it = |output: &Output| steps::ports(output).values().any(|other| *other == wanted);
    Some(match outputs.iter().find(|(_, output)| has_it(output)) {
        Some((other, _)) => format!("{wanted}, which {other} has"),
        None => format!("{wanted}, which was not free"),
    })
}
