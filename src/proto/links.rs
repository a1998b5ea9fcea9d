use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{Instant, InterfaceFacts, InterfaceName};

/// How long a link that came up is waited for to pass frames: switches take up to this to let a port speak.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Whoever starts so soon after the host itself takes it that the link has just come up with it.
const BOOT: Duration = Duration::from_secs(120);

/// When the links of interfaces came and went, and whether frames pass since.
#[derive(Debug, Default)]
pub(crate) struct Links {
    known: BTreeMap<InterfaceName, Link>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// The interface is missing or down, or has had no carrier since it came.
    None,
    /// It has lost its carrier while up.
    Lost(Instant),
    /// It has a carrier; frames are awaited until then, if they are.
    Up(Option<Instant>),
}

impl Links {
    /// The newest facts of an interface. True if its carrier came back, with the interface up all the while.
    pub(crate) fn learn(&mut self, now: Instant, name: InterfaceName, facts: Option<&InterfaceFacts>) -> bool {
        let (up, running) = facts.map_or((false, false), |facts| (facts.up, facts.running));
        let before = self.known.get(&name).copied();
        let wait = Some(now + LONGEST_WAIT);
        let link = match (before, up, running) {
            (_, false, _) => Link::None,
            (Some(Link::Up(_)), true, false) => Link::Lost(now),
            (Some(Link::Lost(at)), true, false) => Link::Lost(at),
            (Some(Link::None) | None, true, false) => Link::None,
            (Some(Link::Up(awaited)), true, true) => Link::Up(awaited),
            (Some(Link::Lost(_) | Link::None), true, true) => Link::Up(wait),
            // Never heard of before: how long it has been up nobody knows, unless the host itself is young.
            (None, true, true) => Link::Up(wait.filter(|_| now < Instant::default() + BOOT)),
        };
        self.known.insert(name, link);
        matches!((before, link), (Some(Link::Lost(_)), Link::Up(_)))
    }

    /// Since when a carrier is lost that was there.
    pub(crate) fn lost_at(&self, name: InterfaceName) -> Option<Instant> {
        match self.known.get(&name)? {
            Link::Lost(at) => Some(*at),
            Link::None | Link::Up(_) => None,
        }
    }

    /// Until when frames are awaited, if they are.
    pub(crate) fn awaited_until(&self, name: InterfaceName) -> Option<Instant> {
        match self.known.get(&name)? {
            Link::Up(awaited) => *awaited,
            Link::None | Link::Lost(_) => None,
        }
    }

    /// Frames pass. True if they were awaited, and still are.
    pub(crate) fn pass(&mut self, now: Instant, name: InterfaceName) -> bool {
        let awaited = self.awaited_until(name).is_some_and(|until| until > now);
        if awaited {
            self.known.insert(name, Link::Up(None));
        }
        awaited
    }

    /// When it must be ticked at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.known.keys().filter_map(|name| self.awaited_until(*name)).min()
    }

    /// Gives up waiting where it has been long enough. True if there was such an interface.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let mut any = false;
        for link in self.known.values_mut() {
            match link {
                Link::Up(awaited) if awaited.is_some_and(|until| until <= now) => {
                    *awaited = None;
                    any = true;
                }
                Link::Up(_) | Link::None | Link::Lost(_) => {}
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn facts(up: bool, running: bool) -> InterfaceFacts {
        let addresses = Vec::new();
        InterfaceFacts {
            index: 2,
            up,
            running,
            mac: None,
            addresses,
            marked: Vec::new(),
            promote_secondaries: false,
            forwards_ipv6: false,
            mtu: 1500,
        }
    }

    #[test]
    fn an_old_link_is_not_waited_for_and_that_of_a_young_host_is() {
        let name = "eth0".parse().unwrap();
        let awaited = |seconds| {
            let mut links = Links::default();
            links.learn(at(seconds), name, Some(&facts(true, true)));
            links.awaited_until(name)
        };
        assert_eq!(awaited(119), Some(at(129)));
        assert_eq!(awaited(120), None);
    }

    #[test]
    fn a_link_that_comes_is_waited_for_once() {
        let name = "eth0".parse().unwrap();
        let mut links = Links::default();
        assert!(!links.learn(at(1_000), name, None));
        assert!(!links.learn(at(1_001), name, Some(&facts(true, false))));
        assert_eq!(links.lost_at(name), None);
        assert!(!links.learn(at(1_002), name, Some(&facts(true, true))));
        assert_eq!(links.deadline(), Some(at(1_012)));
        assert!(!links.learn(at(1_003), name, Some(&facts(true, true))));
        assert_eq!(links.awaited_until(name), Some(at(1_012)));
        assert!(!links.tick(at(1_011)));
        assert!(links.tick(at(1_012)));
        assert_eq!((links.deadline(), links.pass(at(1_012), name)), (None, false));
        links.learn(at(1_020), name, Some(&facts(true, false)));
        links.learn(at(1_021), name, Some(&facts(true, false)));
        assert_eq!(links.lost_at(name), Some(at(1_020)));
        assert!(links.learn(at(1_022), name, Some(&facts(true, true))));
        assert!(links.pass(at(1_031), name));
        assert_eq!(links.deadline(), None);
    }
}
