//! The command.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)]
#![deny(clippy::let_underscore_must_use)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(locum::demo::run())
}
