//! The two clocks: ours, which counts from boot, and the one on the wall.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::types::Instant;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// CLOCK_BOOTTIME.
    pub boot: Instant,
    /// CLOCK_REALTIME: nanoseconds since 1970 (UTC); zero if the system's clock is set before that.
    pub unix_nanos: u64,
}

/// Time since boot, suspend included (CLOCK_BOOTTIME).
pub fn now() -> Instant {
    Instant::from_nanos(read(ClockId::CLOCK_BOOTTIME))
}

/// Time since boot without suspend (CLOCK_MONOTONIC): what the kernel counts the lifetimes of addresses by.
pub fn uptime() -> Duration {
    Duration::from_nanos(read(ClockId::CLOCK_MONOTONIC))
}

/// Both clocks, read one right after the other.
pub fn pair() -> ClockPair {
    let unix_nanos = read(ClockId::CLOCK_REALTIME);
    ClockPair { boot: now(), unix_nanos }
}

/// Tells the time that the machine was suspended: CLOCK_BOOTTIME goes on then, CLOCK_MONOTONIC does not.
#[derive(Debug, Clone, Copy)]
pub struct SuspendWatch {
    /// How far the one may have been ahead of the other at the most, in nanoseconds, when this was last asked.
    ahead: u64,
}

impl SuspendWatch {
    /// From now on.
    pub fn start() -> Self {
        let monotonic = read(ClockId::CLOCK_MONOTONIC);
        SuspendWatch { ahead: now().as_nanos().saturating_sub(monotonic) }
    }

    /// For how long the machine was suspended since this was last asked; nothing below 10 ms.
    pub fn suspended(&mut self) -> Option<Duration> {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let boot = now().as_nanos();
        self.judge(before, boot, read(ClockId::CLOCK_MONOTONIC))
    }

    /// The readings are not of one moment: whatever passed between them is not taken for a suspension.
    fn judge(&mut self, monotonic_before: u64, boot: u64, monotonic_after: u64) -> Option<Duration> {
        let ahead = boot.saturating_sub(monotonic_after).saturating_sub(self.ahead);
        self.ahead = self.ahead.max(boot.saturating_sub(monotonic_before));
        let span = Duration::from_nanos(ahead);
        (span >= SHORTEST_SUSPENSION).then_some(span)
    }
}

/// Shorter than any real one; the rest is the time that reading takes.
const SHORTEST_SUSPENSION: Duration = Duration::from_millis(10);

/// Both clocks exist on every Linux we run on, so the kernel has no reason to refuse; time zero is what a
/// broken one would give, and nothing falls due by it.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        secs.saturating_mul(1_000_000_000).saturating_add(nanos)
    })
}

impl ClockPair {
    /// A kernel stamp (CLOCK_REALTIME, nanoseconds) on our clock.
    ///
    /// The wall clock may have been set between the stamp and this reading, so the result is held to what is
    /// known otherwise: not before `earliest`, when the socket was last seen empty, and not after this reading.
    pub fn stamp(&self, stamp_nanos: u64, earliest: Instant) -> Instant {
        let boot = self.boot.as_nanos();
        let age = self.unix_nanos.saturating_sub(stamp_nanos);
        Instant::from_nanos(boot.saturating_sub(age)).max(earliest).min(self.boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: ClockPair = ClockPair { boot: Instant::from_nanos(50_000), unix_nanos: 1_700_000_000_000_090_000 };

    #[test]
    fn a_stamp_is_as_old_on_our_clock_as_on_the_wall() {
        let earliest = Instant::from_nanos(10_000);
        assert_eq!(PAIR.stamp(1_700_000_000_000_085_000, earliest), Instant::from_nanos(45_000));
    }

    #[test]
    fn a_stamp_is_held_between_the_last_drain_and_now() {
        let earliest = Instant::from_nanos(48_000);
        // The wall clock was set forward by an hour after the stamp, or back.
        assert_eq!(PAIR.stamp(1_699_996_400_000_085_000, earliest), earliest);
        assert_eq!(PAIR.stamp(1_700_003_600_000_085_000, earliest), PAIR.boot);
        assert_eq!(PAIR.stamp(0, Instant::default()), Instant::default());
        // `earliest` after the reading (it was taken from a later one): never after now.
        assert_eq!(PAIR.stamp(1_700_000_000_000_085_000, Instant::from_nanos(60_000)), PAIR.boot);
    }

    #[test]
    fn a_suspension_is_what_one_clock_has_more_than_the_other() {
        const MS: u64 = 1_000_000;
        let mut watch = SuspendWatch { ahead: 100 * MS };
        assert_eq!(watch.judge(1_000 * MS, 1_100 * MS, 1_000 * MS), None);
        // Scheduled out between two readings, on either side of the one in the middle.
        assert_eq!(watch.judge(2_000 * MS, 2_100 * MS, 2_900 * MS), None);
        assert_eq!(watch.judge(3_000 * MS, 3_900 * MS, 3_800 * MS), None);
        let mut watch = SuspendWatch { ahead: 100 * MS };
        assert_eq!(watch.judge(4_000 * MS, 64_100 * MS, 4_000 * MS), Some(Duration::from_secs(60)));
        assert_eq!(watch.judge(5_000 * MS, 65_100 * MS, 5_000 * MS), None);
        let mut live = SuspendWatch::start();
        assert_eq!(live.suspended(), None);
    }

    #[test]
    fn our_clock_does_not_go_back() {
        let first = now();
        assert!(now() >= first && first > Instant::default());
    }
}
