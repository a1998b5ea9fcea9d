use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::lines::Lines;
use crate::report::Event;
use crate::types::{Discard, Instant, InterfaceName, RouterName};

/// The same reason is told at most this often.
const REPEAT: Duration = Duration::from_secs(60);

/// Counts of what was thrown away, and the lines about it that the log is spared.
#[derive(Debug)]
pub(crate) struct Discards {
    counts: BTreeMap<Discard, Count>,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Count {
    total: u64,
    told_at: Option<Instant>,
    /// Since the last line.
    untold: u64,
    source: Option<IpAddr>,
}

impl Discards {
    pub(crate) fn new(now: Instant) -> Self {
        Discards { counts: BTreeMap::new(), lines: Lines::new(now) }
    }

    /// Every reason that ever occurred, with how often.
    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        self.counts.iter().map(|(reason, count)| (reason.token().to_owned(), count.total)).collect()
    }

    /// Counts one that is told of otherwise.
    pub(crate) fn count_in_silence(&mut self, reason: Discard) {
        self.counts.entry(reason).or_default().total += 1;
    }

    /// Counts one, and says so if it is time to.
    pub(crate) fn count(
        &mut self,
        now: Instant,
        (router, interface): (Option<&RouterName>, InterfaceName),
        reason: Discard,
        source: Option<IpAddr>,
    ) -> Option<Event> {
        let count = self.counts.entry(reason).or_default();
        count.total += 1;
        // Other virtual routers on the LAN are everyday neighbours.
        if reason == Discard::ForeignVrid {
            return None;
        }
        count.untold += 1;
        count.source = source;
        self.tell(now, (router, interface), reason)
    }

    /// Counts so many that nobody has looked at, and says so if it is time to.
    pub(crate) fn count_unseen(
        &mut self,
        now: Instant,
        interface: InterfaceName,
        reason: Discard,
        packets: u64,
    ) -> Option<Event> {
        let more = packets.checked_sub(1)?;
        let count = self.counts.entry(reason).or_default();
        count.total += more;
        count.untold += more;
        self.count(now, (None, interface), reason, None)
    }

    /// When a line that was held back may follow.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let held_back = self.counts.values().filter(|count| count.untold > 0);
        let due = held_back.filter_map(|count| count.told_at.map(|told_at| told_at + REPEAT)).min()?;
        Some(self.lines.next(due))
    }

    /// Tells what was held back and is due.
    pub(crate) fn tick(&mut self, now: Instant, about: (Option<&RouterName>, InterfaceName)) -> Vec<Event> {
        let held_back = self.counts.iter().filter(|(_, count)| count.untold > 0);
        let reasons: Vec<Discard> = held_back.map(|(reason, _)| *reason).collect();
        reasons.into_iter().filter_map(|reason| self.tell(now, about, reason)).collect()
    }

    fn tell(&mut self, now: Instant, about: (Option<&RouterName>, InterfaceName), reason: Discard) -> Option<Event> {
        let count = self.counts.get_mut(&reason)?;
        let too_soon = count.told_at.is_some_and(|told_at| now < told_at + REPEAT);
        if too_soon || !self.lines.take(now) {
            // So that a reason never told yet has a deadline too.
            count.told_at.get_or_insert(now);
            return None;
        }
        let suppressed = count.untold.saturating_sub(1);
        count.untold = 0;
        count.told_at = Some(now);
        let (router, interface) = about;
        Some(Event::Discarded { router: router.cloned(), interface, reason, source: count.source, suppressed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn about() -> (Option<&'static RouterName>, InterfaceName) {
        (None, "eth0".parse().unwrap())
    }

    #[test]
    fn a_flood_of_every_reason_makes_ten_lines_in_any_minute_and_loses_no_count() {
        let mut discards = Discards::new(at(0));
        let mut told: Vec<(u64, u64)> = Vec::new();
        let mut count_told = |second: u64, event: Event| {
            let Event::Discarded { suppressed, .. } = event else { panic!("{event:?}") };
            told.push((second, suppressed + 1));
        };
        let mut sent = 0;
        for second in 0..180 {
            for reason in Discard::ALL.into_iter().filter(|reason| *reason != Discard::ForeignVrid) {
                for _ in 0..100 {
                    sent += 1;
                    discards.count(at(second), about(), reason, None).into_iter().for_each(|e| count_told(second, e));
                }
            }
        }
        for second in 180..500 {
            while discards.deadline().is_some_and(|due| due <= at(second)) {
                let events = discards.tick(at(second), about());
                assert!(!events.is_empty(), "a deadline with nothing to tell");
                events.into_iter().for_each(|e| count_told(second, e));
            }
        }
        for start in 0..440 {
            let lines = told.iter().filter(|(second, _)| (start..start + 60).contains(second)).count();
            assert!(lines <= 10, "{lines} lines in the minute from second {start}");
        }
        assert_eq!(told.iter().map(|(_, packets)| packets).sum::<u64>(), sent);
        assert_eq!(discards.deadline(), None);
    }

    #[test]
    fn what_nobody_has_looked_at_is_counted_and_told_in_one_line() {
        let mut discards = Discards::new(at(0));
        let (_, eth0) = about();
        assert_eq!(discards.count_unseen(at(0), eth0, Discard::Overrun, 0), None);
        let event = discards.count_unseen(at(0), eth0, Discard::Overrun, 1_000);
        assert!(matches!(event, Some(Event::Discarded { suppressed: 999, source: None, .. })), "{event:?}");
        assert_eq!(discards.count_unseen(at(1), eth0, Discard::Overrun, 50), None);
        assert_eq!(discards.totals().get("overrun"), Some(&1_050));
    }

    #[test]
    fn neighbours_on_other_vrids_are_counted_in_silence() {
        let mut discards = Discards::new(at(0));
        assert_eq!(discards.count(at(0), about(), Discard::ForeignVrid, None), None);
        assert_eq!(discards.totals().get("foreign-vrid"), Some(&1));
        assert_eq!(discards.deadline(), None);
    }
}
