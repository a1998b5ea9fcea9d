use std::time::Duration;

use crate::types::Instant;

/// Whether this host was awake during a silence, judged by wake-ups that it plans for nothing else.
///
/// While the Active router speaks each of its adverts puts them off. A host that was not awake for one may have missed
/// what it takes for silence (the whole machine stood still), or has it still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vigil {
    wake_at: Instant,
    /// When it was last known to be awake.
    awake_at: Instant,
    /// The longest lateness of this silence, if it matters.
    stall: Option<Duration>,
    /// Until when the silence is borne after a stall; set once.
    until: Option<Instant>,
}

impl Vigil {
    /// A silence begins; the next advert is due within an interval.
    pub(super) fn new(heard_at: Instant, interval: Duration) -> Self {
        Vigil { wake_at: heard_at + interval + tolerance(interval), awake_at: heard_at, stall: None, until: None }
    }

    /// When it must be ticked.
    pub(super) fn wake_at(&self) -> Instant {
        self.wake_at
    }

    /// Until when the silence is borne, if a stall has put that off.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The host is awake: a time that is moved into the past now is none that it slept through.
    pub(super) fn awake(&mut self, now: Instant) {
        self.awake_at = self.awake_at.max(now);
    }

    /// Time has passed; how late this is at the most in this silence. `claim_at` is when it would have had to wake too.
    pub(super) fn tick(&mut self, now: Instant, claim_at: Instant, interval: Duration) -> Duration {
        let late = now.since(self.wake_at.min(claim_at).max(self.awake_at));
        self.awake(now);
        if late > tolerance(interval) {
            self.stall = self.stall.max(Some(late));
        }
        if self.wake_at <= now {
            self.wake_at = now + interval;
        }
        self.stall.unwrap_or_default()
    }

    /// Puts the end of the silence off if there was a stall, once; whether it did.
    pub(super) fn extend(&mut self, until: Instant) -> bool {
        let extend = self.stall.is_some() && self.until.is_none();
        if extend {
            self.until = Some(until);
        }
        extend
    }
}

/// Lateness that cannot hide an advert: less would take a busy host for one that slept.
fn tolerance(interval: Duration) -> Duration {
    interval / 4
}
