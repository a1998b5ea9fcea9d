//! The one timer of the protocol thread: a timerfd, because tokio's own timer is a millisecond late.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use crate::types::Instant;

/// A timer on our clock (CLOCK_BOOTTIME, absolute), awaited in the tokio runtime of its thread.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
    readiness: AsyncFd<std::os::fd::OwnedFd>,
    deadline: Option<Instant>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let readiness = super::readiness(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Timer { timer, readiness, deadline: None })
    }

    /// Sets it to go off at `deadline`, at once if that has passed; `None` stops it.
    ///
    /// # Errors
    /// The kernel's, for a deadline beyond what it can count to.
    pub fn set(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if deadline == self.deadline {
            return Ok(());
        }
        match deadline {
            // Zero would stop the timer instead.
            Some(at) => {
                let nanos = i64::try_from(at.as_nanos().max(1)).unwrap_or(i64::MAX);
                let at = Expiration::OneShot(TimeSpec::nanoseconds(nanos));
                self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        self.deadline = deadline;
        Ok(())
    }

    /// Ends when the timer has gone off, once each time it was set. A wake-up too many is possible: ask the clock.
    ///
    /// # Errors
    /// The runtime is being shut down, or the kernel's.
    pub async fn expired(&mut self) -> io::Result<()> {
        let mut guard = self.readiness.readable().await?;
        // Readiness outlives a successful read; whatever goes off after the read raises it again.
        let read = self.timer.wait();
        guard.clear_ready();
        match read {
            Ok(()) => {
                self.deadline = None;
                Ok(())
            }
            Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
