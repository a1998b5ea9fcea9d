use std::time::Duration;

use crate::types::Instant;

/// Lines at once and, with one more each [`REFILL`], at most ten in any minute.
const BURST: u32 = 5;
const REFILL: Duration = Duration::from_secs(12);

/// Room for lines in the log, so that whatever is told of others fills it no faster than a person reads.
#[derive(Debug)]
pub(crate) struct Lines {
    left: u32,
    refilled_at: Instant,
}

impl Lines {
    pub(crate) fn new(now: Instant) -> Self {
        Lines { left: BURST, refilled_at: now }
    }

    /// Whether there is room for one; if so it is taken.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && self.refilled_at + REFILL <= now {
            self.left += 1;
            self.refilled_at = self.refilled_at + REFILL;
        }
        if self.left == BURST {
            self.refilled_at = now;
        }
        let room = self.left > 0;
        self.left = self.left.saturating_sub(1);
        room
    }

    /// When one that is due then can be written at the soonest.
    pub(crate) fn next(&self, due: Instant) -> Instant {
        if self.left == 0 { due.max(self.refilled_at + REFILL) } else { due }
    }
}
