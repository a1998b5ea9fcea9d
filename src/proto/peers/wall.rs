use std::time::Duration;

use crate::report::WallClock;
use crate::types::{Instant, WallOffsets};

/// A difference to the reading before that only setting the clock explains; less is its everyday steering.
const STEP: i64 = 1_000_000_000;
/// How long others' adverts are also held against the clock as it was before it was set: by then somebody has seen to it.
const HEARD_BY: Duration = Duration::from_secs(86_400);
/// How long ours also go out by it; longer, so that no receiver gives up before its senders.
const SENT_BY: Duration = Duration::from_secs(2 * 86_400);

/// Clocks before the present one that are remembered: the one before all setting, and the latest.
const MAX_FORMER: usize = 3;

/// The wall clock, which somebody may set at any time, to a right time or to a wrong one.
///
/// Nobody can tell which. So for a while it is read in both ways: as it runs, and as it ran before it was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wall {
    offsets: WallOffsets,
}

impl Wall {
    /// Takes over what an agent of this boot before us knew of it; by how many nanoseconds it was set since then, if it
    /// was.
    pub(crate) fn succeed(&mut self, before: WallOffsets, now: Instant) -> Option<i64> {
        let current = std::mem::replace(&mut self.offsets, before).current?;
        self.read(now, moved(now, current))
    }

    pub(crate) fn offsets(&self) -> WallOffsets {
        self.offsets.clone()
    }

    /// Takes in a reading; by how many nanoseconds the clock was set since the one before, if it was.
    pub(crate) fn read(&mut self, now: Instant, unix_nanos: u64) -> Option<i64> {
        let new = unix_nanos.cast_signed().wrapping_sub(now.as_nanos().cast_signed());
        let WallOffsets { current, former, read_at } = &mut self.offsets;
        *read_at = now;
        former.retain(|(_, set_at)| now < *set_at + SENT_BY);
        let old = current.replace(new)?;
        let step = new.wrapping_sub(old);
        let same = |offset: i64| new.wrapping_sub(offset).abs() < STEP;
        if same(old) {
            return None;
        }
        if former.first().is_some_and(|(offset, _)| same(*offset)) {
            // Set back to what it was before all that: the time between was the mistake.
            former.clear();
        } else {
            former.retain(|(offset, _)| !same(*offset));
            if former.len() >= MAX_FORMER {
                former.remove(1);
            }
            former.push((old, now));
        }
        Some(step)
    }

    /// Nanoseconds since 1970 at a moment; since boot if the clock was never told.
    pub(crate) fn current(&self, at: Instant) -> u64 {
        moved(at, self.offsets.current.unwrap_or_default())
    }

    /// A moment of our clock with the date that it has by this one, whatever the clock is set to later.
    pub(crate) fn reading(&self, at: Instant) -> WallClock {
        WallClock { at, unix_nanos: self.current(at) }
    }

    /// The same by the clock as it ran before it was set.
    pub(crate) fn former(&self, at: Instant) -> impl Iterator<Item = u64> + '_ {
        self.offsets.former.iter().map(move |(offset, _)| moved(at, *offset))
    }

    /// Every way to read it that a peer's number may fit.
    pub(crate) fn readings(&self, at: Instant) -> impl Iterator<Item = u64> + '_ {
        let of_late = self.offsets.former.iter().filter(move |(_, set_at)| at < *set_at + HEARD_BY);
        std::iter::once(self.current(at)).chain(of_late.map(move |(offset, _)| moved(at, *offset)))
    }
}

fn moved(at: Instant, offset: i64) -> u64 {
    at.as_nanos().saturating_add_signed(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn nanos(seconds: u64) -> u64 {
        seconds * 1_000_000_000
    }

    #[test]
    fn a_clock_that_is_set_is_read_in_both_ways_for_a_day_and_sent_by_for_two() {
        let mut wall = Wall::default();
        assert_eq!(wall.read(at(10), nanos(1_800_000_010)), None);
        assert_eq!(wall.read(at(20), nanos(1_800_000_020) + 300_000_000), None);
        assert_eq!(wall.former(at(20)).count(), 0);
        assert_eq!(wall.read(at(30), nanos(1_800_000_030 - HOUR) + 300_000_000), Some(-3_600_000_000_000));
        assert_eq!(wall.current(at(40)), nanos(1_800_000_040 - HOUR) + 300_000_000);
        assert!(wall.former(at(40)).eq([nanos(1_800_000_040) + 300_000_000]));
        wall.read(at(30 + 86_399), nanos(1_800_000_030 + 86_399 - HOUR));
        assert_eq!(wall.readings(at(30 + 86_399)).count(), 2);
        assert_eq!(wall.readings(at(30 + 86_400)).count(), 1);
        assert_eq!(wall.former(at(30 + 86_400)).count(), 1);
        wall.read(at(30 + 172_800), nanos(1_800_000_030 + 172_800 - HOUR));
        assert_eq!(wall.former(at(30 + 172_800)).count(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_to_what_it_was_leaves_nothing_behind() {
        let mut wall = Wall::default();
        wall.read(at(10), nanos(1_800_000_010));
        wall.read(at(20), nanos(1_800_000_020 + HOUR));
        assert!(wall.former(at(20)).eq([nanos(1_800_000_020)]));
        wall.read(at(30), nanos(1_800_000_030));
        assert_eq!((wall.current(at(30)), wall.former(at(30)).count()), (nanos(1_800_000_030), 0));
    }

    #[test]
    fn of_many_settings_the_first_clock_and_the_latest_are_kept() {
        let mut wall = Wall::default();
        for (second, offset) in [(1, 0), (2, 100), (3, 200), (4, 300), (5, 400), (6, 300)] {
            wall.read(at(second), nanos(1_800_000_000 + second + offset));
        }
        let former: Vec<u64> = [0, 200, 400].map(|offset| nanos(1_800_000_006 + offset)).to_vec();
        assert_eq!(wall.former(at(6)).collect::<Vec<_>>(), former);
        wall.read(at(7), nanos(1_800_000_007));
        assert_eq!(wall.former(at(7)).count(), 0);
    }
}
