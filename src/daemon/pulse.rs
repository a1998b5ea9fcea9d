use std::time::Duration;

use super::hands::Log;
use crate::io::systemd::{Manager, NotifyState};
use crate::types::Instant;

/// Whatever the watchdog's limit is, it must not keep the thread busy.
const SHORTEST: Duration = Duration::from_millis(1);

/// Tells the service manager's watchdog that the protocol thread turns. The thread does it itself, at the end of a
/// turn: if it hangs nobody does.
#[derive(Debug)]
pub(super) struct Pulse {
    manager: Manager,
    every: Duration,
    next: Instant,
    /// The last one could not be sent.
    failed: bool,
}

impl Pulse {
    /// A third of what the watchdog allows: one may be lost, and one late.
    pub(super) fn new(manager: Manager, limit: Duration) -> Self {
        Pulse { manager, every: (limit / 3).max(SHORTEST), next: Instant::default(), failed: false }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// Beats if it is time.
    pub(super) fn beat(&mut self, now: Instant, log: &mut Log) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        match self.manager.tell(&[NotifyState::Watchdog]) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                log.refused("tell the watchdog that all is well".to_owned(), error.to_string());
            }
            Err(_) => {}
        }
    }
}
