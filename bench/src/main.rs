//! Measures devenv side by side with its peers: one subcommand per row of BENCHMARKS.md.
//!
//! Sides take turns in every round, on the same images, and the order turns with the round. Everything made is removed again, also after a
//! failure or Ctrl-C.

mod compose;
mod devenv;
mod engine;
mod http;
mod measure;
mod process;
mod resident;
mod rows;
mod sample;
mod scene;
mod supervisord;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use measure::Measurement;
use scene::Scene;

/// Whatever went wrong, in words.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures devenv side by side with its peers.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    row: Row,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// devenv's binary; the one beside this program when absent.
    #[arg(long, global = true, value_name = "PATH")]
    devenv: Option<PathBuf>,
    /// A docker compose 2.40 binary.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "docker-compose"
    )]
    compose: PathBuf,
    /// supervisord; its supervisorctl is beside it.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "supervisord"
    )]
    supervisord: PathBuf,
    /// Rounds that count; each side also has one before them that does not.
    #[arg(long, global = true, value_name = "N")]
    rounds: Option<usize>,
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Row {
    /// `up` with nothing to do: this repository's sample against compose `up -d --wait` with health-gated db, migrate, app.
    Noop,
    /// From no data, images built, to the app answering HTTP.
    Cold,
    /// 30 plain services from nothing: devenv, compose, the bare engine API with 16 in parallel.
    Services30,
    /// 100,000 input files: unknown beside a parallel blake3, known beside a bare walk.
    Hash,
    /// How long `--version` takes.
    Version,
    /// Peak memory of `up` from no data.
    Memory,
    /// The sample as plain processes, beside supervisord: from no data, down, nothing to do, and what the supervisor costs.
    Process,
    /// A pre-push hook with nothing to do in 10,000 files, beside those of prek, pre-commit, lefthook and hk that are on PATH.
    Prepush,
}

impl Row {
    fn rounds(self) -> usize {
        match self {
            Row::Noop => 20,
            Row::Process | Row::Hash => 10,
            Row::Cold | Row::Services30 | Row::Memory => 5,
            Row::Version => 50,
            Row::Prepush => 100,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let scene = Scene::default();
    let result = tokio::select! {
        result = run(&cli, &scene) => result,
        signal = stop_signal() => Err(format!("stopped by {signal}").into()),
    };
    scene.clean().await;
    match result {
        Ok(measurements) => {
            for measurement in measurements {
                match cli.options.output {
                    Output::Text => print!("{measurement}"),
                    Output::Json => println!("{}", measurement.json()),
                }
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli, scene: &Scene) -> Result<Vec<Measurement>, Error> {
    let tools = rows::Tools {
        devenv: devenv_binary(&cli.options)?,
        compose: cli.options.compose.clone(),
        supervisord: cli.options.supervisord.clone(),
        rounds: cli.options.rounds.unwrap_or(cli.row.rounds()).max(1),
    };
    let measurement = match cli.row {
        Row::Noop => rows::noop::measure(&tools, scene).await,
        Row::Cold => rows::cold::measure(&tools, scene).await,
        Row::Services30 => rows::services::measure(&tools, scene).await,
        Row::Hash => return rows::hash::measure(&tools),
        Row::Version => rows::version::measure(&tools).await,
        Row::Memory => rows::memory::measure(&tools, scene).await,
        Row::Process => return rows::process::measure(&tools, scene).await,
        Row::Prepush => return rows::prepush::measure(&tools, scene).await,
    };
    Ok(vec![measurement?])
}

fn devenv_binary(options: &Options) -> Result<PathBuf, Error> {
    let path = match &options.devenv {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("devenv"),
    };
    let path = path.canonicalize().map_err(|error| {
        format!(
            "no devenv at `{}`: {error}; build it with `cargo build --release`",
            path.display()
        )
    })?;
    Ok(path)
}

async fn stop_signal() -> &'static str {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
