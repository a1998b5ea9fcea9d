//! `locum demo`: failovers on this machine, in namespaces, with a client that counts its losses.
//!
//! Two processes of one program: `shell` makes the namespaces, starts the second as their init and takes
//! everything down with it; `stage` is that init, builds the LAN (`hosts`) and performs the `story`. `client`
//! sends echoes, `observer` captures what passes on the client's cable (`frame` reads it), `ledger` turns the
//! capture into figures and `told` prints them. Belongs here: what is performed and what is told of it.
//! Does not belong here: how namespaces, links and sockets are made (`io`), and any knowledge of the agent but
//! its command line: it is judged from outside.

mod client;
mod failure;
mod frame;
mod hosts;
mod ledger;
mod observer;
mod shell;
mod stage;
mod story;
mod told;

/// Runs the demo and returns the exit code: 0, 1 if a takeover did not come, 77 if namespaces are not permitted,
/// 128 and the signal's number if interrupted.
///
/// Starts its own program again with the same arguments, so they must lead here. Must be called while this
/// process has one thread only: an ordinary user's namespaces cannot be made otherwise.
pub fn run() -> u8 {
    if stage::is_this_process() { stage::run() } else { shell::run() }
}
