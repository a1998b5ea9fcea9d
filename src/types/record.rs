use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    CheckName, Family, Freshness, Instant, InterfaceName, Interval, IpNet, Priority, RouterName, Version, Vrid,
};

/// What is remembered of one virtual router beyond the end of its process. Interface, family and VRID say which one it
/// is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterRecord {
    /// The interface of its adverts.
    pub interface: InterfaceName,
    /// The family that carries them.
    pub family: Family,
    /// Their version.
    pub version: Version,
    /// Its VRID there.
    pub vrid: Vrid,
    /// What it is called.
    pub name: RouterName,
    /// While it is Active: when its last advert left. `None` in every other state, and once it has resigned.
    pub sent_at: Option<Instant>,
    /// The interval that this advert promised.
    pub interval: Interval,
    /// The priority it takes part with.
    pub priority: Priority,
    /// The verdicts of its checks, where there are any.
    pub verdicts: BTreeMap<CheckName, bool>,
    /// Numbers of authenticated adverts that must not go back; empty without keys.
    pub freshness: Freshness,
}

impl RouterRecord {
    /// When its last advert left, if its peers are sure to be still waiting for the next one: they wait for more than
    /// three intervals, of which a quarter of one is kept for the way to it.
    pub fn still_awaited(&self, now: Instant) -> Option<Instant> {
        let interval = self.interval.duration();
        let patience: Duration = interval * 3 - interval / 4;
        // A stamp of the future is none of this clock.
        self.sent_at.filter(|sent_at| *sent_at <= now && now.since(*sent_at) < patience)
    }
}

/// An address on this host that an earlier process of ours added and has not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAddress {
    /// The virtual router it was added for, as it was called then.
    pub router: RouterName,
    /// Where it is.
    pub interface: InterfaceName,
    /// Kernel index of the interface.
    pub index: u32,
    /// The address, with the prefix length it is there with.
    pub net: IpNet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_wait_for_three_intervals_less_a_margin() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut record = RouterRecord {
            interface: "eth0".parse().expect("a name"),
            family: Family::Ipv4,
            version: Version::V3,
            vrid: Vrid::new(51).expect("a VRID"),
            name: "web".parse().expect("a name"),
            sent_at: Some(at(10_000)),
            interval: Interval::DEFAULT,
            priority: Priority::DEFAULT,
            verdicts: BTreeMap::new(),
            freshness: Freshness::default(),
        };
        assert_eq!(record.still_awaited(at(10_000)), Some(at(10_000)));
        assert_eq!(record.still_awaited(at(12_749)), Some(at(10_000)));
        assert_eq!(record.still_awaited(at(12_750)), None);
        assert_eq!(record.still_awaited(at(9_999)), None);
        record.sent_at = None;
        assert_eq!(record.still_awaited(at(10_000)), None);
    }
}
