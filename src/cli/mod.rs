//! The command line: one enum, one match, one file per subcommand.
//!
//! A command file has its `Args` (whose doc comment is the help) and `run`. Commands return a [`Fault`]; only [`main`] turns it into
//! text and an exit code.

mod apart;
mod candidates;
mod ci;
mod committed;
mod completions;
mod config;
mod context;
mod db;
mod deploy;
mod doctor;
mod down;
mod ending;
mod env;
mod exec;
mod exit;
mod failure;
mod hint;
mod hooks;
mod identity;
mod install;
mod interrupt;
mod left_over;
mod lock;
mod logs;
mod migrate;
mod names;
mod notices;
mod orphans;
mod other_side;
mod plan;
mod preview;
mod proto;
mod ps;
mod psql;
mod restart;
mod root;
mod run;
mod run_lock;
mod run_steps;
mod runtime;
mod schema;
mod session;
mod supervise;
mod up;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::event::Fault;
use context::Context;

/// One devenv.toml: toolchain, protos, Postgres, migrations and app, brought up by one command.
#[derive(Debug, Parser)]
#[command(name = "devenv", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Folder to look for devenv.toml in, and upwards from; the current one when absent.
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    directory: Option<std::path::PathBuf>,
    /// How to show what happens; progress on a terminal, else lines.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "DEVENV_OUTPUT"
    )]
    output: OutputFormat,
    /// What keeps services running; as `[project] runtime` says when absent.
    #[arg(long, global = true, value_enum, env = "DEVENV_RUNTIME")]
    runtime: Option<runtime::Wanted>,
    /// Show what the steps write, too.
    #[arg(long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Progress on a terminal, plain lines elsewhere and in CI.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// JSON: one document for an answer, one line per event for a run. A failure is a last line `{"error": …}`.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Down(down::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Run(run::Args),
    Restart(restart::Args),
    Plan(plan::Args),
    Config(config::Args),
    Schema(schema::Args),
    Install(install::Args),
    Lock(lock::Args),
    Doctor(doctor::Args),
    Env(env::Args),
    Proto(proto::Args),
    Migrate(migrate::Args),
    Psql(psql::Args),
    Db(db::Args),
    Ci(ci::Args),
    Deploy(deploy::Args),
    Hooks(hooks::Args),
    Completions(completions::Args),
}

/// Parses the arguments, runs the command, shows its failure.
pub fn main() -> ExitCode {
    // First of all: it stays, and wants nothing of what others need.
    if let Some(code) = supervise::answer(std::env::args_os()) {
        return code;
    }
    if let Some(code) = completions::answer() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return exit::code(crate::event::FaultClass::Environment);
        }
    };
    let context = Context::new(&cli.global);
    let result = runtime.block_on(run(&context, cli.command));
    // What is left was told to end; blocking work that cannot be told must not keep the user waiting.
    runtime.shutdown_background();
    match result.and_then(|code| context.written().map(|()| code)) {
        Ok(code) => code,
        Err(fault) => {
            context.show(&fault);
            context.print_failure(&fault);
            exit::code(fault.class)
        }
    }
}

/// Help and versions, or arguments that are wrong.
fn refuse(error: clap::Error) -> ExitCode {
    let command = std::env::args_os()
        .filter_map(|text| text.into_string().ok())
        .find(|text| Cli::command().find_subcommand(text).is_some());
    let error = hint::add(error, command.as_deref());
    // Without a reader there is nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let arguments = std::env::args_os().map(|text| text.to_string_lossy().into_owned());
    let fault = failure::usage(&error);
    if failure::wants_json(arguments, std::env::var("DEVENV_OUTPUT").ok()) {
        let _ = write!(anstream::stdout(), "{}", failure::line(&fault, None));
    }
    exit::code(fault.class)
}

async fn run(cx: &Context, command: Command) -> Result<ExitCode, Fault> {
    match command {
        Command::Up(args) => up::run(cx, args).await,
        Command::Down(args) => down::run(cx, args).await,
        Command::Ps(args) => ps::run(cx, args).await,
        Command::Logs(args) => logs::run(cx, args).await,
        Command::Exec(args) => exec::run(cx, args).await,
        Command::Run(args) => run::run(cx, args).await,
        Command::Restart(args) => restart::run(cx, args).await,
        Command::Plan(args) => plan::run(cx, args).await,
        Command::Config(args) => config::run(cx, args).await,
        Command::Schema(args) => schema::run(cx, args).await,
        Command::Install(args) => install::run(cx, args).await,
        Command::Lock(args) => lock::run(cx, args).await,
        Command::Doctor(args) => doctor::run(cx, args).await,
        Command::Env(args) => env::run(cx, args).await,
        Command::Proto(args) => proto::run(cx, args).await,
        Command::Migrate(args) => migrate::run(cx, args).await,
        Command::Psql(args) => psql::run(cx, args).await,
        Command::Db(args) => db::run(cx, args).await,
        Command::Ci(args) => ci::run(cx, args).await,
        Command::Deploy(args) => deploy::run(cx, args).await,
        Command::Hooks(args) => hooks::run(cx, args).await,
        Command::Completions(args) => completions::run(cx, args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_arguments_of_a_command_clash() {
        super::Cli::command().debug_assert();
    }
}
