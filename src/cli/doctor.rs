//! `devenv doctor`: looks at everything `up` depends on, and says how to mend what is wrong.

mod left_over;

use std::{fmt, path::Path, process::ExitCode};

use serde::Serialize;

use super::context::Context;
use crate::{
    config::{Config, StepId, StepKind},
    event::{Explain, Fault},
    report,
    runtime::{AnyRuntime, Listing, Runtime},
    sys::{fs, net, paths, process::Spawn},
    toolchain::ToolStatus,
};

/// Check the engine, tools, ports, disk, lock and git; each finding with its fix.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Less free space than this and builds start to fail.
const LOW_DISK: u64 = 5 << 30;

#[derive(Debug, Serialize)]
struct Finding {
    about: &'static str,
    state: State,
    message: String,
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Problem,
}

pub async fn run(cx: &Context, _args: Args) -> Result<ExitCode, Fault> {
    let config = cx.config()?;
    let root = cx.root()?;
    let mut findings = engine(cx).await;
    findings.extend(tools(cx, &config).await?);
    findings.push(lock(cx));
    findings.extend(ports(cx, &config).await);
    findings.extend(disk(&root));
    findings.push(git(&root).await);
    findings.extend(left_over::findings().await);
    let problems = findings.iter().any(|f| f.state == State::Problem);
    cx.answer(&findings, || {
        findings
            .iter()
            .map(|finding| format!("{finding}\n"))
            .collect()
    });
    Ok(ExitCode::from(if problems { 3 } else { 0 }))
}

async fn engine(cx: &Context) -> Vec<Finding> {
    let info = match cx.runtime() {
        Ok(AnyRuntime::Docker(docker)) => docker.info().await.map_err(|error| error.explain()),
        Err(fault) => Err(fault),
    };
    vec![match info {
        Ok(info) => Finding::ok(
            "engine",
            format!(
                "{} {} (API {}, {})",
                info.name, info.version, info.api, info.storage
            ),
        ),
        Err(fault) => Finding::problem("engine", fault.message, fault.help),
    }]
}

async fn tools(cx: &Context, config: &Config) -> Result<Vec<Finding>, Fault> {
    let toolchain = cx.toolchain()?;
    let mut findings = Vec::new();
    for name in config.toolchain.keys() {
        findings.push(match toolchain.status(name).await {
            Ok(ToolStatus::Ready(ready)) => Finding::ok(
                "tool",
                format!("{name} {}", ready.version.unwrap_or_default()),
            ),
            Ok(ToolStatus::Missing { why }) => Finding::problem(
                "tool",
                format!("{name}: {why}"),
                Some("run `devenv install`".into()),
            ),
            Ok(ToolStatus::WrongVersion {
                found,
                wanted,
                path,
            }) => Finding::problem(
                "tool",
                format!("{name} is {found} at `{}`, wanted {wanted}", path.display()),
                Some(format!(
                    "install {name} {wanted}, or change the range in devenv.toml"
                )),
            ),
            Err(error) => {
                let fault = error.explain();
                Finding::problem("tool", format!("{name}: {}", fault.message), fault.help)
            }
        });
    }
    Ok(findings)
}

fn lock(cx: &Context) -> Finding {
    let toolchain = match cx.toolchain() {
        Ok(toolchain) => toolchain,
        Err(fault) => return Finding::problem("lock", fault.message, fault.help),
    };
    let outdated = toolchain.outdated();
    if outdated.is_empty() {
        return Finding::ok("lock", "devenv.lock is up to date".into());
    }
    let rows: Vec<_> = outdated
        .iter()
        .map(|row| format!("{} ({})", row.tool, row.why))
        .collect();
    Finding::problem(
        "lock",
        format!("devenv.lock is out of date for {}", rows.join(", ")),
        Some("run `devenv lock` and commit the file".into()),
    )
}

