//! Commands: timed, checked, and with their peak memory.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::Error;

/// A command that ends with this process.
pub fn command(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Its standard output; its standard error in the failure.
pub async fn output(mut command: Command) -> Result<String, Error> {
    Ok(String::from_utf8(finished(&mut command).await?.stdout)?)
}

pub async fn timed(mut command: Command) -> Result<Duration, Error> {
    let started = Instant::now();
    finished(&mut command).await?;
    Ok(started.elapsed())
}

/// As [`timed`]; what the command has started ends with it when it is given up, unless it left its process group.
pub async fn timed_with_children(mut command: Command) -> Result<Duration, Error> {
    let shown = format!("{:?}", command.as_std());
    let failed = |error| format!("cannot run {shown}: {error}");
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = Instant::now();
    let child = command.spawn().map_err(failed)?;
    let leader = child.id().ok_or("it was not waited for yet")?;
    // The group, not only its leader.
    let running = Running(-(leader as libc::pid_t));
    let output = child.wait_with_output().await.map_err(failed)?;
    std::mem::forget(running);
    let taken = started.elapsed();
    checked(&shown, output)?;
    Ok(taken)
}

async fn finished(command: &mut Command) -> Result<Output, Error> {
    let shown = format!("{:?}", command.as_std());
    let output = command
        .output()
        .await
        .map_err(|error| format!("cannot run {shown}: {error}"))?;
    checked(&shown, output)
}

fn checked(shown: &str, output: Output) -> Result<Output, Error> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        return Err(format!("{shown} failed with {}\n{stderr}{stdout}", output.status).into());
    }
    Ok(output)
}

/// Peak resident memory of the command's own process and the largest of its children, in bytes.
///
/// The kernel counts from before exec, so this is never less than this program's own size.
pub async fn peak_memory(mut command: std::process::Command) -> Result<u64, Error> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let shown = format!("{command:?}");
    let child = command
        .spawn()
        .map_err(|error| format!("cannot run {shown}: {error}"))?;
    let running = Running(child.id() as libc::pid_t);
    let (status, usage) = tokio::task::spawn_blocking(move || wait_with_usage(child)).await??;
    std::mem::forget(running);
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
        return Err(format!("{shown} failed with wait status {status}").into());
    }
    // Linux counts it in KiB.
    Ok(usage.ru_maxrss as u64 * 1024)
}

/// A child, or with a minus a group of them, that ends when nobody is interested any more.
struct Running(libc::pid_t);

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: no pointers; the child is waited for only after this was forgotten, or in a thread that still waits.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

fn wait_with_usage(child: std::process::Child) -> std::io::Result<(libc::c_int, libc::rusage)> {
    let pid = child.id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to locals that outlive the call; `child` is not waited for elsewhere.
        if unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } == pid {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
