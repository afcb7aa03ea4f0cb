//! `devenv env`: the environment of the project's tools, as text for a shell.

use std::{collections::BTreeMap, ffi::OsString, path::Path, process::ExitCode};

use clap::ValueEnum;

use super::context::Context;
use crate::{
    event::{Explain, Fault},
    toolchain::{ToolStatus, Toolchain, bring_version},
};

/// Print the environment with the project's tools first on PATH.
///
/// For the current shell: `eval "$(devenv env)"`; for direnv, the same line in `.envrc`; for fish: `devenv env | source`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to write for; that of $SHELL when absent.
    #[arg(long, value_enum)]
    shell: Option<Shell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Sh,
    Bash,
    Zsh,
    Fish,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    let toolchain = cx.own_tools()?;
    warn(&toolchain).await;
    let env: BTreeMap<String, String> = toolchain
        .env()
        .into_iter()
        .map(|(name, value)| (name, lossless(value)))
        .collect();
    let shell = args.shell.unwrap_or_else(from_environment);
    cx.answer(&env, || {
        env.iter()
            .map(|(name, value)| line(shell, name, value))
            .collect()
    });
    Ok(ExitCode::SUCCESS)
}

/// Tools that are not ready are no failure here: the user may want another one. Returns the name of each, and what to do.
pub async fn warn(toolchain: &Toolchain) -> BTreeMap<&str, String> {
    let mut missing = BTreeMap::new();
    for name in toolchain.names() {
        let (why, help) = match toolchain.status(name).await {
            Ok(ToolStatus::Ready(_)) => continue,
            Ok(ToolStatus::Missing { why, help }) => (why, help),
            Ok(ToolStatus::WrongVersion { found, wanted, .. }) => (
                format!("version {found} found, wanted `{wanted}`"),
                bring_version(&wanted),
            ),
            Err(error) => {
                let help = error.explain().help;
                let help = help.unwrap_or_else(|| "see `devenv doctor`".into());
                (error.to_string(), help)
            }
        };
        anstream::eprintln!("warning: tool `{name}` is not ready: {why}; {help}");
        missing.insert(name, help);
    }
    missing
}

fn lossless(value: OsString) -> String {
    // A PATH that is no UTF-8 cannot be printed as JSON or sourced safely; its odd entries are lost, not the rest.
    value
        .into_string()
        .unwrap_or_else(|value| value.to_string_lossy().into_owned())
}

fn from_environment() -> Shell {
    let shell = std::env::var_os("SHELL").unwrap_or_default();
    match Path::new(&shell).file_name().and_then(|name| name.to_str()) {
        Some("bash") => Shell::Bash,
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Sh,
    }
}

fn line(shell: Shell, name: &str, value: &str) -> String {
    match shell {
        Shell::Sh | Shell::Bash | Shell::Zsh => {
            format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
        }
        Shell::Fish => {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            // fish keeps PATH as a list; a single quoted string with colons is split when it is exported.
            format!("set -gx {name} '{value}'\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        assert_eq!(line(Shell::Sh, "A", "it's"), "export A='it'\\''s'\n");
        assert_eq!(
            line(Shell::Fish, "A", r"it's \"),
            "set -gx A 'it\\'s \\\\'\n"
        );
    }
}
