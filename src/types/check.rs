use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CheckName, UserName};

/// What one run of a check ended with. Everything but `Ok` counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// It ran and said yes (a program: exit code 0).
    Ok,
    /// It ran and said no.
    Failed,
    /// It had not answered when its timeout ended; it was killed.
    TimedOut,
    /// It could not be started, or whoever starts it is gone.
    CouldNotRun,
    /// Somebody else ended it with a signal.
    Killed,
}

impl CheckResult {
    /// The words used in log, status and metrics alike.
    pub fn words(self) -> &'static str {
        match self {
            CheckResult::Ok => "ok",
            CheckResult::Failed => "failed",
            CheckResult::TimedOut => "timed out",
            CheckResult::CouldNotRun => "could not run",
            CheckResult::Killed => "killed",
        }
    }

    /// Whether this run speaks for health.
    pub fn is_ok(self) -> bool {
        match self {
            CheckResult::Ok => true,
            CheckResult::Failed | CheckResult::TimedOut | CheckResult::CouldNotRun | CheckResult::Killed => false,
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A check as configured: what to run, how often, and how many results in a row decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSpec {
    /// Its name in the configuration (`[check.NAME]`).
    pub name: CheckName,
    /// Program and arguments; the program is an absolute path.
    pub script: Vec<String>,
    /// From one start to the next; a run that takes longer delays the next one.
    pub interval: Duration,
    /// After this long a run has failed and its process group is killed.
    pub timeout: Duration,
    /// Consecutive good results that turn a failed check healthy (at least 1).
    pub rise: u32,
    /// Consecutive bad results that turn a healthy check failed (at least 1).
    pub fall: u32,
    /// `None`: failure makes the node unhealthy. `Some(w)`: w > 0 adds while ok, w < 0 subtracts while failed.
    pub weight: Option<i16>,
    /// As whom it runs; `None`: as the user of the package, or as whoever starts it.
    pub user: Option<UserName>,
}

impl CheckSpec {
    /// The program that is started.
    pub fn program(&self) -> PathBuf {
        PathBuf::from(self.script.first().map(String::as_str).unwrap_or_default())
    }
}
