//! How a program is started: `devenv supervise-launch … -- program args…` becomes it, after it has joined its control group, left the
//! terminal's session, dropped to its user, and asked the kernel to be ended with its supervisor.

use std::ffi::OsString;

use rustix::process::Signal;

use super::{group::Group, record::Launch};

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
