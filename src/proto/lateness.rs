use std::time::Duration;

use crate::report::status;
use crate::types::Instant;

/// How late this host woke for what it had to do: its own stalls, as far as its clock can show them.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    /// When it was last known to be awake: a time that was set in the past is none it slept through.
    awake_at: Instant,
    last: Duration,
    max: Duration,
    suspended: Duration,
}

impl Lateness {
    /// It is awake now and had to be at `deadline`.
    pub(crate) fn wake(&mut self, now: Instant, deadline: Option<Instant>) {
        if let Some(due) = deadline.filter(|due| *due <= now && self.awake_at < now) {
            self.last = now.since(due.max(self.awake_at));
            self.max = self.max.max(self.last);
        }
        self.awake_at = self.awake_at.max(now);
    }

    /// The machine was suspended for that long; it is part of the lateness too.
    pub(crate) fn suspended(&mut self, span: Duration) {
        self.suspended += span;
    }

    pub(crate) fn status(&self) -> status::Lateness {
        let millis = |span: Duration| span.as_micros() as f64 / 1e3;
        status::Lateness { last_ms: millis(self.last), max_ms: millis(self.max), suspended_ms: millis(self.suspended) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn lateness_counts_from_what_was_due_and_once_a_wake_up() {
        let mut lateness = Lateness::default();
        lateness.wake(at(1_000), None);
        lateness.wake(at(5_000), Some(at(2_000)));
        // More inputs of the same wake-up, before the deadline has moved.
        lateness.wake(at(5_000), Some(at(2_000)));
        lateness.wake(at(5_500), Some(at(6_000)));
        assert_eq!((lateness.last, lateness.max), (Duration::from_secs(3), Duration::from_secs(3)));
        lateness.wake(at(6_001), Some(at(6_000)));
        // Set into the past, as by what was heard meanwhile.
        lateness.wake(at(6_002), Some(at(100)));
        assert_eq!((lateness.last, lateness.max), (Duration::from_millis(1), Duration::from_secs(3)));
    }
}
