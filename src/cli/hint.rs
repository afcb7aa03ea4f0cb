//! What to do instead, for arguments that other tools of this kind take.

use clap::{
    Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Adds a tip to the error where one is known.
pub fn add(mut error: Error, command: Option<&str>) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => subcommand(&text(ContextKind::InvalidSubcommand)),
        ErrorKind::MissingRequiredArgument if command == Some("exec") => Some(
            "`devenv exec NAME -- CMD` runs it inside a step, `devenv exec -- CMD` on this machine",
        ),
        ErrorKind::UnknownArgument => argument(command, &text(ContextKind::InvalidArg)),
        _ => None,
    };
    if let Some(tip) = tip {
        for nearest in [
            ContextKind::SuggestedSubcommand,
            ContextKind::SuggestedArg,
            ContextKind::Suggested,
        ] {
            error.remove(nearest);
        }
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

fn subcommand(name: &str) -> Option<&'static str> {
    Some(match name {
        "start" | "create" | "run-all" => {
            "`devenv up` starts everything, `devenv up NAME` one step"
        }
        "stop" | "kill" | "rm" | "remove" => "`devenv down` stops and removes everything",
        "build" | "pull" => {
            "`devenv up` builds and pulls what has changed; `devenv plan` shows what that is"
        }
        "ls" | "list" | "status" | "top" | "port" | "images" => {
            "`devenv ps` shows what runs, and where"
        }
        "attach" | "watch" => "`devenv up --attach` follows the logs",
        "sh" | "shell" | "bash" => {
            "`devenv exec NAME -- sh` is a shell inside a step; `devenv env` is for the one you are in"
        }
        "check" | "validate" => {
            "`devenv config` checks devenv.toml, `devenv doctor` all that it needs"
        }
        "test" | "task" => "`devenv run NAME` runs a task",
        "db" | "sql" => "`devenv psql` opens a prompt on the database",
        "version" => "write `devenv --version`",
        _ => return None,
    })
}

fn argument(command: Option<&str>, argument: &str) -> Option<&'static str> {
    let flag = argument.split('=').next().unwrap_or(argument);
    Some(match (command?, flag) {
        ("up", "-d" | "--detach" | "--wait") => {
            "leave it out: `devenv up` returns once everything is ready"
        }
        ("up", "--build" | "--pull" | "--force-recreate" | "--remove-orphans") => {
            "leave it out: `devenv up` always builds, replaces and removes what has changed"
        }
        ("up" | "run", "--no-deps") => {
            "what a step needs is always brought up first, and skipped where nothing has changed"
        }
        ("exec", "-it" | "-i" | "-t" | "-T") => {
            "leave it out: a terminal is passed on where there is one"
        }
        ("exec" | "run", "-e" | "--env") => {
            "set it in the command: `devenv exec NAME -- env KEY=VALUE COMMAND`"
        }
        ("down", "--remove-orphans") => {
            "leave it out: `devenv down` stops all that this project runs"
        }
        ("down" | "ps", name) if !name.starts_with('-') => {
            "it takes no step: it is about all that runs"
        }
        ("exec", word) if !word.starts_with('-') => {
            "the command goes after `--`: `devenv exec NAME -- COMMAND`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, failure};

    fn tip(arguments: &[&str]) -> Option<String> {
        let all = ["devenv"].iter().chain(arguments);
        let error = Cli::try_parse_from(all).expect_err("a usage error");
        let error = super::add(error, arguments.first().copied());
        failure::usage(&error).help
    }

    #[test]
    fn commands_and_flags_of_other_tools_come_with_ours() {
        for (arguments, part) in [
            (&["stop"][..], "`devenv down`"),
            (&["start"], "`devenv up`"),
            (&["up", "-d"], "returns once everything is ready"),
            (&["up", "--detach"], "returns once everything is ready"),
            (&["exec", "web", "ls"], "`devenv exec NAME -- COMMAND`"),
            (&["exec", "web"], "inside a step"),
            (&["ps", "web"], "all that runs"),
            (&["upp"], "'up'"),
        ] {
            let tip = tip(arguments).expect("a tip");
            assert!(tip.contains(part), "{arguments:?}: {tip}");
        }
    }
}
