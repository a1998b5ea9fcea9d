//! Real-time scheduling of one thread, and memory that is not paged out.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::{capabilities, sys};

/// The priority under SCHED_FIFO: above every ordinary program, below the kernel's interrupt threads (50) and whatever an
/// administrator has set up as real-time with care.
pub const PRIORITY: i32 = 10;
/// Processor time without a pause after which the kernel complains (SIGXCPU): a thread that needs so much is not
/// waiting for its turn any more, and would starve all others.
const LONGEST_RUN: Duration = Duration::from_secs(1);
/// MCL_ONFAULT (Linux 4.4), which nix does not name: pages are locked as they are first used.
const ON_FAULT: MlockAllFlags = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);

/// What was refused, and what would help.
#[derive(Debug)]
pub struct Refused {
    what: &'static str,
    error: io::Error,
    remedy: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.error, self.remedy)
    }
}

/// A thread of this process, by its kernel id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread(nix::unistd::Pid);

impl Thread {
    /// The caller.
    pub fn current() -> Self {
        Thread(nix::unistd::gettid())
    }

    /// Puts it under SCHED_FIFO with [`PRIORITY`]; what it starts is scheduled as usual. From then on SIGXCPU tells that a
    /// real-time thread of this process has run for a second without a pause.
    ///
    /// # Errors
    /// Not permitted, by right or by the control group.
    pub fn enter_realtime(self) -> Result<(), Refused> {
        let refused = |what, error| {
            let remedy = format!("it needs CAP_SYS_NICE, or LimitRTPRIO={PRIORITY} in the unit");
            Refused { what, error, remedy }
        };
        limit_run(Some(LONGEST_RUN)).map_err(|error| refused("RLIMIT_RTTIME", error))?;
        sys::set_scheduler(self.0, libc::SCHED_FIFO, PRIORITY).map_err(|error| refused("SCHED_FIFO", error))
    }

    /// Has it scheduled as usual (SCHED_OTHER).
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn leave_realtime(self) -> io::Result<()> {
        sys::set_scheduler(self.0, libc::SCHED_OTHER, 0)?;
        limit_run(None)
    }
}

/// Takes back the limit that came with real time, which a child inherits with all other limits.
///
/// # Errors
/// The kernel's; none is expected.
pub(super) fn lift_limit() -> io::Result<()> {
    limit_run(None)
}

/// The hard limit stays as it is: beyond it the kernel kills, and lowered it could not be raised again for children.
fn limit_run(longest: Option<Duration>) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let soft = longest.map_or(hard, |longest| u64::try_from(longest.as_micros()).unwrap_or(hard).min(hard));
    Ok(setrlimit(Resource::RLIMIT_RTTIME, soft, hard)?)
}

/// Keeps this process in memory, page by page as they are used. Whoever shares its memory is not meant: children and what
/// takes this process's place begin without.
///
/// # Errors
/// A limit: under one, any allocation could fail later on, so that none is locked.
pub fn lock_memory() -> Result<(), Refused> {
    let what = "locked memory";
    let remedy = || "it needs CAP_IPC_LOCK, or LimitMEMLOCK=infinity in the unit".to_owned();
    let (soft, _) =
        getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|error| Refused { what, error: error.into(), remedy: remedy() })?;
    if soft != RLIM_INFINITY && !capabilities::may_lock_memory() {
        let error = io::Error::other(format!("RLIMIT_MEMLOCK is {soft} bytes"));
        return Err(Refused { what, error, remedy: remedy() });
    }
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | ON_FAULT;
    mlockall(flags).map_err(|error| Refused { what, error: error.into(), remedy: remedy() })
}

/// Lets the kernel page this process out again.
///
/// # Errors
/// The kernel's; none is expected.
pub fn unlock_memory() -> io::Result<()> {
    Ok(munlockall()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_the_kernels() {
        // linux/mman.h: MCL_ONFAULT 4.
        assert_eq!(ON_FAULT.bits(), 4);
    }

    #[test]
    fn a_refusal_says_what_would_help() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        let refused = Refused { what: "SCHED_FIFO", error, remedy: "it needs CAP_SYS_NICE".to_owned() };
        assert_eq!(refused.to_string(), "SCHED_FIFO: Operation not permitted (os error 1); it needs CAP_SYS_NICE");
    }
}
