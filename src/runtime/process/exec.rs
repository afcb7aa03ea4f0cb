//! A command with the environment, folder and user of what runs.

use std::{ffi::OsString, path::Path};

use super::{group::MARK, launch::COMMAND, record::Record};
use crate::{
    runtime::{Exec, RuntimeError},
    sys::{child::Program, terminal::Stdio},
};

/// Runs it to its end; its exit code.
pub async fn exec(
    program: &Path,
    record: &Record,
    mark: &str,
    exec: Exec,
    stdio: Stdio,
) -> Result<i64, RuntimeError> {
    let mut args: Vec<OsString> = vec![COMMAND.into()];
    if let Some(user) = exec.user.as_ref().or(record.launch.user.as_ref()) {
        args.extend(["--user".into(), user.into()]);
    }
    args.push("--".into());
    args.extend(exec.argv.iter().map(OsString::from));
    let mut env = record.launch.env.clone();
    env.extend(exec.env);
    env.insert(MARK.to_owned(), mark.to_owned());
    let program = Program {
        path: program,
        args,
        env,
        cwd: Path::new(exec.workdir.as_deref().unwrap_or(&record.launch.cwd)),
    };
    let code = program.run(stdio).await;
    code.map_err(|source| RuntimeError::Stdio {
        step: record.step.clone(),
        source,
    })
}
