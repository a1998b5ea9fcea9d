use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::UserName;

/// The name of the socket in the runtime directory at which a runner that is a service of its own listens.
pub const RUNNER_SOCKET: &str = "runner.sock";

/// Asks the runner to start one program. Sent as one JSON message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRequest {
    /// Comes back in the report; never used twice while a run is under way.
    pub id: u64,
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// Milliseconds until the whole process group is killed.
    pub timeout_ms: u64,
    /// Variables for its environment, beside those the runner gives to all; only names that begin with `LOCUM_` are passed on.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// As whom it runs. `None`: as `locum` where the runner is root and there is such a user, else as the runner itself.
    #[serde(default)]
    pub user: Option<UserName>,
}

/// Tells how a program ended. Sent as one JSON message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramReport {
    /// The request's.
    pub id: u64,
    /// How it ended.
    pub outcome: ProgramOutcome,
    /// The last line it printed on standard output or error, at most 256 bytes, control characters removed.
    pub output: String,
}

/// The ways a program ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramOutcome {
    /// It exited by itself with this code.
    Exited(i32),
    /// A signal that was not ours ended it.
    Signalled(i32),
    /// Its time was up; the process group was killed.
    TimedOut,
    /// It never started; the system's words.
    CouldNotRun(String),
}
