//! The process that starts other people's programs (`locum runner`), so that nothing they do, and no fork, happens in
//! the agent itself, and so that the agent needs no right to do it.
//!
//! It listens in the agent's runtime directory, serves one agent at a time, and speaks
//! [`ProgramRequest`](crate::types::ProgramRequest) and [`ProgramReport`](crate::types::ProgramReport), one JSON value a
//! message. When the agent closes the channel, what it had started is killed. It keeps the capabilities to change users
//! and to kill, and hands on none. Belongs here: starting, bounding, watching and ending a program, as whom, and who may
//! ask for it. Does not belong here: when a check is due and what its result means (`service`, `proto`).
//!
//! Installed it is a service of its own, which the service manager starts anew, and which becomes the program on disk
//! when that has changed and an agent connects. Elsewhere the agent starts a `keeper`
//! before it gives up its rights; that starts the runner, and another one when that has ended, as the agent no longer
//! could. A keeper ends with its agent; if it is killed itself, every check fails until the agent is started anew.
//!
//! A program runs in a process group of its own. When its leader ends, the run is over: the report goes out at once,
//! and what it left behind in its group is killed, so that runs cannot pile up. A program that puts itself into
//! another group or session has gone its own way and is left alone, but reaped. At its timeout a run is reported and
//! its group gets SIGKILL without SIGTERM before: a hung program's answer matters to nobody any more, and a period of
//! grace would let it run beside its successor.

mod admission;
mod keeper;
mod last_line;
mod serve;

use std::path::Path;
use std::time::Duration;

use nix::poll::PollTimeout;

use crate::io::channel::Listener;
use crate::io::handover;
use crate::types::{Exit, Failure, RUNNER_SOCKET};
pub use serve::{MAX_MESSAGE, MAX_RUNS};

/// Runs as a service that listens in this runtime directory, until it is told to terminate. The socket may be its
/// standard input already, left by the version before it.
///
/// # Errors
/// It cannot listen there, or the system refuses something basic.
pub fn service(runtime_dir: &Path) -> Result<(), Failure> {
    let path = runtime_dir.join(RUNNER_SOCKET);
    let program = handover::own_path()
        .map_err(|error| Failure::new(Exit::Internal, format!("the runner cannot find its program: {error}")))?;
    let arguments = vec!["runner".into(), "--runtime-dir".into(), runtime_dir.into()];
    let listener = Listener::standard_input().or_else(|_| Listener::bind(&path)).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            std::io::ErrorKind::NotFound => Exit::NoFile,
            _ => Exit::Internal,
        };
        Failure::new(exit, format!("cannot listen at {}: {error}", path.display()))
    })?;
    let result = serve::serve(listener, serve::Role::Service { program, arguments });
    // Left behind it would tell agents to wait for a runner that is about to come.
    std::fs::remove_file(&path).ok();
    result
}

/// Runs for a keeper, with a listening socket as standard input.
///
/// # Errors
/// There is no such socket, or the system refuses something basic.
pub fn worker() -> Result<(), Failure> {
    serve::serve(standard_input()?, serve::Role::Worker)
}

/// Keeps a runner going for the agent that has started us, with a listening socket as standard input.
///
/// # Errors
/// There is no such socket or agent, or the system refuses something basic.
pub fn keeper(agent: i32) -> Result<(), Failure> {
    drop(standard_input()?);
    keeper::keep(agent)
}

fn standard_input() -> Result<Listener, Failure> {
    Listener::standard_input().map_err(|_| {
        let text =
            "in this role `locum runner` is started by `locum run` with a socket as its standard input, not by hand";
        Failure::new(Exit::Usage, text)
    })
}

/// A time to wait, in whole milliseconds and not less.
fn up_to(span: Duration) -> PollTimeout {
    PollTimeout::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}
