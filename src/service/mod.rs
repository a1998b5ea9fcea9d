//! Everything beside the protocol thread: when checks are run, where the log goes, who is told the status.
//!
//! Belongs here: what may wait for a disk, a client or a child. Does not belong here: a decision about an address or
//! an election (`proto`), and what users' programs need to be started (`runner`, a process of its own).
//!
//! It knows the agent only as the receiver of [`Request`]s, over a bounded channel. `checks` runs the checks by
//! `schedule`, through the process behind `starter`; `socket` answers for the status; `log` writes lines on a thread
//! of its own, so that a pipe nobody reads holds up nothing else.

pub mod checks;
mod journal;
pub mod log;
pub mod manager;
mod schedule;
pub mod socket;
pub mod starter;

use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::report::Answer;
use crate::report::status::Status;
use crate::types::{CheckName, CheckResult};

/// What an administrator's command wants of whoever wired this side and the agent together.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration again. Dropped without an answer if the agent is stopping.
    Reload(oneshot::Sender<Answer>),
    /// Have the program on disk take this one's place; whoever carries it out answers this client.
    Replace(UnixStream),
}

/// What this side wants of the agent.
#[derive(Debug)]
pub enum Request {
    /// One run of a check has ended.
    Check {
        /// Which.
        name: CheckName,
        /// How.
        result: CheckResult,
        /// The last line it printed, or why it could not run.
        output: String,
    },
    /// How do things stand? Dropped without an answer if the agent is stopping.
    Snapshot(oneshot::Sender<Status>),
}
