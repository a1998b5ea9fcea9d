//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(locum::demo::run())
}
