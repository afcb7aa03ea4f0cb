//! How a program is started: `devenv supervise-launch … -- program args…` becomes it, after it has joined its control group, left the
//! terminal's session, dropped to its user, and asked the kernel to be ended with its supervisor.

use std::{ffi::OsString, path::PathBuf};

use rustix::process::Signal;

use super::{group::Group, record::Launch};
use crate::sys::child::{Become, Session};

/// The hidden command of the command line.
pub const COMMAND: &str = "supervise-launch";

/// The arguments that make a child of this program start the other.
pub fn arguments(launch: &Launch, group: &Group) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![COMMAND.into()];
    if let Some(cgroup) = &group.cgroup {
        arguments.extend(["--cgroup".into(), cgroup.into()]);
    }
    if let Some(user) = &launch.user {
        arguments.extend(["--user".into(), user.into()]);
    }
    arguments.extend(["--with-parent".into(), launch.stop_signal.as_str().into()]);
    arguments.push("--".into());
    arguments.extend(launch.argv.iter().map(OsString::from));
    arguments
}

/// What a child is to do before it becomes its program, from the arguments behind [`COMMAND`]; `None` when they are none of ours.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Become> {
    let mut arguments = arguments.into_iter();
    let mut child = Become::default();
    // For the same program as another user, who has joined the group already.
    let mut again: Vec<OsString> = vec![COMMAND.into()];
    loop {
        let argument = arguments.next()?;
        match argument.to_str()? {
            // The session of the caller, with its terminal.
            "--terminal" => {
                child.session = Session::Callers;
                again.push(argument);
            }
            "--cgroup" => child.cgroup = Some(PathBuf::from(arguments.next()?)),
            "--user" => child.user = Some(arguments.next()?.into_string().ok()?),
            "--with-parent" => {
                let name = arguments.next()?.into_string().ok()?;
                child.with_parent = Some(signal(&name));
                again.extend([argument, name.into()]);
            }
            "--" => {
                again.push(argument);
                break;
            }
            _ => return None,
        }
    }
    child.argv = arguments.collect();
    again.extend(child.argv.iter().cloned());
    child.again = again;
    (!child.argv.is_empty()).then_some(child)
}

/// By its name, with or without `SIG`; SIGTERM for one that is not known.
pub fn signal(name: &str) -> Signal {
    match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "KILL" => Signal::KILL,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "WINCH" => Signal::WINCH,
        _ => Signal::TERM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<Become> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn what_is_said_is_understood_and_said_again_without_the_user() {
        let launch = Launch {
            argv: vec!["/bin/sleep".into(), "--user".into(), "1".into()],
            env: Default::default(),
            cwd: "/".into(),
            user: Some("nobody".into()),
            restart: crate::config::Restart::No,
            stop_signal: "SIGINT".into(),
            stop_grace: Default::default(),
        };
        let group = Group {
            mark: "p/app.x/1".into(),
            cgroup: Some("/sys/fs/cgroup/x".into()),
            pipes: Default::default(),
        };
        let said = arguments(&launch, &group);
        let (command, rest) = said.split_first().expect("a command");
        assert_eq!(command, COMMAND);
        let child = parse(rest.to_vec()).expect("our own");
        assert_eq!(child.argv, ["/bin/sleep", "--user", "1"]);
        assert_eq!(child.user.as_deref(), Some("nobody"));
        assert_eq!(child.cgroup, group.cgroup);
        assert_eq!(child.with_parent, Some(Signal::INT));
        assert_eq!(child.session, Session::Own);
        let again = ["supervise-launch", "--with-parent", "SIGINT", "--"];
        assert_eq!(child.again[..4], again);
        assert_eq!(child.again[4..], child.argv);

        let child = parsed(&["--terminal", "--", "sh"]).expect("our own");
        assert_eq!(child.session, Session::Callers);
        assert_eq!(child.again, ["supervise-launch", "--terminal", "--", "sh"]);
    }

    #[test]
    fn what_is_not_ours_is_not_understood() {
        for other in [
            &["--"][..],
            &[],
            &["sh"],
            &["--user"],
            &["--group", "x", "--", "sh"],
        ] {
            assert!(parsed(other).is_none(), "{other:?}");
        }
    }
}
