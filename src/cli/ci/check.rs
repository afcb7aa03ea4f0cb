//! `devenv ci check`: the files of CI services are, byte for byte, what would be generated.

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    cli::context::Context,
    event::{Explain, Fault, FaultClass, count},
    mirror::ci::Difference,
    steps::ci::{self, Compared},
};

/// Compare the generated files of CI services with what would be generated, and look for files that nothing asks for any more.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Answer {
    up_to_date: Vec<String>,
    changed: Vec<Changed>,
    /// Generated once, asked for by nothing now.
    orphans: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Changed {
    path: String,
    /// Unified diff from the file to what would be generated.
    diff: String,
    /// Where the plan differs from the one that the file was made from.
    plan: Vec<Difference>,
}

pub fn run(cx: &Context, _: &Args) -> Result<ExitCode, Fault> {
    let (root, config, plan) = (cx.root()?, cx.config()?, cx.plan()?);
    let files = ci::compare(&root, &config, &plan).map_err(|error| error.explain())?;
    let orphans = ci::orphans(&root, &config).map_err(|error| error.explain())?;
    if files.is_empty() && orphans.is_empty() {
        super::services(&config, &[])?;
    }
    let (good, stale): (Vec<_>, Vec<_>) = files.into_iter().partition(Compared::is_up_to_date);
    let answer = Answer {
        up_to_date: good
            .into_iter()
            .map(|compared| compared.file.path)
            .collect(),
        changed: stale.iter().map(changed).collect(),
        orphans: orphans.into_iter().map(|orphan| orphan.path).collect(),
    };
    let wrong = stale.iter().map(ci::fault);
    let left = answer.orphans.iter().map(|path| orphan(path));
    match Fault::all(wrong.chain(left).collect()) {
        Some(fault) => {
            cx.answer_of_failure(&answer, String::new);
            Err(fault)
        }
        None => {
            let files = count(answer.up_to_date.len(), "file");
            cx.answer(&answer, || format!("{files} up to date\n"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn changed(compared: &Compared) -> Changed {
    Changed {
        path: compared.file.path.clone(),
        diff: compared.diff(),
        plan: compared.differences.clone(),
    }
}

fn orphan(path: &str) -> Fault {
    Fault::new(format!("nothing in devenv.toml asks for `{path}` any more"))
        .class(FaultClass::Step)
        .at_file(path, 1, 1)
        .help("run `devenv ci generate`, which deletes it, or take away its first line to keep it")
}
