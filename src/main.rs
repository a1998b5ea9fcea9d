//! The command.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)]
#![deny(clippy::let_underscore_must_use)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use locum::cli::{Cli, Command, RunnerRole};
use locum::types::{Exit, Failure};
use locum::{ctl, daemon, demo, runner};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(end_by_our_own_fault));
    let result = match Cli::try_parse() {
        Ok(cli) => perform(cli.command),
        Err(error) => return usage(&error),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Failure { exit, text }) => {
            if !text.is_empty() {
                say(&text);
            }
            ExitCode::from(exit.code())
        }
    }
}

/// What was asked for; the exit code, or why it was not done.
fn perform(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Demo => return Ok(demo::run()),
        Command::Run { config, runtime } => daemon::run(&daemon::Options { config, runtime_dir: runtime.path }),
        Command::Check { file } => ctl::check(&file),
        Command::Status { json, runtime } => ctl::status(&runtime.path, json),
        Command::Runner { role: RunnerRole::Service, runtime, .. } => runner::service(&runtime.path),
        Command::Runner { role: RunnerRole::Keeper, agent, .. } => runner::keeper(agent),
        Command::Runner { role: RunnerRole::Worker, .. } => runner::worker(),
        Command::Reload { exec, runtime } => ctl::reload(&runtime.path, exec),
        Command::Probe { config, .. } => daemon::probe(&config),
    }?;
    Ok(Exit::Fine.code())
}

/// Help and version were asked for; anything else that ends here is a mistake in what was typed.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
    match error.print() {
        Ok(()) => ExitCode::from(exit.code()),
        // Nobody reads it, as with `locum --help | head -1`; what was asked for has been done.
        Err(_) => ExitCode::from(exit.code()),
    }
}

/// A panic in any thread ends the process at once: the rest of it must not go on holding an address.
fn end_by_our_own_fault(panic: &std::panic::PanicHookInfo<'_>) {
    say(&format!("{panic}\nThis is a fault in locum. Please report it with the lines above."));
    #[expect(clippy::exit, reason = "unwinding would run the rest of a program that has just shown a fault")]
    std::process::exit(i32::from(Exit::Internal.code()));
}

fn say(text: &str) {
    // Where standard error cannot be written to either, the exit code is all that can be told.
    writeln!(std::io::stderr(), "locum: {text}").ok();
}