/// Wanted ports: ours already, free, or held by somebody.
async fn ports(cx: &Context, config: &Config) -> Vec<Finding> {
    let listing = match cx.runtime() {
        Ok(runtime) => runtime.list().await.unwrap_or_default(),
        Err(_) => Listing::default(),
    };
    let mut findings = Vec::new();
    for (step, name, port) in wanted_ports(config) {
        let ours = listing.instances.iter().find(|i| i.step == step);
        let taken = ours.and_then(|instance| instance.ports.get(&name));
        findings.push(match taken {
            Some(taken) if *taken == port => {
                Finding::ok("port", format!("{port} serves {name} of {step}"))
            }
            Some(taken) => Finding::warning(
                "port",
                format!("{name} of {step} is on {taken}, {port} was not free when it started"),
                Some(format!(
                    "free port {port}, then `devenv down` and `devenv up`"
                )),
            ),
            None if net::port_is_free(port) => {
                Finding::ok("port", format!("{port} is free for {name} of {step}"))
            }
            None => Finding::warning(
                "port",
                match net::port_holder(port) {
                    Some(holder) => format!(
                        "{port}, wanted for {name} of {step}, is held by `{}` (pid {})",
                        holder.command, holder.pid
                    ),
                    None => {
                        format!("{port}, wanted for {name} of {step}, is held by another program")
                    }
                },
                Some(format!(
                    "end that program, or let devenv take a port of {}-{}",
                    config.project.ports.first, config.project.ports.last
                )),
            ),
        });
    }
    findings
}

fn wanted_ports(config: &Config) -> Vec<(StepId, String, u16)> {
    let postgres = config.postgres.iter().map(|(name, postgres)| {
        let id = StepId::new(StepKind::Postgres, name);
        (id, "sql".to_owned(), postgres.port)
    });
    let services = config
        .service
        .iter()
        .map(|(name, service)| (StepId::new(StepKind::Service, name), service))
        .chain(
            config
                .app
                .iter()
                .map(|(name, app)| (StepId::new(StepKind::App, name), &app.service)),
        );
    let declared = services.flat_map(|(id, service)| {
        let ports = service.ports.iter();
        ports.map(move |(name, port)| (id.clone(), name.clone(), port.host))
    });
    postgres.chain(declared).collect()
}

fn disk(root: &Path) -> Vec<Finding> {
    let places = [Some(root.to_owned()), paths::cache_dir()];
    let mut findings = Vec::new();
    for place in places.into_iter().flatten() {
        let Some(free) = fs::free_space(&place) else {
            continue;
        };
        let message = format!("{} free at `{}`", report::bytes(free), place.display());
        findings.push(match free < LOW_DISK {
            true => Finding::warning(
                "disk",
                message,
                Some("free some space: `docker system df` shows what the engine holds".into()),
            ),
            false => Finding::ok("disk", message),
        });
    }
    findings
}

/// A `.devenv` folder that git tracks would carry one machine's state to another.
async fn git(root: &Path) -> Finding {
    let ask = |args: &[&str]| {
        let mut spawn = Spawn::new(["git"].into_iter().chain(args.iter().copied()));
        spawn.cwd = Some(root.to_owned());
        async move { spawn.output().await }
    };
    let Ok(version) = ask(&["--version"]).await else {
        return Finding::problem(
            "git",
            "git is not on PATH".into(),
            Some("install git".into()),
        );
    };
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    match ask(&["ls-files", "--", ".devenv"]).await {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => Finding::problem(
            "git",
            "`.devenv/` is tracked by git".into(),
            Some("run `git rm -r --cached .devenv`".into()),
        ),
        Ok(output) if output.status.success() => Finding::ok("git", version),
        _ => Finding::warning(
            "git",
            format!("{version}, but this folder is no repository"),
            Some("run `git init`; without it all files count as inputs".into()),
        ),
    }
}

impl Finding {
    fn ok(about: &'static str, message: String) -> Self {
        Self {
            about,
            state: State::Ok,
            message,
            fix: None,
        }
    }

    fn warning(about: &'static str, message: String, fix: Option<String>) -> Self {
        Self {
            about,
            state: State::Warning,
            message,
            fix,
        }
    }

    fn problem(about: &'static str, message: String, fix: Option<String>) -> Self {
        Self {
            about,
            state: State::Problem,
            message,
            fix,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok     ",
            State::Warning => "warning",
            State::Problem => "problem",
        };
        write!(f, "{state}  {:6}  {}", self.about, self.message)?;
        if let Some(fix) = &self.fix {
            write!(f, "\n{:17}fix: {fix}", "")?;
        }
        Ok(())
    }
}
