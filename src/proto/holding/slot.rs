use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::types::{Instant, InterfaceName, IpNet, Lifetime, VirtualAddress};

/// Somebody who removes an address as often as this within [`FIGHT_SPAN`] is not given in to, but left alone.
const FIGHT: usize = 5;
const FIGHT_SPAN: Duration = Duration::from_secs(10);

/// One configured address and what is here of it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) address: VirtualAddress,
    pub(super) presence: Presence,
    pub(super) term: Term,
    /// The renewal that is under way, and for how long it is.
    pub(super) asked: Option<(Asked, Option<Lifetime>)>,
    /// When it was put back after somebody else had removed it, lately.
    restored: VecDeque<Instant>,
}

/// What a renewal is known by when its outcome comes back: those of one router that are decided at once differ in the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) interface: InterfaceName,
    pub(crate) other_kind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Absent,
    /// Asked for with this prefix length; whether somebody removed such an address meanwhile.
    Adding(u8, bool),
    /// Here and ours, with this prefix length.
    Ours(u8),
    /// Ours, removed by somebody else, and asked for again.
    Again(u8),
    /// Here before us.
    Foreign,
}

/// How long the kernel keeps an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    Endless,
    /// At least until then; not renewed, it is gone about a second later at the latest.
    Until(Instant),
    /// Another virtual router had it.
    Unknown,
}

/// What one virtual router of this host leaves to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Legacy {
    /// The prefix length it is there with.
    pub(crate) prefix: u8,
    pub(super) term: Term,
}

impl Legacy {
    /// Of one that was about to be removed.
    pub(crate) fn of_removed(prefix: u8) -> Self {
        Legacy { prefix, term: Term::Unknown }
    }
}

impl Slot {
    pub(super) fn new(address: VirtualAddress) -> Self {
        Slot { address, presence: Presence::Absent, term: Term::Endless, asked: None, restored: VecDeque::new() }
    }

    pub(super) fn is(&self, interface: InterfaceName, address: IpAddr) -> bool {
        self.address.interface == interface && self.address.net.addr() == address
    }

    pub(super) fn is_here(&self) -> bool {
        match self.presence {
            Presence::Absent => false,
            Presence::Adding(..) | Presence::Ours(_) | Presence::Again(_) | Presence::Foreign => true,
        }
    }

    /// Being added, it announces itself.
    pub(super) fn is_announceable(&self) -> bool {
        match self.presence {
            Presence::Absent | Presence::Adding(..) | Presence::Again(_) => false,
            Presence::Ours(_) | Presence::Foreign => true,
        }
    }

    /// Whether others are asked for it: what is foreign is not ours to fear for.
    pub(super) fn is_probed(&self) -> bool {
        self.held().is_some()
    }

    /// The address as it is or will be here by our doing.
    pub(super) fn ours(&self) -> Option<IpNet> {
        match self.presence {
            Presence::Adding(prefix, _) | Presence::Ours(prefix) | Presence::Again(prefix) => {
                Some(with_prefix(self.address.net, prefix))
            }
            Presence::Absent | Presence::Foreign => None,
        }
    }

    /// The address if it is here and ours beyond doubt.
    pub(super) fn held(&self) -> Option<IpNet> {
        match self.presence {
            Presence::Ours(prefix) => Some(with_prefix(self.address.net, prefix)),
            Presence::Absent | Presence::Adding(..) | Presence::Again(_) | Presence::Foreign => None,
        }
    }

    /// When the kernel may have taken it away, if it ever does and nothing is heard.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        match (self.presence, self.term) {
            (Presence::Ours(_) | Presence::Again(_), Term::Until(until)) => Some(until),
            (Presence::Ours(_) | Presence::Again(_), Term::Endless | Term::Unknown) => None,
            (Presence::Absent | Presence::Adding(..) | Presence::Foreign, _) => None,
        }
    }

    pub(super) fn forget(&mut self) {
        self.presence = Presence::Absent;
        self.asked = None;
    }

    /// It was put back; whether that has now been needed too often.
    pub(super) fn count_restored(&mut self, now: Instant) -> bool {
        self.restored.push_back(now);
        while self.restored.front().is_some_and(|at| *at + FIGHT_SPAN < now) {
            self.restored.pop_front();
        }
        let fought = self.restored.len() >= FIGHT;
        if fought {
            self.restored.clear();
        }
        fought
    }
}

pub(super) fn with_prefix(net: IpNet, prefix: u8) -> IpNet {
    IpNet::new(net.addr(), prefix).unwrap_or(net)
}
