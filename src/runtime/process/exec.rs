//! A command with the environment, folder and user of what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
    time::Duration,
};

use rustix::process::Signal;

use super::{group::MARK, launch::COMMAND, record::Record};
use crate::{
    config::StepId,
    runtime::{EXEC_MARK, Exec, RuntimeError},
    sys::{
        child::Program,
        marked::{Marked, Remaining},
        process::find_program,
        terminal::Stdio,
    },
};

/// Runs it to its end; its exit code.
pub async fn exec(
    program: &Path,
    record: &Record,
    mark: &str,
    exec: Exec,
    stdio: Stdio,
) -> Result<i64, RuntimeError> {
    let mut env = record.launch.env.clone();
    env.extend(exec.environment());
    env.insert(MARK.to_owned(), mark.to_owned());
    let cwd = Path::new(exec.workdir.as_deref().unwrap_or(&record.launch.cwd));
    is_there(&exec.argv[0], &env, cwd, &record.step)?;
    let mut args: Vec<OsString> = vec![COMMAND.into()];
    if stdio.is_terminal {
        args.push("--terminal".into());
        // The caller's terminal, not one that the program was started on.
        env.extend(std::env::var("TERM").map(|term| ("TERM".to_owned(), term)));
    }
    if let Some(user) = exec.user.as_ref().or(record.launch.user.as_ref()) {
        args.extend(["--user".into(), user.into()]);
    }
    args.push("--".into());
    args.extend(exec.argv.iter().map(OsString::from));
    let program = Program {
        path: program,
        args,
        env,
        cwd,
    };
    let code = program.run(stdio).await;
    code.map_err(|source| RuntimeError::Stdio {
        step: record.step.clone(),
        source,
    })
}

/// Ends what runs with the mark.
pub async fn end(
    step: &StepId,
    exec: &Exec,
    signal: Signal,
    grace: Duration,
) -> Result<BTreeSet<String>, RuntimeError> {
    let Some(mark) = &exec.mark else {
        return Ok(BTreeSet::new());
    };
    let ended = Marked::end_found(EXEC_MARK, mark, signal, grace).await;
    ended.map_err(|Remaining { name, pid }| {
        RuntimeError::end_exec(step, exec, format!("`{name}` (pid {pid}) is still there"))
    })
}

/// What is not there is told as of a container, not by the child.
fn is_there(
    command: &str,
    env: &BTreeMap<String, String>,
    cwd: &Path,
    step: &StepId,
) -> Result<(), RuntimeError> {
    let path = env.get("PATH").map(String::as_str).unwrap_or_default();
    match find_program(command, path.as_ref(), cwd) {
        Some(_) => Ok(()),
        None => Err(RuntimeError::NoCommand {
            step: step.clone(),
            command: command.to_owned(),
            cause: format!("looked for on its PATH, `{path}`"),
        }),
    }
}
