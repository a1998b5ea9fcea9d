use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{Instant, InterfaceName};

/// Since when packets have reached each interface without a break, by the kernel's stamps.
///
/// The kernel listens while this process is not scheduled. Where packets of anybody were stamped all the time, a
/// silence of one router is that router's; where the whole machine stood still the stamps have a hole.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    stretches: BTreeMap<InterfaceName, Stretch>,
    /// Interfaces on which more has come than was read.
    behind: BTreeSet<InterfaceName>,
}

#[derive(Debug)]
struct Stretch {
    /// A longer time between two packets is a break.
    step: Duration,
    since: Instant,
    last: Instant,
}

impl Ears {
    /// The interfaces that are listened to, each with the shortest advert interval on it.
    pub(crate) fn configure(&mut self, steps: BTreeMap<InterfaceName, Duration>) {
        self.stretches.retain(|interface, stretch| steps.get(interface) == Some(&stretch.step));
        for (interface, step) in steps {
            let nothing = Stretch { step, since: Instant::default(), last: Instant::default() };
            self.stretches.entry(interface).or_insert(nothing);
        }
    }

    /// A packet of anybody, stamped then.
    pub(crate) fn hear(&mut self, interface: InterfaceName, received: Instant) {
        if let Some(stretch) = self.stretches.get_mut(&interface) {
            if received > stretch.last + stretch.step {
                stretch.since = received;
            }
            stretch.last = stretch.last.max(received);
        }
    }

    /// More has come than was read by now.
    pub(crate) fn fall_behind(&mut self, interface: InterfaceName) {
        self.behind.insert(interface);
    }

    /// It is not known any more whether anything is left to read.
    pub(crate) fn catch_up(&mut self) {
        self.behind.clear();
    }

    /// Until when all was read that came, where more is left.
    pub(crate) fn read_up_to(&self, interface: InterfaceName) -> Option<Instant> {
        let stretch = self.stretches.get(&interface)?;
        self.behind.contains(&interface).then_some(stretch.last)
    }

    /// Since when no more than `step` has passed between two packets, until now.
    pub(crate) fn since(&self, interface: InterfaceName, now: Instant, step: Duration) -> Option<Instant> {
        let stretch = self.stretches.get(&interface)?;
        (stretch.step <= step && now <= stretch.last + stretch.step).then_some(stretch.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_stretch_lasts_from_its_first_packet_until_one_is_missing() {
        let eth0 = "eth0".parse().expect("a name");
        let mut ears = Ears::default();
        ears.configure(BTreeMap::from([(eth0, SECOND)]));
        assert_eq!(ears.since(eth0, at(50_000), SECOND), None);
        for millis in [50_000, 51_000, 51_500, 52_400] {
            ears.hear(eth0, at(millis));
        }
        assert_eq!(ears.since(eth0, at(53_400), SECOND), Some(at(50_000)));
        assert_eq!(ears.since(eth0, at(53_401), SECOND), None);
        ears.hear(eth0, at(53_401));
        assert_eq!(ears.since(eth0, at(53_402), SECOND), Some(at(53_401)));
        // Steps that long may hide the adverts of a faster router.
        assert_eq!(ears.since(eth0, at(53_402), SECOND / 2), None);
        assert_eq!(ears.since("eth1".parse().expect("a name"), at(53_402), SECOND), None);
    }
}
