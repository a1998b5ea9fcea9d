use std::time::Duration;

use super::{Instant, IpNet, MacAddr};

/// What the kernel says of one interface, whole: the newest one replaces all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// Kernel index; changes when an interface is deleted and made anew.
    pub index: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Has a carrier and is operational (IFF_RUNNING).
    pub running: bool,
    /// Link-layer address, where it has one of six bytes.
    pub mac: Option<MacAddr>,
    /// Its addresses of both families that can be used by now, those of IPv4 in the kernel's order (primaries of a
    /// subnet before their secondaries).
    pub addresses: Vec<IpNet>,
    /// Those of them that bore our mark when all addresses were last listed, and are still there. What we have added
    /// since is not among them.
    pub marked: Vec<MarkedAddress>,
    /// Whether the kernel promotes a secondary when its primary is removed (`promote_secondaries`).
    pub promote_secondaries: bool,
    /// Whether it forwards IPv6 packets, and so answers for its addresses as a router.
    pub forwards_ipv6: bool,
    /// Largest IP packet it sends, in bytes.
    pub mtu: u32,
}

/// An address with the mark of this program, left by an earlier run of it or our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedAddress {
    /// The address with the prefix length it is there with.
    pub net: IpNet,
    /// What was left of its lifetime when it was listed, in whole seconds; `None` if it does not end.
    pub left: Option<Duration>,
    /// When it was added or last renewed, as the kernel's ticks say: their count may be off our clock by some tenths of a
    /// second.
    pub renewed_at: Instant,
}

/// What became of one wish to add an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressOutcome {
    /// The kernel has it now and it is ours.
    Added,
    /// It was asked for again, and was still there with our mark: it is ours as before.
    StillThere,
    /// It was there already: set by somebody else, not ours to touch.
    AlreadyThere,
    /// The wish came to the kernel, or was about to, when somebody else could have taken over already. It was not added, or
    /// is removed.
    TooLate,
    /// The kernel refused; its words.
    Failed(String),
}

/// What became of one wish to renew leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The kernel counts anew.
    Renewed,
    /// The wish came to the kernel, or was about to, when the leases could have ended already. Nothing was renewed, or
    /// what was is removed: somebody else may hold the addresses by now.
    Lapsed,
    /// Not all could be renewed; the system's words.
    Failed(String),
}
