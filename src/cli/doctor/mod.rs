//! `devenv doctor`: looks at everything `up` depends on, and says how to mend what is wrong.

mod finding;
mod left_over;
mod ports;

use std::{path::Path, process::ExitCode};

use super::{context::Context, exit, notices, runtime};
use crate::{
    config::{Config, StepId},
    event::{Explain, Fault, FaultClass, quoted},
    lockfile::Lock,
    report,
    runtime::{AnyRuntime, Identity},
    steps::{self, Steps},
    sys::{fs, paths, process::Spawn},
    toolchain::{ToolStatus, Toolchain},
};
use finding::Finding;

/// Check devenv.toml, the engine, tools, ports, disk, lock and git; each finding with its fix.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Less free space than this and builds start to fail.
const LOW_DISK: u64 = 5 << 30;

pub async fn run(cx: &Context, _args: Args) -> Result<ExitCode, Fault> {
    let root = cx.root()?;
    let (config, mut findings) = match cx.config() {
        Ok(config) => (Some(config), Vec::new()),
        Err(fault) => (None, Finding::of_file("file", &fault)),
    };
    // All at once: each waits for an engine that does not answer.
    let ports = async {
        match &config {
            Some(config) => ports::check(cx, config).await,
            None => Vec::new(),
        }
    };
    let (engine, ports, left_over) = tokio::join!(engine(cx, &root), ports, left_over::findings());
    findings.extend(engine);
    let (lock, broken) = match cx.lock() {
        Ok(lock) => (lock, Vec::new()),
        Err(fault) => (Lock::default(), Finding::of_file("lock", &fault)),
    };
    if let Some(config) = &config {
        let toolchain = Toolchain::new(&root, &config.toolchain, lock);
        findings.extend(tools(&toolchain, config, broken.is_empty()).await);
        if broken.is_empty() {
            findings.push(outdated(&toolchain));
        }
    }
    findings.extend(ports);
    findings.extend(
        config
            .iter()
            .flat_map(|config| short_secrets(config, &root)),
    );
    if let Ok(steps) = cx.steps(cx.silent_events()) {
        findings.extend(absent_secrets(&steps));
    }
    findings.extend(broken);
    findings.extend(disk(&root));
    findings.push(git(&root).await);
    findings.extend(left_over);
    let classes: Vec<_> = findings.iter().filter_map(|f| f.class).collect();
    let class = match classes.contains(&FaultClass::Usage) {
        true => Some(FaultClass::Usage),
        false => (!classes.is_empty()).then_some(FaultClass::Environment),
    };
    cx.answer(&findings, || {
        findings.iter().map(|f| format!("{f}\n")).collect()
    });
    Ok(class.map_or(ExitCode::SUCCESS, exit::code))
}

async fn engine(cx: &Context, root: &Path) -> Vec<Finding> {
    // A file with errors has no project, and the engine answers all the same.
    let identity = cx.identity().unwrap_or_else(|_| Identity {
        id: String::new(),
        project: String::new(),
        root: root.display().to_string(),
    });
    let kind = cx.kind();
    let info = match runtime::of_kind(kind, identity).map(|engine| engine.runtime) {
        Ok(AnyRuntime::Process(_)) => {
            let choice = cx.choice().map(|choice| choice.to_string());
            return vec![Finding::ok("runtime", choice.unwrap_or_default())];
        }
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
        Err(fault) => Finding::of_fault("engine", &fault),
    }]
}

/// Without a lock that can be read, only of what needs none.
async fn tools(toolchain: &Toolchain, config: &Config, is_locked: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, tool) in &config.toolchain {
        if is_locked || !tool.from.is_locked() {
            findings.push(self::tool(toolchain, name).await);
        }
    }
    findings
}

async fn tool(toolchain: &Toolchain, name: &str) -> Finding {
    match toolchain.status(name).await {
        Ok(ToolStatus::Ready(ready)) => {
            let version = ready.version.unwrap_or_default();
            Finding::ok("tool", format!("{name} {version}").trim_end().to_owned())
        }
        Ok(ToolStatus::Missing { why, help }) => {
            Finding::problem("tool", format!("{name}: {why}"), Some(help))
        }
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
    }
}

/// What runs needs none; what is started next does.
fn absent_secrets(steps: &Steps) -> Vec<Finding> {
    let absent = steps.absent_secrets_of(steps.plan.steps.keys()).into_iter();
    let finding = |(fault, ids): (Fault, Vec<&StepId>)| {
        let fault = fault.located(&steps.config.source);
        Finding::warning_of(
            "secret",
            &fault,
            &format!("for the next start of {}", quoted(ids)),
        )
    };
    absent.map(finding).collect()
}

/// What is not masked, by intent: of so short a value every mention in other words would go.
fn short_secrets(config: &Config, root: &Path) -> Vec<Finding> {
    let names = steps::too_short_secrets(config, root).into_iter();
    let finding = |name: String| {
        let fix = "give it a longer value".to_owned();
        Finding::warning("secret", notices::not_masked(&name), Some(fix))
    };
    names.map(finding).collect()
}

fn outdated(toolchain: &Toolchain) -> Finding {
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

fn disk(root: &Path) -> Vec<Finding> {
    let places = [Some(root.to_owned()), paths::cache_dir()];
    let mut findings = Vec::new();
    let state = root.join(".devenv");
    if state.is_file() {
        findings.push(Finding::problem(
            "disk",
            format!("`{}` is a file", state.display()),
            Some("move it away: devenv keeps its state in a folder of that name".into()),
        ));
    } else if !fs::may_write(&state) {
        findings.push(Finding::problem(
            "disk",
            format!("this user may not write `{}`", state.display()),
            Some("let this user write there: devenv keeps its state in it".into()),
        ));
    }
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
