//! Interruptions of this process: signals that are waited for beside descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT, SIGTERM and SIGHUP, kept from ending this process and waited for instead. Those that this process was
/// started to ignore (a background job, `nohup`) are left ignored.
#[derive(Debug)]
pub struct Interruptions {
    signals: SignalFd,
}

impl Interruptions {
    /// Takes them from here on. For a process with one thread; those it starts later leave them alone too.
    ///
    /// Children inherit this: call [`unblock_interruptions`] in them.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn take() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let mut mask = interruptions();
        INTERRUPTIONS.into_iter().filter(|signal| ignores(&status, *signal)).for_each(|signal| mask.remove(signal));
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Interruptions { signals })
    }

    /// Waits for an interruption, and returns the signal's number, or until `other` can be read or is closed at its
    /// far end (`None`).
    ///
    /// # Errors
    /// None is expected.
    pub fn wait(&self, other: &impl AsFd) -> io::Result<Option<u8>> {
        loop {
            let [signalled, ended] = wait_readable([self.signals.as_fd(), other.as_fd()])?;
            if signalled && let Some(signal) = self.signals.read_signal()? {
                return Ok(u8::try_from(signal.ssi_signo).ok());
            }
            if ended {
                return Ok(None);
            }
        }
    }
}

/// Lets this process, and the children it starts, be interrupted as usual, whatever its parent did.
///
/// # Errors
/// None is expected.
pub fn unblock_interruptions() -> io::Result<()> {
    Ok(interruptions().thread_unblock()?)
}

const INTERRUPTIONS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

fn interruptions() -> SigSet {
    INTERRUPTIONS.into_iter().collect()
}

/// Whether a process with this `/proc/PID/status` ignores a signal: bit 0 of the hexadecimal mask is signal 1.
fn ignores(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

/// Waits until one of `fds` can be read or is closed at its far end, and tells which.
///
/// # Errors
/// None is expected.
pub fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(fds.map(|fd| fd.any().unwrap_or(true))),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_known_by_their_bit() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\nSigCgt:\tffffffffffffffff\n";
        let ignored =
            [Signal::SIGHUP, Signal::SIGINT, Signal::SIGPIPE, Signal::SIGTERM].map(|signal| ignores(status, signal));
        assert_eq!(ignored, [false, true, true, false]);
        assert!(!ignores("", Signal::SIGINT));
    }
}
