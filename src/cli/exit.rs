//! Exit codes: 0 ok, 1 a step failed, 2 usage or config, 3 environment, 4 changes (`plan --detailed-exit-code`), 70 bug, 130 interrupted.

use std::process::ExitCode;

use crate::event::FaultClass;

/// `plan --detailed-exit-code` with something to do.
pub const CHANGES: u8 = 4;

pub fn code(class: FaultClass) -> ExitCode {
    ExitCode::from(number(class))
}

pub fn number(class: FaultClass) -> u8 {
    match class {
        FaultClass::Step => 1,
        FaultClass::Usage => 2,
        FaultClass::Environment => 3,
        FaultClass::Bug => 70,
        FaultClass::Interrupted => 130,
    }
}

/// The exit code of a command run for the user passes through; beyond 255 it is 1.
pub fn of_child(code: i64) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
